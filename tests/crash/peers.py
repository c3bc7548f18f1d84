#!/usr/bin/env python3
"""What a killed Basalt leaves behind, in the hands of Redis and Valkey.

Basalt is killed under load, during rewrites and saves; another server is started on a copy of its directory, once
with the log and once with dump.rdb alone. With the log nothing acknowledged may be missing; the dump must be
whole and hold what was there at the save. Then Basalt is started on what the other server has written since.

    tests/crash/peers.py [--server REDIS] [--server VALKEY] [--full]
"""

import os
import random
import shutil
import tempfile
import time

from harness import Load, Lost, Node, Refused, arguments, basalt_path, fill, is_basalt, title, verdict
from lib.servers import redis_path

LOG = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", 0)
KEYS = 3000


def left_behind(directory, policy, number):
    """Runs Basalt on the directory and kills it; the load, and what the dump must hold."""
    with Node(basalt_path(), *LOG, "--appendfsync", policy, directory=directory) as node:
        conn = node.start().connect()
        fill(conn, KEYS)
        conn.call("SAVE")
        load = Load(node, f"p{number}", clients=8).start()
        time.sleep(0.3 + random.random() * 0.3)
        for order in random.sample(["BGREWRITEAOF", "BGSAVE"], random.randrange(3)):
            conn.call(order)
            time.sleep(random.random() * 0.1)
        node.kill()
        load.join()
    return load


def main():
    """Some kills for each peer."""
    given = arguments(__doc__)
    peers = [program for program in given.server if not is_basalt(program)] or [redis_path()]
    failures = []
    for peer in filter(None, peers):
        version = [int(part) for part in title(peer).split()[-1].split(".")[:2]]
        if version < [7, 2]:
            print(f"{title(peer)}: skipped, it reads no RDB 11; 7.2 is the first that does")
            continue
        logs = dumps = back = acknowledged = 0
        rounds = 10 if given.full else 2
        for number in range(rounds):
            directory = tempfile.mkdtemp(prefix="basalt-peers-")
            try:
                load = left_behind(directory, ("always", "everysec")[number % 2], number)
                acknowledged += load.acknowledged()
                # The dump alone: the keys that were there before, and nothing half.
                alone = os.path.join(directory, "alone")
                os.mkdir(alone)
                shutil.copy2(os.path.join(directory, "dump.rdb"), alone)
                with Node(peer, "--appendonly", "no", directory=alone) as node:
                    conn = node.start().connect()
                    there = conn.call("EXISTS", *[f"fill:{at}" for at in range(KEYS)])
                    load.compare(conn, ([0] * 8, [0] * 8, 0.0))
                    if there != KEYS:
                        raise Lost(f"{there} of {KEYS} in the dump")
                    dumps += 1
                shutil.rmtree(alone)
                with Node(peer, *LOG, directory=directory) as node:
                    conn = node.start().connect()
                    lost = load.compare(conn)[0]
                    if lost:
                        raise Lost(f"{lost} of {load.acknowledged()} lost")
                    logs += 1
                    conn.call("SET", "by the peer", number)
                    conn.call("WAIT", 0, 10)
                    time.sleep(0.05)
                with Node(basalt_path(), *LOG, directory=directory) as node:
                    conn = node.start().connect()
                    lost = load.compare(conn)[0]
                    if lost or conn.call("GET", "by the peer") != b"%d" % number:
                        raise Lost(f"{lost} lost on the way back")
                    back += 1
            except (Refused, Lost) as problem:
                failures.append(f"{title(peer)}, round {number}: {problem}")
            finally:
                shutil.rmtree(directory, ignore_errors=True)
        print(f"{title(peer):16} of {rounds} directories of a killed Basalt ({acknowledged} acknowledged): {logs} logs and {dumps} dumps "
              f"loaded whole, {back} taken back", flush=True)
    verdict("peers", failures)


if __name__ == "__main__":
    main()
