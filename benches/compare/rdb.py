#!/usr/bin/env python3
"""Saving and loading an RDB file, Basalt beside its peers, in turn in the same run.

    benches/compare/rdb.py [--keys 1000000] [--rounds 3] [peer ...]

Each server holds the same keys of 16 bytes with values of 32 random letters. Measured are SAVE (megabytes of the
file per second of wall time) and the load at start (keys per second, by the server's own log line). Every server
loads the file that the first peer wrote, and its own. The best of the rounds counts.
"""

import argparse
import os
import random
import re
import shutil
import string
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests"))

from lib.resp import Closed, Connection, encode
from lib.servers import basalt_path, free_port, redis_path


def start(path, port, folder, *options):
    """A server process on a folder, with its log in it."""
    log = os.path.join(folder, "log")
    if os.path.exists(log):
        os.remove(log)
    command = [path, "--port", str(port), "--dir", folder, "--save", "", "--logfile", log, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while time.time() < deadline:
        try:
            conn = Connection(port, 120)
            conn.send(encode([b"PING"]))
            if conn.replies(1)[0].startswith(b"+PONG"):
                return process, conn, log
            conn.close()
        except (OSError, Closed):
            pass
        time.sleep(0.05)
    raise SystemExit(f"{path} did not start")


def fill(conn, keys):
    """The same keys for everybody."""
    source = random.Random(7)
    letters = string.ascii_letters + string.digits
    for at in range(0, keys, 10_000):
        batch = b"".join(
            encode([b"SET", b"key:%012d" % i, "".join(source.choices(letters, k=32)).encode()])
            for i in range(at, min(at + 10_000, keys))
        )
        conn.send(batch)
        conn.replies(min(10_000, keys - at))


def stop(process, conn):
    """Ends a server without another save."""
    try:
        conn.call("SHUTDOWN", "NOSAVE")
    except (OSError, Closed):
        pass
    process.wait(30)


def save(path, keys, folder, rounds):
    """`(megabytes per second, file size)` of SAVE."""
    process, conn, _ = start(path, free_port(), folder)
    fill(conn, keys)
    best = 0.0
    for _ in range(rounds):
        began = time.time()
        conn.call("SAVE")
        took = time.time() - began
        size = os.path.getsize(os.path.join(folder, "dump.rdb"))
        best = max(best, size / took / 1e6)
    stop(process, conn)
    return best, size


def load(path, keys, folder, rounds):
    """Keys per second of the load at start."""
    best = 0.0
    for _ in range(rounds):
        process, conn, log = start(path, free_port(), folder)
        assert conn.call("DBSIZE") == keys, "all keys are there"
        with open(log, encoding="utf-8", errors="replace") as text:
            took = float(re.findall(r"DB loaded from \S+: ([0-9.]+) seconds", text.read())[-1])
        best = max(best, keys / took)
        stop(process, conn)
    return best


def main():
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("peers", nargs="*")
    args = parser.parse_args()
    servers = [("basalt", basalt_path())] + [(os.path.basename(p), p) for p in args.peers or [redis_path()]]
    folders, figures = {}, {}
    for name, path in servers:
        folders[name] = tempfile.mkdtemp(prefix="rdb-bench-")
        speed, size = save(path, args.keys, folders[name], args.rounds)
        figures[name] = [speed, size]
    foreign = folders[servers[1][0]]
    for name, path in servers:
        figures[name].append(load(path, args.keys, folders[name], args.rounds))
        figures[name].append(load(path, args.keys, foreign, args.rounds))
    peer = figures[servers[1][0]]
    print(f"{'server':16} {'SAVE MB/s':>10} {'file MB':>8} {'load own keys/s':>16} {'load peer keys/s':>17}")
    for name, _ in servers:
        speed, size, own, theirs = figures[name]
        print(f"{name:16} {speed:10.0f} {size / 1e6:8.1f} {own:16.0f} {theirs:17.0f}", end="")
        print(f"   {speed / peer[0]:.2f}x  {own / peer[2]:.2f}x  {theirs / peer[3]:.2f}x")
    for folder in folders.values():
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
