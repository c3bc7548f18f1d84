"""Messages to whoever listens: channels, patterns, and channels of a shard."""

import time

from common import connect

client = connect()


def wait_for(listener, kinds):
    deadline, seen = time.monotonic() + 5, []
    while len(seen) < len(kinds) and time.monotonic() < deadline:
        message = listener.get_message(timeout=0.1)
        if message:
            seen.append((message["type"], message["channel"], message["data"]))
    assert [kind for kind, _, _ in seen] == kinds, seen
    return seen


listener = client.pubsub()
listener.subscribe("example:news")
listener.psubscribe("example:room:*")
wait_for(listener, ["subscribe", "psubscribe"])
assert client.publish("example:news", "hello") == 1
assert client.publish("example:room:3", "come in") == 1
assert client.publish("example:nobody", "?") == 0
assert wait_for(listener, ["message", "pmessage"]) == [
    ("message", "example:news", "hello"),
    ("pmessage", "example:room:3", "come in"),
]
assert client.execute_command("SPUBLISH", "example:shard", "x") == 0
listener.close()
print("a message reached who listened to its channel and who listened to its pattern, nobody else")
print("ok")
