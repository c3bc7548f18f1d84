#!/usr/bin/env python3
"""Kills the server with SIGKILL under load, five times: it must start by itself and have every write it
acknowledged, once with `appendfsync always` and once with `everysec` (whose promise to a process that is
killed, on a machine that goes on, is the same).

Each writer counts up a key of its own in a transaction with a second one, in pipelines; after the restart
the key is at least what was acknowledged, and the two agree.
"""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.resp import Closed, encode
from lib.servers import Server, basalt_path

ROUNDS = 5
WRITERS = 4
# Transactions a writer sends at once.
PIPELINE = 8


def load(server, name, acknowledged):
    """Counts without a pause until the connection breaks; notes what was acknowledged."""
    batch = b"".join([encode([b"MULTI"]), encode([b"INCR", b"a%d" % name]), encode([b"INCR", b"b%d" % name]),
                      encode([b"EXEC"])] * PIPELINE)
    try:
        conn = server.connect()
        while True:
            conn.send(batch)
            # Reply by reply: those that came count even if the rest does not.
            for _ in range(PIPELINE):
                last = conn.replies(4)[-1]
                acknowledged[name] = int(last.split(b":")[-1])
    except (Closed, OSError):
        pass


def check(server, acknowledged):
    """The counters after a restart."""
    conn = server.connect()
    while isinstance(conn.call("GET", "a0"), Exception):
        # -LOADING: the start answers before all is there.
        time.sleep(0.01)
    for name, count in enumerate(acknowledged):
        a, b = (int(conn.call("GET", f"{key}{name}") or 0) for key in "ab")
        if a != b:
            sys.exit(f"half a transaction: a{name} is {a}, b{name} is {b}")
        if a < count:
            sys.exit(f"lost: a{name} is {a}, acknowledged was {count}")
    conn.close()


def run(policy):
    """Rounds of load, SIGKILL and start."""
    server = Server(basalt_path(), "--appendonly", "yes", "--appendfsync", policy)
    acknowledged = [0] * WRITERS
    for number in range(1, ROUNDS + 1):
        before = sum(acknowledged)
        writers = [threading.Thread(target=load, args=(server, name, acknowledged)) for name in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(0.3 + random.random() * 0.4)
        if not server.alive():
            sys.exit(f"round {number}: the server ended by itself\n{server.log_text()[-3000:]}")
        server.kill()
        for writer in writers:
            writer.join()
        if sum(acknowledged) == before:
            sys.exit(f"round {number}: nothing was acknowledged")
        began = time.monotonic()
        server.start()
        took = time.monotonic() - began
        check(server, acknowledged)
        print(f"{policy} {number}: {sum(acknowledged) - before} transactions, killed, all there after {took:.2f} s",
              flush=True)
    server.stop()


def main():
    """Both policies."""
    for policy in ("always", "everysec"):
        run(policy)
    print(f"crash smoke: {2 * ROUNDS} of {2 * ROUNDS} restarts kept every acknowledged write")


if __name__ == "__main__":
    main()
