#!/usr/bin/env python3
"""Stock clients against Basalt: redis-cli, redis-benchmark, redis-py, the examples, ioredis, a stock
redis.conf.

Every check looks at results. A client that cannot be had on this machine is reported as skipped
with the reason; with `--require` that is an error. Downloads go below target/.
"""

import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from lib.servers import ROOT, Server, basalt_path, redis_path
from lib.tools import Skip, need, node_with, out, python_with

def equal(found, expected, what):
    """Fails with both values."""
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


def redis_cli(server):
    """A scripted session, -3, --pipe, --scan, --bigkeys, --latency."""
    cli = [need("redis-cli"), "-p", str(server.port)]
    equal(out(cli + ["PING"]), b"PONG\n", "PING")
    script = (b"SET a 1\nINCR a\nAPPEND s hello\nRPUSH l 1 2 3\nLRANGE l 0 -1\nHSET h f v\nHGETALL h\n"
              b"SADD t x\nSMEMBERS t\nZADD z 1.5 m\nZRANGE z 0 -1 WITHSCORES\nMULTI\nSET b 2\nGET b\nEXEC\nTYPE z\nGET none\nNOSUCH\n")
    lines = out(cli, script).decode().splitlines()
    expected = ["OK", "2", "5", "3", "1", "2", "3", "1", "f", "v", "1", "x", "1", "m", "1.5", "OK", "QUEUED", "QUEUED",
                "OK", "2", "zset", "", "ERR unknown command 'NOSUCH', with args beginning with: ", ""]
    equal(lines, expected, "scripted session")
    equal(out(cli + ["-3", "HGETALL", "h"]), b"f v\n", "-3 HGETALL")
    many = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\npipe:%d\r\n$1\r\nx\r\n" % (5 + len(b"%d" % i), i) for i in range(20000))
    text = out(cli + ["--pipe"], many)
    assert b"errors: 0, replies: 20000" in text, text
    keys = out(cli + ["--scan", "--pattern", "pipe:*"]).split()
    equal(len(set(keys)), 20000, "--scan")
    text = out(cli + ["--bigkeys"])
    assert b"Sampled 2000" in text and b"1 hashs with 1 fields" in text, text[-800:]
    text = out(cli + ["--raw", "--latency", "-i", "1"], seconds=20)
    assert len(text.split()) >= 4, text
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as value:
        value.write("from a file")
        value.flush()
        with open(value.name, "rb") as source:
            equal(out(cli + ["-x", "SET", "file"], source.read()), b"OK\n", "-x")
    equal(out(cli + ["GET", "file"]), b"from a file\n", "GET after -x")
    equal(out(cli + ["-n", "3", "SET", "k", "v"]), b"OK\n", "-n 3")
    equal(out(cli + ["-n", "3", "DBSIZE"]), b"1\n", "DBSIZE of database 3")
    out(cli + ["FLUSHALL"])


def redis_benchmark(server):
    """All default tests, plain and with a pipeline."""
    tool = [need("redis-benchmark"), "-p", str(server.port), "-q", "--csv"]
    for options in (["-n", "2000", "-c", "20"], ["-n", "20000", "-c", "50", "-P", "16"], ["-n", "2000", "-3", "-r", "100"]):
        text = out(tool + options, seconds=240).decode()
        names = [line.split(",")[0].strip('"') for line in text.splitlines() if line.startswith('"')]
        for wanted in ("PING_INLINE", "SET", "GET", "INCR", "LPUSH", "SADD", "HSET", "SPOP", "ZADD", "ZPOPMIN", "LRANGE_600 (first 600 elements)", "MSET (10 keys)"):
            assert wanted in names, f"{wanted} missing with {options}: {text[-800:]}"
        assert "Error" not in text and "ERR" not in text, text[-800:]
    assert server.alive()


def python_with_redis():
    """A Python with redis-py from PyPI."""
    return python_with("interop", "redis==5.2.1")


def redis_py(server):
    """A session with redis-py."""
    python = python_with_redis()
    for resp in ("2", "3"):
        text = out([python, os.path.join(HERE, "redis_py_session.py"), str(server.port), resp])
        assert b"redis-py session ok" in text, text


def examples(server):
    """The scripts of examples/, each of which checks itself. Some seconds."""
    text = out([python_with_redis(), os.path.join(ROOT, "examples", "run.py"), "--port", str(server.port)])
    assert b"FAILED" not in text and text.count(b" ok\n") >= 10, text


