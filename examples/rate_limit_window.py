"""At most LIMIT requests in any interval: a sorted set of the times of the last requests."""

import time
import uuid

from common import connect

client = connect()
LIMIT, INTERVAL_SECONDS = 5, 0.5


def allowed(user):
    key, now = f"example:window:{user}", time.time()
    entry = uuid.uuid4().hex
    with client.pipeline(transaction=True) as steps:
        steps.zremrangebyscore(key, "-inf", now - INTERVAL_SECONDS)
        steps.zadd(key, {entry: now})
        steps.zcard(key)
        steps.pexpire(key, int(INTERVAL_SECONDS * 1000))
        _, _, count, _ = steps.execute()
    if count > LIMIT:
        client.zrem(key, entry)
        return False
    return True


assert [allowed("a") for _ in range(7)] == [True] * 5 + [False] * 2
time.sleep(INTERVAL_SECONDS + 0.1)
assert allowed("a") and client.zcard("example:window:a") == 1
print(f"{LIMIT} of 7 requests passed, and again when the first were {INTERVAL_SECONDS} s old")
print("ok")
