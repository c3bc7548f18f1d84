#!/usr/bin/env python3
"""What scripts cost the server: Basalt beside its peers, in turn on the same machine.

    benches/compare/scripts.py [--rounds 3] [--requests 200000] [--only NAME] [peer ...]

Peers are paths of redis-server or valkey-server; the default is redis-server on the PATH. For each script CPU time
(user and system) of the server per request in microseconds, with 16 connections, one request at a time and in
pipelines of 16, and its ratio to that of the first peer. GET itself is there to compare with.

The server is bound to core 0 and the load to core 1. Rounds take the servers in turn, and the best round counts.
"""

import argparse
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests"))

from aof import bound, cpu_seconds, start
from lib.servers import basalt_path, redis_path

GET = "return redis.call('GET', KEYS[1])"
LIMITER = "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('EXPIRE', KEYS[1], 60) end return n"
FIVE = ("redis.call('SET', KEYS[1], ARGV[1]) redis.call('HSET', KEYS[2], 'f', ARGV[1]) redis.call('HGET', KEYS[2], 'f') "
        "redis.call('HLEN', KEYS[2]) return redis.call('STRLEN', KEYS[1])")
LIST = "return redis.call('LRANGE', KEYS[1], 0, -1)"
LIBRARY = "#!lua name=bench\nredis.register_function('bench_get', function(keys) return redis.call('GET', keys[1]) end)"
# Name -> words of the request; a script that is called by its hash stands in a tuple.
CASES = {
    "GET": ["GET", "k"],
    "EVALSHA GET": ["EVALSHA", (GET,), "1", "k"],
    "EVAL GET": ["EVAL", GET, "1", "k"],
    "FCALL GET": ["FCALL", "bench_get", "1", "k"],
    "EVALSHA limiter": ["EVALSHA", (LIMITER,), "1", "c"],
    "EVALSHA 5 calls": ["EVALSHA", (FIVE,), "2", "s", "h", "value"],
    "EVALSHA LRANGE 10": ["EVALSHA", (LIST,), "1", "l"],
}


def measure(path, case, options):
    """CPU microseconds per request one at a time and pipelined, in a server of its own."""
    server = start(path, [], True)
    try:
        conn = server.connect()
        for words in (["SET", "k", "v"], ["RPUSH", "l"] + [str(i) for i in range(10)], ["FUNCTION", "LOAD", LIBRARY]):
            conn.call(*words)
        words = [conn.call("SCRIPT", "LOAD", *word).decode() if isinstance(word, tuple) else word for word in CASES[case]]
        answer = conn.call(*words)
        if isinstance(answer, Exception):
            raise SystemExit(f"{path}: {answer}")
        conn.close()
        costs = []
        for pipeline, requests in ((1, options.requests // 4), (16, options.requests)):
            for part in (requests // 10, requests):
                before = cpu_seconds(server.process.pid)
                command = bound(1, ["redis-benchmark", "-p", str(server.port), "-c", "16", "-P", str(pipeline),
                                    "-n", str(part), "-q", *words])
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            costs.append((cpu_seconds(server.process.pid) - before) * 1e6 / requests)
        return costs
    finally:
        server.stop()


def main():
    """Runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", help="servers to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=200000, help="in pipelines of 16; a quarter without")
    parser.add_argument("--only", choices=CASES, help="one script")
    options = parser.parse_args()
    paths = (options.peers or [path for path in [redis_path()] if path]) + [basalt_path()]
    for path in paths:
        version = subprocess.run([path, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        print(f"{path}: {version}")
    print(f"{'request':<20}{'server':<18}{'CPU us':>8}{'ratio':>7}{'pipelined':>11}{'ratio':>7}")
    for case in [options.only] if options.only else CASES:
        best = [[1e9, 1e9] for _ in paths]
        for _ in range(options.rounds):
            for at, path in enumerate(paths):
                best[at] = [min(pair) for pair in zip(best[at], measure(path, case, options))]
        for path, (single, many) in zip(paths, best):
            print(f"{case:<20}{os.path.basename(path):<18}{single:>8.2f}{single / best[0][0]:>7.2f}"
                  f"{many:>11.2f}{many / best[0][1]:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
