#!/usr/bin/env python3
"""Single flipped bits in an append-only file: each must be refused, or change nothing.

A server writes a log of all types and is killed; one bit of its increment is flipped; a server is started on it.
What may come out: the start is refused, or the data is the same (DEBUG DIGEST). Anything else was loaded silently
wrong, or crashed. The record beside the log is left out, so that the log alone has to show it. Basalt's log is
also judged with `basalt check-aof`, which is faster: it must call no file sound whose bytes were changed.

    tests/crash/flips.py           100 flips with a server, 500 with check-aof
    tests/crash/flips.py --full    2,000 each
"""

import glob
import os
import random
import shutil
import subprocess
import tempfile
import threading

from harness import Node, Refused, arguments, is_basalt, title, verdict
from lib.resp import Closed, encode

FLAGS = ("--appendonly", "yes", "--appendfsync", "no", "--enable-debug-command", "yes")


def write(conn):
    """Commands of all types, in pieces, so that the log has many batches."""
    dice = random.Random(5)
    for at in range(12):
        orders = [
            ("SET", f"s{at}", f"value number {at}"),
            ("SET", f"t{at}", "x" * dice.randrange(60), "PX", 10_000_000 + at),
            ("RPUSH", f"l{at % 3}", at, f"item {at}", "third"),
            ("HSET", f"h{at % 3}", f"f{at}", at * 17, "g", "hello"),
            ("SADD", "set", at, f"m{at}"),
            ("ZADD", "z", at * 1.5, f"z{at}"),
            ("INCRBY", "n", at),
            ("XADD", "x", f"{at + 1}-1", "k", f"v{at}"),
        ]
        pair = [("MULTI",), ("INCR", "a"), ("APPEND", "b", f"{at},"), ("EXEC",)]
        for group in (orders[:4], orders[4:], pair):
            conn.send(b"".join(encode([str(word).encode() for word in order]) for order in group))
            conn.replies(len(group))


def digest(node):
    """The data in 40 digits."""
    return node.call("DEBUG", "DIGEST")


def sample(program, directory):
    """A log in `directory`; returns the path of its increment and the digest of the data."""
    with Node(program, *FLAGS, directory=directory) as node:
        conn = node.start().connect()
        write(conn)
        found = digest(node)
        conn.close()
        node.kill()
    if os.path.exists(os.path.join(directory, "basalt.lineage")):
        os.unlink(os.path.join(directory, "basalt.lineage"))
    return glob.glob(os.path.join(directory, "appendonlydir/*.incr.aof"))[0], found


def flip(path, bit):
    """Flips a bit of a file."""
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ (1 << bit % 8)]))


def served(program, directory, increment, bits, expected, counts, lock):
    """Flips with a real server, in a copy of the directory."""
    for bit in bits:
        case = tempfile.mkdtemp(prefix="basalt-flip-")
        shutil.copytree(directory, case, dirs_exist_ok=True)
        flip(os.path.join(case, os.path.relpath(increment, directory)), bit)
        with Node(program, *FLAGS, directory=case) as node:
            try:
                node.start()
                outcome = "same" if digest(node) == expected else "WRONG"
            except Refused as refused:
                clean = refused.code is not None and 0 < refused.code < 128 and "panicked" not in refused.log
                outcome = "refused" if clean else "CRASHED"
            except (Closed, OSError):
                # It came up and died of what it had loaded.
                outcome = "CRASHED"
        shutil.rmtree(case)
        with lock:
            counts[outcome] = counts.get(outcome, 0) + 1
            if outcome not in ("same", "refused"):
                counts.setdefault("bits", []).append(bit)


def checked(tool, increment, bits):
    """Flips with `check-aof`: how many were noticed, and the bits that were not."""
    missed, crashed = [], []
    copy = increment + ".copy"
    shutil.copyfile(increment, copy)
    for bit in bits:
        flip(copy, bit)
        done = subprocess.run([tool, "check-aof", copy], capture_output=True, check=False)
        flip(copy, bit)
        if done.returncode < 0 or b"panicked" in done.stderr:
            crashed.append(bit)
        elif done.returncode == 0:
            missed.append(bit)
    os.unlink(copy)
    return len(bits) - len(missed) - len(crashed), missed, crashed


def main():
    """Each server, then the tool."""
    given = arguments(__doc__, flips={"type": int, "help": "so many instead"})
    served_count, checked_count = (2000, 2000) if given.full else (100, 500)
    if given.flips:
        served_count = checked_count = given.flips
    failures = []
    for program in given.server:
        directory = tempfile.mkdtemp(prefix="basalt-flips-")
        increment, expected = sample(program, directory)
        size = os.path.getsize(increment)
        bits = random.sample(range(size * 8), min(served_count, size * 8))
        counts, lock = {}, threading.Lock()
        # Two at a time: a start is mostly waiting.
        threads = [threading.Thread(target=served, args=(program, directory, increment, bits[half::2], expected, counts, lock))
                   for half in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wrong = counts.pop("bits", [])
        print(f"{title(program):18} {len(bits)} bits of {size} bytes: "
              + ", ".join(f"{counts.get(kind, 0)} {words}" for kind, words in
                          (("refused", "refused"), ("same", "loaded with the same data"),
                           ("WRONG", "loaded silently wrong"), ("CRASHED", "crashed"))), flush=True)
        if is_basalt(program):
            failures += [f"bit {bit} of {increment}" for bit in wrong]
            if sum(counts.values()) != len(bits):
                failures.append("not all flips were tried")
            tool = os.path.join(os.path.dirname(os.path.abspath(program)), "basalt")
            if os.path.exists(tool):
                bits = random.sample(range(size * 8), min(checked_count, size * 8))
                noticed, missed, crashed = checked(tool, increment, bits)
                print(f"{title(program):18} check-aof: {noticed} of {len(bits)} noticed, {len(missed)} not, {len(crashed)} crashed")
                failures += [f"check-aof: bit {bit}" for bit in missed + crashed]
            else:
                failures.append(f"no {tool}")
        shutil.rmtree(directory)
    verdict("flips", failures)


if __name__ == "__main__":
    main()
