#!/usr/bin/env python3
"""A kill, and an error, at every failpoint in the code, and a kill at each call that changes files.

Under load with `appendfsync always` the server rewrites its log, saves and switches the log off and on until it
dies at the point. The next start must find the old state or the new one whole: nothing acknowledged lost, no
start refused. After an error that passes the server must take writes again by itself. The points are found
with a grep, so none is forgotten; one that is never reached is a failure. Failpoints are Basalt's own; the
kills at calls (rename, unlink, fsync, ftruncate; by strace) are made on every server.

    tests/crash/points.py            each point once with either, the 2nd call of each kind
    tests/crash/points.py --full     five kills and three errors for each point, calls 1 to 8
"""

import concurrent.futures
import glob
import os
import random
import re
import shutil
import time

from harness import ROOT, Load, Lost, Node, Refused, arguments, fill, is_basalt, title, verdict
from lib.resp import Closed

FLAGS = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", 0)
CALLS = ("rename,renameat,renameat2", "unlink,unlinkat", "fsync", "fdatasync", "ftruncate")


def points():
    """All failpoints of the code, but those of its tests."""
    found = set()
    for crate in ("engine", "server"):
        for path in glob.glob(os.path.join(ROOT, crate, "src/**/*.rs"), recursive=True):
            with open(path, encoding="utf-8") as file:
                code = re.sub(r"^\s*//.*$", "", file.read(), flags=re.M)
                found.update(re.findall(r'fail_point!\(\s*"([^"]+)"', code))
    return sorted(name for name in found if not name.startswith("test."))


def settle(node):
    """Waits for what runs in the background."""
    for _ in range(400):
        about = node.info()
        if "1" not in (about["rdb_bgsave_in_progress"], about["aof_rewrite_in_progress"], about["aof_rewrite_scheduled"]):
            return
        time.sleep(0.01)


def work(node, name, rounds=3):
    """Load with a rewrite and a save, then the log off and on; ends early when the server dies."""
    load = Load(node, name, clients=3).start()
    try:
        for _ in range(rounds):
            orders = ["BGREWRITEAOF", "BGSAVE"]
            random.shuffle(orders)
            for order in orders:
                node.call(order)
                settle(node)
        load.stop()
        # While it is off nothing is promised, so nobody writes.
        for value in ("no", "yes"):
            node.call("CONFIG", "SET", "appendonly", value)
            settle(node)
    except (Closed, OSError, KeyError):
        # It may take a moment to be gone.
        node.exit_code(5)
    # Its clients notice that the server is gone, or go on for a moment.
    load.stopping = True
    load.join()
    return load


def torn(directory):
    """Leaves a write that was cut short at the end of the log."""
    names = [name for name in glob.glob(os.path.join(directory, "appendonlydir/*.incr.aof"))]
    with open(max(names, key=os.path.getmtime), "ab") as file:
        file.write(b"#BSLT1 b 000")


class Broken(Exception):
    """What the bar forbids."""


def after(node, load):
    """The start after a kill."""
    try:
        node.start()
    except Refused as refused:
        raise Broken(str(refused)) from refused
    conn = node.connect()
    try:
        lost = load.compare(conn)[0] if load else 0
    except Lost as problem:
        raise Broken(str(problem)) from problem
    finally:
        conn.close()
    if lost:
        raise Broken(f"{lost} of {load.acknowledged()} lost")
    return load.acknowledged() if load else 0


def first_start(program, point):
    """A kill while a server starts for the first time; None if the point was not passed."""
    with Node(program, *FLAGS, environment={"BASALT_FAILPOINTS": f"{point}=kill"}) as node:
        try:
            node.start()
            return None
        except Refused:
            pass
        node.environment.clear()
        after(node, None)
        return 0


def killed(program, point, number):
    """A kill on some pass of a point under load; None if it was not reached."""
    with Node(program, *FLAGS) as node:
        fill(node.start().connect(), 2000)
        first = Load(node, "first", clients=3).start()
        time.sleep(0.1)
        node.kill()
        first.join()
        if "tail" in point:
            torn(node.dir)
        node.environment["BASALT_FAILPOINTS"] = f"{point}=kill@{number}"
        load = None
        try:
            load = work(node.start(), "second")
        except Refused:
            pass
        if node.alive():
            return None
        node.environment.clear()
        sum_first = after(node, first)
        conn = node.connect()
        try:
            lost = load.compare(conn)[0] if load else 0
        except Lost as problem:
            raise Broken(str(problem)) from problem
        if lost:
            raise Broken(f"{lost} of {load.acknowledged()} lost")
        return sum_first + (load.acknowledged() if load else 0)


