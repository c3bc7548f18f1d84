#!/usr/bin/env python3
"""What the append-only file costs: Basalt beside its peers, in turn on the same machine.

    benches/compare/aof.py [--part policy|always] [--turns 20] [--always-turns 6] [--seconds 3] [peer ...]

Peers are paths of redis-server or valkey-server; the default is redis-server on the PATH.

policy   SET with 50 connections and pipelines of 1 and 16, without the log, with `appendfsync
         everysec` and with `no`. The ratio is to the same server without the log: what
         durability costs who has it already. CPU is user and system time of the server per request.
always   50 writers under `appendfsync always`, then the same with 50 readers beside them, each
         asking for a key every 10 ms. Ratios are to the first peer: writes per second, and how
         long the slowest percent of the reads took. `--sync-ms 1` for machines whose disk says at once
         that all is written: there a sync costs the processor, not time.

The server is bound to core 0 and the load to core 1, except that under `always` nothing is bound:
there the disk is what one waits for. The servers that are compared run at once and are loaded in turn for
a moment each, many times: what else the machine does then meets all of them. A figure is the median of the
turns, a ratio the median of the ratios within a turn.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests"))

from lib.servers import Server, basalt_path, redis_path

TICK = os.sysconf("SC_CLK_TCK")
MODES = {"off": ["--appendonly", "no"],
         "everysec": ["--appendonly", "yes", "--appendfsync", "everysec"],
         "no": ["--appendonly", "yes", "--appendfsync", "no"]}
# No rewrite in between: it would be measured too, and at another time in each server.
COMMON = ["--auto-aof-rewrite-percentage", "0"]
READERS = 50
READ_EVERY_S = 0.01


def cpu_seconds(pid):
    """User and system time of a process, all threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def bound(core, command):
    """The command, bound to a core if that can be done."""
    return ["taskset", "-c", str(core)] + command if shutil.which("taskset") else command


def benchmark(port, requests, pipeline):
    """The command line of a load of SETs."""
    return ["redis-benchmark", "-p", str(port), "-t", "set", "-n", str(requests), "-c", "50", "-P", str(pipeline),
            "-r", "100000", "-d", "32", "--csv"]


def rate(text):
    """Requests per second in its output."""
    return float(re.search(r'"SET","([0-9.]+)"', text.decode()).group(1))


