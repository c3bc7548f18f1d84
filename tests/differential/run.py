#!/usr/bin/env python3
"""Seeded random differential test: the same commands to a real Redis and to Basalt.

    tests/differential/run.py --seed 1 --count 100000 --groups string,list --resp both
    tests/differential/run.py --replay failure.json
    tests/differential/run.py --self-test

Programs come from the environment: REDIS_SERVER (default: redis-server on the PATH) and
BASALT_SERVER (default: target/release/basalt-server). Exit code 0 means that every difference
was explained by a rule of compare.py; the rules that were used are listed at the end.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import groups
from executor import Executor, words
from grammar import Source
from lib.servers import Server, basalt_path, redis_path
from proxy import CorruptingProxy

EPOCH = 1500

SMALL = {"list-max-listpack-size": 6, "hash-max-listpack-entries": 8, "hash-max-listpack-value": 16,
         "set-max-intset-entries": 8, "set-max-listpack-entries": 6, "set-max-listpack-value": 16,
         "zset-max-listpack-entries": 8, "zset-max-listpack-value": 16,
         "stream-node-max-entries": 4, "stream-node-max-bytes": 4096, "hll-sparse-max-bytes": 200}
DEFAULT = {"list-max-listpack-size": -2, "hash-max-listpack-entries": 512, "hash-max-listpack-value": 64,
           "set-max-intset-entries": 512, "set-max-listpack-entries": 128, "set-max-listpack-value": 64,
           "zset-max-listpack-entries": 128, "zset-max-listpack-value": 64,
           "stream-node-max-entries": 100, "stream-node-max-bytes": 4096, "hll-sparse-max-bytes": 3000}
BYTES = dict(SMALL, **{"list-max-listpack-size": -1, "list-compress-depth": 1,
                       "stream-node-max-entries": 0, "stream-node-max-bytes": 150, "hll-sparse-max-bytes": 0})


class Run:
    """The two servers, started once and again after a crash."""

    def __init__(self, self_test):
        self.self_test = self_test
        options = ["--enable-debug-command", "yes", "--maxmemory-policy", "noeviction"]
        self.peer = Server(redis_path(), *options)
        self.basalt = Server(basalt_path(), *options)
        self.proxy = CorruptingProxy(self.basalt.port) if self_test else None
        if self.proxy:
            self.basalt.real_port, self.basalt.port = self.basalt.port, self.proxy.port
        for server in (self.peer, self.basalt):
            conn = server.connect()
            conn.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
            conn.close()

    def executor(self, resp, settings):
        """A fresh executor; a server that died is started again."""
        if not self.basalt.alive():
            self.basalt.stop()
            self.basalt = Server(basalt_path(), "--enable-debug-command", "yes")
        if Executor.allow_missing:
            conn = self.basalt.connect()
            if isinstance(conn.call("FLUSHALL"), Exception):
                self.basalt.stop()
                self.basalt = Server(basalt_path())
            conn.close()
        executor = Executor(self.peer, self.basalt, resp, settings)
        if executor.version < (7, 2):
            executor.settings = {k: v for k, v in settings.items() if "set-max-listpack" not in k}
        return executor

    def stop(self):
        """Ends both."""
        if self.proxy:
            self.proxy.stop()
        self.peer.stop()
        self.basalt.stop()


def shrink(run, resp, settings, items, budget=25.0):
    """A shorter list that still shows a difference: the tail goes first, then chunks."""
    deadline = time.monotonic() + budget

    def fails(candidate):
        return run.executor(resp, settings).run(candidate)

    found = fails(items)
    if not found:
        return items, None
    items = items[:found.index + 1]
    size = max(1, len(items) // 2)
    while time.monotonic() < deadline:
        at, removed = 0, False
        while at < len(items) and time.monotonic() < deadline:
            candidate = items[:at] + items[at + size:]
            result = fails(candidate)
            if result:
                items, found, removed = candidate[:result.index + 1], result, True
            else:
                at += size
        if size == 1 and not removed:
            break
        size = max(1, size // 2)
    return items, found


def signature(found):
    """What kind of difference it is: repetitions are counted, not shrunk again."""
    words_upper = [w.upper() for w in found.command[:2]]
    container = words_upper[0] in (b"CLIENT", b"CONFIG", b"COMMAND", b"OBJECT", b"PUBSUB", b"@DRAIN", b"@COLLECT")
    return (words_upper[0], words_upper[-1] if container else b"", found.note[:20], found.raw_a[:6], found.raw_b[:6])


def save(directory, resp, settings, items, name):
    """Writes a list of items that `--replay` reads."""
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"resp": resp, "settings": settings,
                   "items": [[w.decode("latin-1") for w in item] for item in items]}, out, indent=0)
    return path


def report(options, run, resp, settings, items, found, label):
    """Prints a failure with its shortest known reproduction."""
    word = "found, as it has to be:" if options.self_test else "FAIL"
    print(f"\n{word} {label}\n{found.show()}", flush=True)
    if options.self_test:
        return
    short, again = shrink(run, resp, settings, items)
    if not again:
        print("  (not reproduced by running the same commands again: timing or chance)")
        short = items
    elif again.show() != found.show():
        print(f"  after shrinking:\n{again.show()}")
    path = save(options.out, resp, settings, short, f"failure-{label.replace(' ', '-').replace('=', '')}.json")
    print(f"  reproduction ({len(short)} commands, settings {settings}), --replay {path}")
    for item in short[-40:]:
        print("    " + words(item))
    sys.stdout.flush()


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--count", type=int, default=100000, help="commands in total")
    parser.add_argument("--groups", default="all", help="comma-separated: " + ",".join(groups.GROUPS))
    parser.add_argument("--resp", choices=["2", "3", "both"], default="both")
    parser.add_argument("--allow-missing", action="store_true", help="accept that Basalt does not know a command")
    parser.add_argument("--limits", choices=["mixed", "default"], default="mixed",
                        help="encoding thresholds: small ones most of the time, or the defaults")
    parser.add_argument("--stop-on-first", action="store_true")
    parser.add_argument("--max-failures", type=int, default=20)
    parser.add_argument("--replay", help="a file written for a failure")
    parser.add_argument("--out", default=None, help="directory for failure files")
    parser.add_argument("--self-test", action="store_true", help="corrupt one reply; it must be detected")
    options = parser.parse_args()
    options.out = options.out or tempfile.mkdtemp(prefix="basalt-differential-")
    os.makedirs(options.out, exist_ok=True)
    if not redis_path():
        sys.exit("no redis-server found: set REDIS_SERVER")
    Executor.allow_missing = options.allow_missing
    run = Run(options.self_test)
    try:
        code = replay(options, run) if options.replay else search(options, run)
    finally:
        run.stop()
    if options.self_test:
        print("self-test: the corrupted reply was " + ("detected" if code and run.proxy.corrupted else "NOT detected"))
        code = 0 if code and run.proxy.corrupted else 1
    sys.exit(code)


def replay(options, run):
    """Runs one stored list."""
    with open(options.replay, encoding="utf-8") as source:
        stored = json.load(source)
    items = [[w.encode("latin-1") for w in item] for item in stored["items"]]
    found = run.executor(stored["resp"], stored["settings"]).run(items)
    print(found.show() if found else "no difference")
    return 1 if found else 0


def search(options, run):
    """Random epochs until the count is reached."""
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    names = groups.GROUPS if options.groups == "all" else options.groups.split(",")
    unknown = set(names) - set(groups.GROUPS)
    if unknown:
        sys.exit(f"unknown groups {sorted(unknown)}; there are {groups.GROUPS}")
    version = run.executor(2, {}).version
    print(f"seed {seed}, peer {redis_path()} {'.'.join(map(str, version))}, basalt {basalt_path()}", flush=True)
    total, failures, explained, started, number = 0, 0, {}, time.monotonic(), 0
    seen = {}
    per_group = {name: [0, 0, 0.0] for name in names}
    while total < options.count and len(seen) < options.max_failures:
        name = names[number % len(names)]
        rng = random.Random(f"{seed}/{number}/{name}")
        resp = {"2": 2, "3": 3, "both": 2 + (number // len(names)) % 2}[options.resp]
        settings = rng.choice((DEFAULT, SMALL, SMALL, BYTES))
        if options.limits == "default":
            settings = DEFAULT
        settings = dict({"list-compress-depth": 0}, **settings)
        settings["rdbcompression"] = rng.choice(("yes", "yes", "no"))
        source = Source(rng, 64 if settings["hash-max-listpack-value"] == 64 else 16)
        length = {"blocking": 120, "protocol": 600, "pubsub": 600, "notify": 800}.get(name, EPOCH)
        items = groups.epoch(source, name, length)
        items = [[str(resp).encode() if w == b"@RESP" else w for w in item] for item in items]
        items.append([b"@state"])
        if run.proxy and total > options.count // 2:
            run.proxy.arm()
        executor = run.executor(resp, settings)
        began = time.monotonic()
        found = executor.run(items)
        per_group[name][2] += time.monotonic() - began
        executor.close_all()
        total += executor.count
        per_group[name][0] += executor.count
        for reason, times in executor.explained.items():
            explained[reason] = explained.get(reason, 0) + times
        if found:
            failures += 1
            per_group[name][1] += 1
            seen[signature(found)] = seen.get(signature(found), 0) + 1
        if found and seen[signature(found)] == 1:
            report(options, run, resp, settings, items, found, f"group={name} epoch={number} seed={seed} resp={resp}")
            if options.stop_on_first or options.self_test:
                break
        elif found:
            print(f"again ({seen[signature(found)]}): {name} {words(found.command)[:100]}", flush=True)
        number += 1
    seconds = time.monotonic() - started
    print(f"\n{'group':<14}{'commands':>10}{'failures':>10}{'seconds':>9}")
    for name, (count, failed, spent) in per_group.items():
        print(f"{name:<14}{count:>10}{failed:>10}{spent:>9.1f}")
    for reason, times in sorted(explained.items()):
        print(f"explained {times:>6}  {reason}")
    print(f"{total} commands in {seconds:.1f} s, {failures} unexplained differences, seed {seed}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    main()
