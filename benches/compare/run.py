#!/usr/bin/env python3
"""Basalt beside its peers, in turn on the same machine in the same run.

    benches/compare/run.py [--requests 1000000] [--keys 1000000] [peer ...]

Peers are paths of redis-server or valkey-server; the default is redis-server on the PATH. The
load generator is redis-benchmark. The server is bound to core 0 and the load to core 1. For
GET and SET with 50 connections and pipelines of 1, 16 and 64 it prints throughput and the
server's CPU time (user and system, from /proc) per request, each with its ratio to the first
peer, and the memory of a million keys of 16 bytes with values of 32 bytes. Rounds are repeated
and the best is taken, as other work on the machine only ever slows down.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests"))

from lib.resp import encode
from lib.servers import Server, basalt_path, redis_path

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process, all threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def info(server, section):
    """INFO as a dictionary."""
    conn = server.connect()
    text = conn.call("INFO", section)
    conn.close()
    return dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)


def load(server, test, pipeline, requests):
    """`(requests per second, CPU microseconds per request)` of one run."""
    before = cpu_seconds(server.process.pid)
    command = ["redis-benchmark", "-p", str(server.port), "-t", test, "-n", str(requests), "-c", "50",
               "-P", str(pipeline), "-r", "100000", "-d", "32", "--csv"]
    if shutil.which("taskset"):
        command = ["taskset", "-c", "1"] + command
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
    used = cpu_seconds(server.process.pid) - before
    rate = float(re.search(rf'"{test.upper()}","([0-9.]+)"', text).group(1))
    return rate, used * 1e6 / requests


def start(path):
    """A server bound to core 0."""
    server = Server(path, "--appendonly", "no")
    if shutil.which("taskset"):
        subprocess.run(["taskset", "-acp", "0", str(server.process.pid)], stdout=subprocess.DEVNULL, check=True)
    return server


def memory(path, keys):
    """Memory of a server with that many keys."""
    server = start(path)
    empty = int(info(server, "memory")["used_memory"])
    conn = server.connect(120)
    for begin in range(0, keys, 5000):
        chunk = [encode([b"SET", b"key:%012d" % i, b"%032d" % i]) for i in range(begin, min(begin + 5000, keys))]
        conn.send(b"".join(chunk))
        conn.replies(len(chunk))
    time.sleep(0.3)
    facts = info(server, "memory")
    size = conn.call("DBSIZE")
    conn.close()
    server.stop()
    if size != keys:
        sys.exit(f"{path} holds {size} keys, not {keys}")
    used = int(facts["used_memory"])
    return {"used_memory per key": (used - empty) / keys,
            "allocator_allocated per key": (int(facts.get("allocator_allocated", 0)) - empty) / keys,
            "used_memory_rss MB": int(facts.get("used_memory_rss", 0)) / 1e6}


def main():
    """Runs and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", help="servers to compare with")
    parser.add_argument("--requests", type=int, default=1000000, help="for a pipeline of 16 and more; a quarter without")
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    paths = (options.peers or [redis_path()]) + [basalt_path()]
    names = [os.path.basename(p) if paths.index(p) == i and [os.path.basename(q) for q in paths].count(os.path.basename(p)) == 1
             else p for i, p in enumerate(paths)]
    for name, path in zip(names, paths):
        version = subprocess.run([path, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        print(f"{name}: {version}")
    print(f"{os.cpu_count()} cores, 50 connections, values of 32 bytes, best of {options.rounds} rounds\n")
    servers = [start(path) for path in paths]
    print(f"{'test':<8}{'pipeline':>9}  {'server':<18}{'requests/s':>12}{'ratio':>8}{'CPU us/req':>12}{'ratio':>8}")
    try:
        for test in ("set", "get"):
            for pipeline in (1, 16, 64):
                requests = options.requests if pipeline > 1 else options.requests // 4
                best = [(0.0, 1e9)] * len(servers)
                for _ in range(options.rounds):
                    for i, server in enumerate(servers):
                        rate, cpu = load(server, test, pipeline, requests)
                        best[i] = (max(best[i][0], rate), min(best[i][1], cpu))
                for i, (rate, cpu) in enumerate(best):
                    print(f"{test.upper():<8}{pipeline:>9}  {names[i]:<18}{rate:>12.0f}{rate / best[0][0]:>8.2f}"
                          f"{cpu:>12.3f}{cpu / best[0][1]:>8.2f}", flush=True)
    finally:
        for server in servers:
            server.stop()
    print(f"\n{options.keys} keys of 16 bytes with values of 32 bytes")
    results = [memory(path, options.keys) for path in paths]
    for fact in results[0]:
        for name, result in zip(names, results):
            print(f"{fact:<30}{name:<18}{result[fact]:>10.1f}{result[fact] / (results[0][fact] or 1):>8.2f}")


if __name__ == "__main__":
    main()
