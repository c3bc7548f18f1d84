"""A lock with a time limit that only its owner releases: DELIFEQ compares and deletes in one step."""

import secrets
import threading
import time

from common import connect

client = connect()


class Lock:
    def __init__(self, name, milliseconds):
        self.key, self.milliseconds = f"example:lock:{name}", milliseconds
        self.token = secrets.token_hex(16)

    def acquire(self):
        return bool(client.set(self.key, self.token, nx=True, px=self.milliseconds))

    def release(self):
        """Whether the lock was still ours."""
        return client.execute_command("DELIFEQ", self.key, self.token) == 1


mine, theirs = Lock("report", 10_000), Lock("report", 10_000)
assert mine.acquire() and not theirs.acquire()
assert not theirs.release(), "only the owner releases"
assert mine.release() and theirs.acquire() and theirs.release()

# Who was too slow does not release the lock of who came after.
slow = Lock("report", 20)
assert slow.acquire()
time.sleep(0.05)
assert mine.acquire() and not slow.release()
assert client.get(mine.key) == mine.token and mine.release()

# A counter that is read and written in two steps stays right under the lock.
client.set("example:counter", 0)


def add():
    lock = Lock("counter", 5000)
    while not lock.acquire():
        time.sleep(0.002)
    client.set("example:counter", int(client.get("example:counter")) + 1)
    assert lock.release()


threads = [threading.Thread(target=add) for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert client.get("example:counter") == "20"
print("ok")
