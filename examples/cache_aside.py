"""Cache-aside: look into the cache, else ask the slow source and keep its answer for a while.

When an entry expires, many callers miss at the same moment. The first takes a short lock and
computes; the others wait for its answer instead of asking the source as well.
"""

import json
import threading
import time

from common import connect

client = connect()
asked = []


def slow_source(user):
    """A database, say."""
    asked.append(user)
    time.sleep(0.05)
    return {"id": user, "name": f"user {user}"}


def load(user):
    key = f"example:user:{user}"
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        cached = client.get(key)
        if cached is not None:
            return json.loads(cached)
        if client.set(f"{key}:lock", "1", nx=True, px=2000):
            try:
                value = slow_source(user)
                client.set(key, json.dumps(value), ex=60)
                return value
            finally:
                client.delete(f"{key}:lock")
        time.sleep(0.01)
    raise TimeoutError(key)


threads = [threading.Thread(target=load, args=(7,)) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert load(7) == {"id": 7, "name": "user 7"}
assert asked == [7], asked
# A change of the source removes the entry: the next reader loads the new state.
client.delete("example:user:7")
load(7)
assert asked == [7, 7] and 0 < client.ttl("example:user:7") <= 60
print("ten readers at once cost one question to the source, and a change one more")
print("ok")