def compiled(name, folder, *options):
    """The program or library of a source beside this script."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.c")
    result = os.path.join(folder, name)
    subprocess.run(["cc", "-O2", "-o", result, source, *options], check=True)
    return result


def slowed(path, sync_ms, folder):
    """A program that runs the server on a disk whose syncs take so much longer."""
    if not sync_ms:
        return path
    library = compiled("slow_sync", folder, "-shared", "-fPIC", "-ldl")
    wrapper = os.path.join(folder, os.path.basename(path))
    with open(wrapper, "w", encoding="ascii") as script:
        script.write(f"#!/bin/sh\nSYNC_US={int(sync_ms * 1000)} LD_PRELOAD={library} exec {path} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    return wrapper


def start(path, mode, pin):
    """A server; bound to core 0 if wanted."""
    server = Server(path, *mode, *COMMON)
    if pin and shutil.which("taskset"):
        subprocess.run(["taskset", "-acp", "0", str(server.process.pid)], stdout=subprocess.DEVNULL, check=True)
    return server


def load(server, pipeline, requests):
    """`(requests per second, CPU microseconds per request)` of one run."""
    before = cpu_seconds(server.process.pid)
    command = bound(1, benchmark(server.port, requests, pipeline))
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return rate(text), (cpu_seconds(server.process.pid) - before) * 1e6 / requests


def middle(values):
    """The median."""
    return statistics.median(values)


def policy(names, paths, options):
    """The table of policies: three servers of a kind at once, loaded in turn for a moment each."""
    print(f"{'pipeline':<10}{'server':<18}{'log':<10}{'requests/s':>12}{'ratio':>8}{'CPU us/req':>12}{'ratio':>8}")
    for pipeline, requests in ((1, options.requests // 4), (16, options.requests)):
        for name, path in zip(names, paths):
            servers = {mode: start(path, args, True) for mode, args in MODES.items()}
            got = {mode: [] for mode in MODES}
            try:
                for server in servers.values():
                    load(server, pipeline, requests)
                for turn in range(options.turns):
                    for mode in list(MODES)[::1 if turn % 2 else -1]:
                        got[mode].append(load(servers[mode], pipeline, requests))
            finally:
                for server in servers.values():
                    server.stop()
            for mode, runs in got.items():
                speed = middle([one / off for (one, _), (off, _) in zip(runs, got["off"])])
                cpu, of_off = (sum(cpu for _, cpu in one) / options.turns for one in (runs, got["off"]))
                print(f"{pipeline:<10}{name:<18}{mode:<10}{middle([one for one, _ in runs]):>12.0f}{speed:>8.2f}{cpu:>12.3f}"
                      f"{cpu / of_off:>8.2f}", flush=True)


def read_for(program, port, seconds, took):
    """Lets the readers ask for that long; notes how many seconds each answer took."""
    command = [program, str(port), str(READERS), str(int(READ_EVERY_S * 1e6)), str(seconds)]
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    took.extend(int(line) / 1e6 for line in out.split())


def writes_for(server, seconds, reader):
    """`(writes per second, seconds that each read took)`; reads only with the program that makes them."""
    writers = subprocess.Popen(["timeout", "-s", "INT", str(seconds + 0.8)] +
                               ["redis-benchmark", "-p", str(server.port), "-t", "set", "-n", "100000000", "-c", "50",
                                "-r", "100000", "-d", "32", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    conn = server.connect()
    took = []
    time.sleep(0.5)
    writes = lambda: int(re.search(rb"cmdstat_set:calls=(\d+)", conn.call("INFO", "commandstats")).group(1))
    before, began = writes(), time.monotonic()
    if reader:
        read_for(reader, server.port, seconds, took)
    else:
        time.sleep(seconds)
    speed = (writes() - before) / (time.monotonic() - began)
    writers.wait()
    conn.close()
    return speed, took


def always(names, paths, options):
    """The table of writers and readers: all servers at once, loaded in turn."""
    folder = tempfile.mkdtemp(prefix="basalt-bench-")
    reader = compiled("paced_reads", folder)
    servers = []
    alone, beside, reads = ([[] for _ in paths] for _ in range(3))
    try:
        for number, path in enumerate(paths):
            own = os.path.join(folder, str(number))
            os.mkdir(own)
            servers.append(start(slowed(path, options.sync_ms, own), ["--appendonly", "yes", "--appendfsync", "always"], False))
        for turn in range(-1, options.always_turns):
            for which in list(range(len(paths)))[::1 if turn % 2 else -1]:
                got = writes_for(servers[which], options.seconds, None)[0], *writes_for(servers[which], options.seconds, reader)
                # The first turn is not counted.
                if turn >= 0:
                    for into, one in zip((alone, beside, reads), got):
                        into[which].append(one)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)
    print(f"{'server':<18}{'writes/s':>10}{'ratio':>7}{'beside readers':>16}{'ratio':>7}"
          f"{'read p50 ms':>13}{'p99 ms':>9}{'ratio':>7}")
    ratio = lambda runs, which: middle([one / first for one, first in zip(runs[which], runs[0])])
    at = lambda share: [[sorted(took)[int(len(took) * share)] * 1000 for took in turns] for turns in reads]
    p50, p99 = at(0.5), at(0.99)
    for which, name in enumerate(names):
        print(f"{name:<18}{middle(alone[which]):>10.0f}{ratio(alone, which):>7.2f}{middle(beside[which]):>16.0f}"
              f"{ratio(beside, which):>7.2f}{middle(p50[which]):>13.2f}{middle(p99[which]):>9.2f}{ratio(p99, which):>7.2f}")


def main():
    """Runs and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", help="servers to compare with")
    parser.add_argument("--part", choices=("policy", "always"))
    parser.add_argument("--requests", type=int, default=150000, help="of a moment with a pipeline of 16; a quarter without")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run under always")
    parser.add_argument("--always-turns", type=int, default=6)
    parser.add_argument("--sync-ms", type=float, default=0, help="under always, milliseconds that each sync takes longer")
    options = parser.parse_args()
    paths = (options.peers or [path for path in [redis_path()] if path]) + [basalt_path()]
    names = [f"{os.path.basename(path)}{'' if i == 0 or i == len(paths) - 1 else f' {i + 1}'}" for i, path in enumerate(paths)]
    for name, path in zip(names, paths):
        version = subprocess.run([path, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        print(f"{name}: {version}")
    print(f"{os.cpu_count()} cores, {options.turns} turns, under always {options.always_turns}\n")
    if options.part != "always":
        policy(names, paths, options)
        print()
    if options.part != "policy":
        always(names, paths, options)


if __name__ == "__main__":
    main()