def ioredis(server):
    """ioredis from npm."""
    node, environment = node_with("interop", "ioredis@5.4.1")
    text = out([node, os.path.join(HERE, "ioredis_session.js"), str(server.port)], env=environment)
    assert b"ioredis session ok" in text, text


def stock_config(_server):
    """The configuration file of the Debian package, untouched, with options behind it."""
    path = os.environ.get("REDIS_CONF", "/etc/redis/redis.conf")
    if not os.access(path, os.R_OK):
        raise Skip(f"no {path}")
    server = Server(basalt_path(), "--pidfile", "", "--logfile", "", config=path)
    try:
        conn = server.connect()
        equal(conn.call("CONFIG", "GET", "tcp-keepalive"), [b"tcp-keepalive", b"300"], "a value of the file")
        equal(conn.call("CONFIG", "GET", "port"), [b"port", str(server.port).encode()], "a value given behind it")
        equal(conn.call("SET", "a", "b"), b"OK", "SET")
        conn.close()
    finally:
        server.stop()


def redis_log(_server):
    """The directory of the log goes from Basalt, killed, to a real Redis and back."""
    program = redis_path()
    if not program:
        raise Skip("no redis-server")
    cli = need("redis-cli")
    # The bases are made of commands: Redis 7.0 does not read RDB files of 7.2.
    log = ["--appendonly", "yes", "--aof-use-rdb-preamble", "no"]
    basalt = Server(basalt_path(), *log)
    servers = [basalt]

    def ask(server, *words):
        return out([cli, "-p", str(server.port), *words])

    def state(server):
        return [ask(server, "DBSIZE"), ask(server, "LRANGE", "l", "0", "-1"), ask(server, "ZRANGE", "z", "0", "-1", "WITHSCORES"),
                ask(server, "XRANGE", "x", "-", "+"), sorted(ask(server, "HGETALL", "h").split()), ask(server, "-n", "3", "GET", "other"),
                ask(server, "SMEMBERS", "t"), ask(server, "PEXPIRETIME", "s")]

    try:
        script = b"".join(b"RPUSH l %d\nZADD z %d.5 m%d\nXADD x %d-1 f v\nHSET h f%d v\n" % (n, n, n, n, n) for n in range(1, 200))
        out([cli, "-p", str(basalt.port)], script + b"SET s v PX 100000000\nSADD t only\nMULTI\nINCR n\nINCR n\nEXEC\nSELECT 3\nSET other 1\n")
        ask(basalt, "BGREWRITEAOF")
        ask(basalt, "SET", "behind", "1")
        for _ in range(2):
            expected = state(basalt)
            basalt.kill()
            redis = Server(program, *log, directory=basalt.dir)
            servers.append(redis)
            equal(state(redis), expected, "what Redis loads of the log of Basalt")
            ask(redis, "SET", "by", "redis")
            expected = state(redis)
            redis.kill()
            basalt = Server(basalt_path(), *log, directory=basalt.dir)
            servers.append(basalt)
            equal(state(basalt), expected, "what Basalt loads of the log of Redis")
            ask(basalt, "RPUSH", "l", "more")
    finally:
        for server in servers:
            server.stop()


def main():
    """Runs the checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--require", action="store_true", help="a missing client is an error")
    parser.add_argument("--only", help="comma-separated names")
    options = parser.parse_args()
    checks = [redis_cli, redis_benchmark, redis_py, examples, ioredis, stock_config, redis_log]
    if options.only:
        checks = [c for c in checks if c.__name__ in options.only.split(",")]
    passed, failed, skipped = 0, 0, 0
    for check in checks:
        server = Server(basalt_path())
        try:
            check(server)
            passed += 1
            print(f"{check.__name__:<16} ok", flush=True)
        except Skip as reason:
            skipped += 1
            print(f"{check.__name__:<16} skipped: {reason}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired, RuntimeError, OSError) as error:
            failed += 1
            print(f"{check.__name__:<16} FAILED: {error}", flush=True)
            if not server.alive():
                print(server.log_text()[-3000:])
        finally:
            server.stop()
    print(f"interop: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or (skipped and options.require) else 0


if __name__ == "__main__":
    sys.exit(main())
