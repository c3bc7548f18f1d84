"""A lock with a time limit that only its owner releases.

SET NX PX takes it with a token that nobody else has. Releasing compares the token and deletes in one
step: a script, which every server has, or DELIFEQ, which Basalt and Valkey 9 have.
"""

import secrets
import threading
import time

from common import connect

client = connect()
RELEASE = client.register_script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")


class Lock:
    def __init__(self, name, milliseconds):
        self.key, self.milliseconds = f"example:lock:{name}", milliseconds
        self.token = secrets.token_hex(16)

    def acquire(self):
        return bool(client.set(self.key, self.token, nx=True, px=self.milliseconds))

    def release(self):
        """Whether the lock was still ours."""
        return RELEASE(keys=[self.key], args=[self.token]) == 1

    def release_by_command(self):
        """The same without a script."""
        return client.execute_command("DELIFEQ", self.key, self.token) == 1


mine, theirs = Lock("report", 10_000), Lock("report", 10_000)
assert mine.acquire() and not theirs.acquire()
assert not theirs.release(), "only the owner releases"
assert mine.release() and theirs.acquire() and theirs.release()
assert mine.acquire() and not theirs.release_by_command()
assert mine.release_by_command() and not mine.release_by_command()

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
print("20 threads added one by one under the lock, and nobody released the lock of another")
print("ok")
