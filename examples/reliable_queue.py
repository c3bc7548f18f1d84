"""A queue on a stream. What a worker took and did not acknowledge is taken over when it dies."""

import time

from common import connect

client = connect()
STREAM, GROUP = "example:jobs", "workers"
client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
done = []


def take(worker, count=1):
    reply = client.xreadgroup(GROUP, worker, {STREAM: ">"}, count=count, block=100)
    if not reply:
        return []
    [entries] = reply.values() if isinstance(reply, dict) else [entries for _, entries in reply]
    return entries


def work(job_id, job):
    done.append(job["n"])
    client.xack(STREAM, GROUP, job_id)


for n in range(10):
    client.xadd(STREAM, {"n": n}, maxlen=1000, approximate=True)

# One worker takes three jobs, does one, and dies.
first, *_lost = take("one", 3)
work(*first)
# Another does the rest of what is new.
while jobs := take("two"):
    for job in jobs:
        work(*job)
assert sorted(map(int, done)) == [0, 3, 4, 5, 6, 7, 8, 9], done
assert client.xpending(STREAM, GROUP)["pending"] == 2

# What was idle for too long is taken over.
time.sleep(0.05)
_next, jobs, _deleted = client.xautoclaim(STREAM, GROUP, "two", min_idle_time=20, start_id="0")
for job in jobs:
    work(*job)
assert sorted(map(int, done)) == list(range(10)), done
assert client.xpending(STREAM, GROUP)["pending"] == 0
assert client.xinfo_groups(STREAM)[0]["lag"] == 0
print("ten jobs done once each, two of them taken over from a worker that died")
print("ok")
