#!/usr/bin/env python3
"""What a background save costs those who use the server meanwhile, Basalt beside its peers.

    benches/compare/bgsave.py [--keys 5000000] [--case strings|hash|zset] [--server PATH ...]
                              [--prepare DIR | --use DIR]

Three cases: so many keys with values of 100 bytes under random SETs; one hash of so many fields and
one sorted set of so many members, under random HSET and ZADD of existing ones. A generator (redis-benchmark,
four connections, pipelines of 8) writes as fast as it is answered; one more connection asks GET, HGET or ZSCORE
of random keys, one at a time, another writes likewise, and both note how long each takes. Measured for some
seconds before and all the while BGSAVE runs:

- extra memory: of the server's own process the growth of used_memory and of the resident set from
  just before BGSAVE to its peak; for servers that fork, besides that, the private dirty pages of the
  child (what the parent and the child no longer share), the larger of the two ways of counting;
- p50, p99, p99.9 and longest of reads and of single writes, before and during;
- commands per second before and during, and how long the save took.

`--prepare` only writes a data file per case into a folder (with the first server), so that measured runs only load it.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests"))

from lib.resp import Closed, Connection, encode
from lib.servers import basalt_path, free_port, redis_path

CONNECTIONS, PIPELINE = 4, 8


def start(path, folder, *options):
    """A server process on a folder, when it has loaded what is there."""
    port = free_port()
    log = os.path.join(folder, "log")
    command = [path, "--port", str(port), "--dir", folder, "--save", "", "--logfile", log, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 300
    while time.time() < deadline:
        try:
            conn = Connection(port, 300)
            conn.send(encode([b"PING"]))
            if conn.replies(1)[0].startswith(b"+PONG"):
                return process, conn, port
            conn.close()
        except (OSError, Closed):
            pass
        time.sleep(0.1)
    raise SystemExit(f"{path} did not start")


def stop(process, conn):
    """Ends a server without another save."""
    try:
        conn.call("SHUTDOWN", "NOSAVE")
    except (OSError, Closed):
        pass
    process.wait(60)


def info(conn, *sections):
    """INFO as a dictionary."""
    text = b"".join(conn.call("INFO", section) + b"\r\n" for section in sections)
    return dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)


def value(source):
    """100 bytes that do not compress."""
    return b"%0100x" % source.getrandbits(400)


def write_command(case, i, source):
    """A command that changes an existing thing."""
    if case == "strings":
        return encode([b"SET", b"key:%012d" % i, value(source)])
    if case == "hash":
        return encode([b"HSET", b"big", b"field:%012d" % i, b"%016x" % source.getrandbits(64)])
    return encode([b"ZADD", b"big", b"%d" % source.randrange(1 << 40), b"member:%012d" % i])


def read_command(case, i):
    """A command that reads one."""
    if case == "strings":
        return encode([b"GET", b"key:%012d" % i])
    if case == "hash":
        return encode([b"HGET", b"big", b"field:%012d" % i])
    return encode([b"ZSCORE", b"big", b"member:%012d" % i])


def fill(conn, case, keys):
    """Puts the data in."""
    source = random.Random(7)
    for at in range(0, keys, 2000):
        count = min(2000, keys - at)
        conn.send(b"".join(write_command(case, i, source) for i in range(at, at + count)))
        conn.replies(count)


def prepare(path, case, keys, folder):
    """A data file of one case."""
    os.makedirs(os.path.join(folder, case), exist_ok=True)
    process, conn, _ = start(path, os.path.join(folder, case))
    fill(conn, case, keys)
    conn.call("SAVE")
    stop(process, conn)


def generator(port, case, keys):
    """redis-benchmark, writing as fast as it is answered."""
    command = {"strings": ["SET", "key:__rand_int__", "x" * 100],
               "hash": ["HSET", "big", "field:__rand_int__", "x" * 16],
               "zset": ["ZADD", "big", "__rand_int__", "member:__rand_int__"]}[case]
    return subprocess.Popen(["redis-benchmark", "-p", str(port), "-l", "-q", "-c", str(CONNECTIONS), "-P", str(PIPELINE),
                             "-r", str(keys), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def probe(port, case, keys, samples, ending, writes):
    """Reads, or writes, one thing at a time and notes when and how long."""
    import socket
    try:
        # The reader's own turn on the processor is not what is measured.
        os.nice(-15)
    except OSError:
        pass
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    source = random.Random(5)
    commands = [write_command(case, source.randrange(keys), source) if writes else read_command(case, source.randrange(keys))
                for _ in range(20_000)]
    taken = []
    while not ending.value:
        command = commands[int(random.random() * len(commands))]
        began = time.perf_counter_ns()
        sock.sendall(command)
        sock.recv(4096)
        ended = time.perf_counter_ns()
        taken.append((began, (ended - began) // 1000))
        time.sleep(0.001 if writes else 0.0002)
    samples.put(taken)


def private_dirty(pid):
    """Bytes of a process that no other process shares."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            return sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Private_Dirty:"))
    except OSError:
        return 0


