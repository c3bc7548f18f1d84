"""At most so many requests at once, refilled evenly: a token bucket in Lua, which no other client comes between.

The script reads and writes one hash and takes the time from the server, so that it does not matter
whose clock is wrong. EVALSHA sends its digest only; redis-py loads it when the server does not know it.
"""

import threading
import time

from common import connect

client = connect()
CAPACITY, PER_SECOND = 5, 10

TAKE = client.register_script("""
    local capacity, rate, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    local clock = redis.call('TIME')
    local now = clock[1] + clock[2] / 1000000
    local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
    local tokens = math.min(capacity, (tonumber(kept[1]) or capacity) + (now - (tonumber(kept[2]) or now)) * rate)
    local allowed = tokens >= wanted
    if allowed then tokens = tokens - wanted end
    redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
    redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate * 1000))
    return {allowed and 1 or 0, string.format('%.3f', math.max(0, (wanted - tokens) / rate))}
""")


def take(user, tokens=1):
    """Whether so many tokens were there, and else in how many seconds they will be."""
    allowed, wait = TAKE(keys=[f"example:bucket:{user}"], args=[CAPACITY, PER_SECOND, tokens])
    return allowed == 1, float(wait)


# A burst from many clients at once: as many pass as the bucket holds, and hardly one more is refilled meanwhile.
passed = []
threads = [threading.Thread(target=lambda: passed.append(take("a")[0])) for _ in range(20)]
began = time.monotonic()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
refilled = int((time.monotonic() - began) * PER_SECOND) + 1
assert CAPACITY <= sum(passed) <= CAPACITY + refilled, passed
assert take("b", CAPACITY)[0], "each user has a bucket"

allowed, wait = take("b", 3)
assert not allowed and 0 < wait <= 0.3, wait
time.sleep(wait + 0.02)
assert take("b", 3)[0], "after the time it was told to wait"

# A server that has forgotten its scripts is sent this one again.
client.script_flush()
assert take("c")[0]
assert 0 < client.pttl("example:bucket:c") <= CAPACITY / PER_SECOND * 1000
print(f"{sum(passed)} of {len(passed)} requests of a burst passed a bucket of {CAPACITY}; refused ones know when to come back")
print("ok")
