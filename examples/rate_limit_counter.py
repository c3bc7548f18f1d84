"""At most LIMIT requests in a window: a counter that expires with its window."""

import time

from common import connect

client = connect()
LIMIT, WINDOW_SECONDS = 5, 1


def allowed(user):
    key = f"example:rate:{user}"
    with client.pipeline(transaction=True) as steps:
        steps.incr(key)
        # Only the first request of a window sets its end.
        steps.expire(key, WINDOW_SECONDS, nx=True)
        count, _ = steps.execute()
    return count <= LIMIT


assert [allowed("a") for _ in range(7)] == [True] * 5 + [False] * 2
assert allowed("b")
time.sleep(WINDOW_SECONDS + 0.1)
assert allowed("a")
print(f"{LIMIT} of 7 requests passed, and again after {WINDOW_SECONDS} s")
print("ok")