def resident(pid):
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def children(pid):
    """Processes it has forked."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as listed:
            return [int(child) for child in listed.read().split()]
    except OSError:
        return []


def quantiles(taken):
    """p50, p99, p99.9 and the longest."""
    taken = sorted(took for _, took in taken)
    if not taken:
        return [0] * 4
    return [taken[min(len(taken) - 1, int(len(taken) * part))] for part in (0.5, 0.99, 0.999)] + [taken[-1]]


def measure(path, case, keys, seconds, folder):
    """The figures of one server and case."""
    process, conn, port = start(path, folder)
    pid = process.pid
    if case == "strings" and conn.call("DBSIZE") != keys:
        sys.exit(f"{path} did not load {keys} keys")
    reads, writes, ending = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Value("i", 0)
    workers = [multiprocessing.Process(target=probe, args=(port, case, keys, queue, ending, queue is writes))
               for queue in (reads, writes)]
    for worker in workers:
        worker.start()
    source = generator(port, case, keys)
    commands = lambda: int(info(conn, "stats")["total_commands_processed"])
    time.sleep(2)
    first, count = time.perf_counter_ns(), commands()
    time.sleep(seconds)
    before = info(conn, "memory")
    rss_before, dirty_before = resident(pid), private_dirty(pid)
    cut, at_cut = time.perf_counter_ns(), commands()
    rate_before = (at_cut - count) / ((cut - first) / 1e9)
    conn.call("BGSAVE")
    took_bgsave = (time.perf_counter_ns() - cut) // 1000
    used_peak = rss_peak = child_peak = 0
    while True:
        facts = info(conn, "memory", "persistence")
        used_peak = max(used_peak, int(facts["used_memory"]))
        rss_peak = max(rss_peak, resident(pid))
        child_peak = max([child_peak] + [private_dirty(child) for child in children(pid)])
        if facts["rdb_bgsave_in_progress"] == "0":
            break
        time.sleep(0.02)
    end, at_end = time.perf_counter_ns(), commands()
    ending.value = 1
    taken, put = reads.get(), writes.get()
    source.kill()
    source.wait()
    for worker in workers:
        worker.join()
    after = info(conn, "persistence", "stats")
    stop(process, conn)
    used = int(before["used_memory"])
    return {
        "status": after["rdb_last_bgsave_status"],
        "seconds": (end - cut) / 1e9,
        "used": used,
        "used_extra": max(0, used_peak - used),
        "rss_extra": max(0, rss_peak - rss_before) + child_peak,
        "rss_before": rss_before,
        "before": quantiles([s for s in taken if first <= s[0] < cut]),
        "during": quantiles([s for s in taken if cut <= s[0] < end]),
        "reads": sum(cut <= s[0] < end for s in taken),
        "rates": (rate_before, (at_end - at_cut) / ((end - cut) / 1e9)),
        "writes_before": quantiles([s for s in put if first <= s[0] < cut]),
        "writes_during": quantiles([s for s in put if cut <= s[0] < end]),
        "bgsave_us": took_bgsave,
        "own": {name: after[name] for name in after if name.startswith("snapshot_") or name in
                ("latest_fork_usec", "rdb_last_cow_size")},
        "dirty_before": dirty_before,
    }


def main():
    """Runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=5_000_000)
    parser.add_argument("--case", action="append", choices=["strings", "hash", "zset"])
    parser.add_argument("--server", action="append", help="servers to measure; Basalt and redis-server by default")
    parser.add_argument("--seconds", type=float, default=5, help="how long to measure before the save")
    parser.add_argument("--prepare", help="write data files into this folder and stop")
    parser.add_argument("--use", help="folder with data files")
    options = parser.parse_args()
    cases = options.case or ["strings", "hash", "zset"]
    paths = options.server or [basalt_path(), redis_path()]
    if options.prepare:
        for case in cases:
            prepare(paths[0], case, options.keys, options.prepare)
        return
    for case in cases:
        print(f"{case}, {options.keys} keys, fields or members")
        for path in paths:
            folder = tempfile.mkdtemp(prefix="basalt-bgsave-")
            try:
                if options.use:
                    os.link(os.path.join(options.use, case, "dump.rdb"), os.path.join(folder, "dump.rdb"))
                else:
                    prepare(path, case, options.keys, folder)
                    os.rename(os.path.join(folder, case, "dump.rdb"), os.path.join(folder, "dump.rdb"))
                result = measure(path, case, options.keys, options.seconds, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            mb = 1e6
            print(f"  {path}\n"
                  f"    save {result['status']} in {result['seconds']:.1f} s; used {result['used'] / mb:.0f} MB, extra used "
                  f"{result['used_extra'] / mb:.1f} MB ({result['used_extra'] * 100 / result['used']:.1f} %), extra resident "
                  f"{result['rss_extra'] / mb:.1f} MB ({result['rss_extra'] * 100 / result['rss_before']:.1f} %)")
            print(f"    BGSAVE answered after {result['bgsave_us']} us; commands/s {result['rates'][0]:.0f} before, "
                  f"{result['rates'][1]:.0f} during")
            print(f"    read us p50/p99/p99.9/max: before {result['before']}, during {result['during']} "
                  f"({result['reads']} reads), p99.9 x{result['during'][2] / max(1, result['before'][2]):.2f}")
            print(f"    write us p50/p99/p99.9/max: before {result['writes_before']}, during {result['writes_during']}")
            print(f"    {result['own']}", flush=True)


if __name__ == "__main__":
    main()
