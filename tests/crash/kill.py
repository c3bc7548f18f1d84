#!/usr/bin/env python3
"""SIGKILL at random moments under load: nothing acknowledged may be lost, no start refused, no MULTI halved.

20 clients, some with deep pipelines, write plain commands and transactions. In two of three runs a BGSAVE, a
BGREWRITEAOF or both are begun shortly before the kill, on data that takes a while to write. `--self-test` runs
it with the log switched off: the losses must be found.

    tests/crash/kill.py                       15 runs of `always`, 10 of `everysec`
    tests/crash/kill.py --full                200 and 50
    tests/crash/kill.py --server PATH ...     other servers
"""

import random
import time

from harness import Load, Lost, Node, Refused, arguments, fill, is_basalt, title, verdict

FILL = 20_000


def disturb(node):
    """Begins a snapshot or a rewrite, or both, and lets it run for a random while."""
    orders = random.choice([("BGSAVE",), ("BGREWRITEAOF",), ("BGREWRITEAOF",), ("BGREWRITEAOF", "BGSAVE"), (), ()])
    for order in orders:
        # One may be refused because the other runs.
        node.call(*([order, "SCHEDULE"] if order == "BGSAVE" else [order]))
        time.sleep(random.random() * 0.1)
    return "+".join(order.lower() for order in orders) or "plain"


def run(program, policy, runs, log="yes"):
    """The runs; returns what is to be told."""
    sums = {"kills": 0, "acknowledged": 0, "lost": 0, "refused": 0, "broken": 0, "slowest": 0.0}
    kinds = {}
    with Node(program, "--appendonly", log, "--appendfsync", policy, "--auto-aof-rewrite-percentage", 0) as node:
        node.start()
        conn = node.connect()
        fill(conn, FILL)
        conn.close()
        for number in range(runs):
            load = Load(node, f"r{number}").start()
            time.sleep(0.02 + random.random() * 0.4)
            kind = disturb(node)
            kinds[kind] = kinds.get(kind, 0) + 1
            if not node.alive():
                sums["broken"] += 1
                print(f"  run {number}: the server ended by itself\n{node.log()[-2000:]}")
                break
            node.kill()
            load.join()
            sums["kills"] += 1
            sums["acknowledged"] += load.acknowledged()
            began = time.monotonic()
            try:
                node.start()
            except Refused as refused:
                sums["refused"] += 1
                print(f"  run {number} ({kind}): {refused}")
                break
            sums["slowest"] = max(sums["slowest"], time.monotonic() - began)
            conn = node.connect()
            try:
                lost = load.compare(conn)[0]
                if lost:
                    print(f"  run {number} ({kind}): {lost} of {load.acknowledged()} lost")
                sums["lost"] += lost
            except Lost as problem:
                sums["broken"] += 1
                print(f"  run {number} ({kind}): {problem}")
            # What was checked goes again, some by name and some with all the rest.
            if number % 10 == 9:
                conn.call("FLUSHALL")
                fill(conn, FILL)
            else:
                keys = [load.key(kind, at) for kind in "abl" for at in range(len(load.lists))]
                conn.call("DEL", *keys)
            conn.close()
    shown = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(f"{title(program):18} {policy:9} {sums['kills']} kills ({shown}): {sums['acknowledged']} acknowledged, "
          f"{sums['lost']} lost, {sums['refused']} starts refused, {sums['broken']} inconsistent; "
          f"slowest start {sums['slowest']:.2f} s", flush=True)
    return sums


def main():
    """Both policies on each server."""
    given = arguments(__doc__, runs={"type": int, "help": "of `always`; a quarter of it of `everysec`"},
                      self_test={"action": "store_true", "help": "the checker must find losses"})
    if given.self_test:
        sums = run(given.server[0], "no", 3, log="no")
        verdict("kill self-test", [] if sums["lost"] else ["no loss was found without a log"])
    always = given.runs or (200 if given.full else 15)
    everysec = always // 4 if given.runs or given.full else 10
    failures = []
    for program in given.server:
        for policy, runs in (("always", always), ("everysec", everysec)):
            sums = run(program, policy, runs)
            bad = sums["lost"] + sums["refused"] + sums["broken"]
            if is_basalt(program) and (bad or sums["kills"] < runs or not sums["acknowledged"]):
                failures.append(f"{policy}: {sums}")
    verdict("kill", failures)


if __name__ == "__main__":
    main()