def erred(program, point, number):
    """An error on some pass under load; the server must take writes again, and lose nothing."""
    with Node(program, *FLAGS) as node:
        fill(node.start().connect(), 2000)
        if "tail" in point:
            node.kill()
            torn(node.dir)
        else:
            node.kill()
        node.environment["BASALT_FAILPOINTS"] = f"{point}=error@{number}"
        load = None
        try:
            load = work(node.start(), "erred", rounds=number)
        except Refused as refused:
            # A start may end with the cause; the next one has to succeed.
            if refused.code is None or refused.code < 0:
                raise Broken(str(refused)) from refused
        if load:
            if not node.alive():
                raise Broken(f"the server ended\n{node.log()[-1500:]}")
            conn, began = node.connect(), time.monotonic()
            while conn.call("SET", "again", "1") != b"OK":
                if time.monotonic() - began > 10:
                    raise Broken(f"no writes after 10 s: {conn.call('SET', 'again', '1')}\n{node.log()[-1500:]}")
                time.sleep(0.05)
            node.kill()
        node.environment.clear()
        return after(node, load)


def at_call(program, calls, number):
    """A kill at the n-th call of a kind (in any one thread); None if there were not so many."""
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}",
              "-e", f"inject={calls}:signal=SIGKILL:when={number}"]
    with Node(program, *FLAGS) as node:
        fill(node.start().connect(), 2000)
        node.kill()
        node.prefix = prefix
        load = None
        try:
            load = work(node.start(), "call", rounds=2)
        except (Refused, KeyError):
            pass
        died = not node.alive()
        node.kill()
        node.prefix = []
        done = after(node, load)
        return done if died else None


def one_point(program, name, kills, errors):
    """All that is done with one point."""
    sums = {"kills": 0, "errors": 0, "acknowledged": 0, "failures": []}
    plan = [("first start", first_start, None)]
    plan += [("kill", killed, number) for number in range(1, kills + 1)]
    plan += [("error", erred, number) for number in range(1, errors + 1)]
    for what, act, number in plan:
        if number and number > 1 and name.startswith(("aof.sync", "disk.replace")):
            # These are passed all the time.
            number = random.randrange(2, 12)
        try:
            done = act(program, name, *([number] if number else []))
        except Broken as problem:
            sums["failures"].append(f"{name}, {what} {number or ''}: {problem}")
            done = 0
        if done is not None:
            sums["errors" if what == "error" else "kills"] += 1
            sums["acknowledged"] += done
    return sums


def main():
    """All points, both ways, then the calls."""
    given = arguments(__doc__, point={"help": "only those with this in their name"})
    failures = []
    kills, errors, calls = (5, 3, 8) if given.full else (1, 1, 2)
    names = [name for name in points() if not given.point or given.point in name]
    for program in filter(is_basalt, given.server):
        sums = {"points": len(names), "kills": 0, "errors": 0, "acknowledged": 0}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            tried = list(pool.map(lambda name: one_point(program, name, kills, errors), names))
        for name, result in zip(names, tried):
            print(f"  {name:24} {result['kills']} kills, {result['errors']} errors", flush=True)
            for what in ("kills", "errors", "acknowledged"):
                sums[what] += result[what]
            failures += result["failures"]
            if not result["kills"]:
                failures.append(f"{name}: never reached")
        print(f"{title(program):18} {sums['points']} failpoints: {sums['kills']} kills and {sums['errors']} errors, "
              f"{sums['acknowledged']} acknowledged, {len(failures)} broken", flush=True)
    if not shutil.which("strace"):
        print("kills at calls: skipped, no strace")
        calls = 0
    for program in given.server if not given.point else []:
        sums = {"kills": 0, "acknowledged": 0, "broken": 0}
        for kind in CALLS:
            for number in range(1 if given.full else calls, calls + 1):
                try:
                    done = at_call(program, kind, number)
                except Broken as problem:
                    sums["broken"] += 1
                    print(f"  {title(program)}: {kind} {number}: {problem}")
                    if is_basalt(program):
                        failures.append(f"{kind} {number}: {problem}")
                    continue
                if done is not None:
                    sums["kills"] += 1
                    sums["acknowledged"] += done
        print(f"{title(program):18} kills at calls: {sums['kills']}, {sums['acknowledged']} acknowledged, {sums['broken']} broken",
              flush=True)
    verdict("points", failures)


if __name__ == "__main__":
    main()
