#!/usr/bin/env python3
"""Login sessions that survive a crash: kept in Basalt under `appendfsync always`, each with a time to live.

    basalt-server --appendonly yes --appendfsync always --dir /var/lib/basalt
    pip install redis
    python3 examples/durable_sessions.py write --port 6379 > told     # kill -9 the server at any moment
    python3 examples/durable_sessions.py check --port 6379 < told     # after it was started again

`write` logs users in and out and prints a line for each change, after the server has confirmed it: what a user
has been told. `check` reads these lines and looks whether all of it is there.
"""

import argparse
import json
import secrets
import sys
import time

import redis

TTL_S = 3600


class Sessions:
    """Sessions in a Redis-compatible server. Each method returns when its change is on the disk."""

    def __init__(self, client):
        self.client = client

    def login(self, user):
        """A new session; its token."""
        token = secrets.token_urlsafe(18)
        pipe = self.client.pipeline(transaction=True)
        pipe.set(f"session:{token}", json.dumps({"user": user, "since": int(time.time())}), ex=TTL_S)
        pipe.sadd(f"user:{user}:sessions", token)
        pipe.execute()
        return token

    def user(self, token):
        """Whose session it is, None if it is over; using it keeps it alive."""
        found = self.client.getex(f"session:{token}", ex=TTL_S)
        return json.loads(found)["user"] if found else None

    def logout(self, token):
        """Ends a session."""
        user = self.user(token)
        pipe = self.client.pipeline(transaction=True)
        pipe.delete(f"session:{token}")
        pipe.srem(f"user:{user}:sessions", token)
        pipe.execute()


def write(sessions):
    """Logs in and out until the server is gone."""
    number = 0
    try:
        while True:
            number += 1
            token = sessions.login(f"user{number % 100}")
            print(f"in {token} user{number % 100}", flush=True)
            if number % 5 == 0:
                # From here on it is not known whether the session is over, until the server says so.
                print(f"leaving {token}", flush=True)
                sessions.logout(token)
                print(f"out {token}", flush=True)
    except redis.ConnectionError:
        return 0


def check(sessions):
    """Holds what was told against what is there."""
    state = {}
    for line in sys.stdin:
        words = line.split()
        # The last line may be cut short.
        if line.endswith("\n"):
            state[words[1]] = (words[0], words[2] if len(words) > 2 else None)
    wrong = 0
    for token, (what, user) in state.items():
        left = sessions.client.ttl(f"session:{token}")
        found = sessions.user(token)
        if what == "in" and (found != user or not 0 < left <= TTL_S) or what == "out" and found is not None:
            print(f"{token}: told '{what} {user}', found {found}, {left} s left")
            wrong += 1
        elif what == "in" and not sessions.client.sismember(f"user:{user}:sessions", token):
            print(f"{token}: not among the sessions of {user}")
            wrong += 1
    print(f"{len(state)} sessions, {wrong} wrong")
    return 1 if wrong or not state else 0


def main():
    """`write` or `check`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=["write", "check"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    given = parser.parse_args()
    sessions = Sessions(redis.Redis(given.host, given.port, decode_responses=True))
    return (write if given.act == "write" else check)(sessions)


if __name__ == "__main__":
    sys.exit(main())
