"""Sessions in hashes. Each use prolongs the life of the whole session; a field may end earlier."""

import secrets
import time

from common import connect

client = connect()
IDLE_SECONDS = 30


def start(user):
    token = secrets.token_urlsafe(16)
    key = f"example:session:{token}"
    with client.pipeline(transaction=True) as steps:
        steps.hset(key, mapping={"user": user, "visits": 0})
        steps.expire(key, IDLE_SECONDS)
        steps.execute()
    return token


def use(token):
    """The session, prolonged; None if it is over."""
    key = f"example:session:{token}"
    with client.pipeline(transaction=True) as steps:
        steps.expire(key, IDLE_SECONDS)
        steps.hgetall(key)
        alive, session = steps.execute()
    return session if alive else None


token = start("ada")
client.expire(f"example:session:{token}", 5)
assert use(token)["user"] == "ada"
assert client.ttl(f"example:session:{token}") > 5
assert use("nobody") is None

# A code for one confirmation, which ends alone while the session goes on.
key = f"example:session:{token}"
client.hset(key, "code", "123456")
client.execute_command("HPEXPIRE", key, 60_000, "FIELDS", 1, "code")
assert client.execute_command("HGETDEL", key, "FIELDS", 1, "code") == ["123456"]
assert client.execute_command("HGETDEL", key, "FIELDS", 1, "code") == [None]
client.hset(key, "code", "654321")
client.execute_command("HPEXPIRE", key, 20, "FIELDS", 1, "code")
time.sleep(0.05)
assert use(token) == {"user": "ada", "visits": "0"}
print("a session lives on as it is used, and a code in it ended alone")
print("ok")
