#!/usr/bin/env python3
"""Slow scripts over the wire, and what of scripts outlives the process. About 15 s.

    tests/scripts/run.py [--only name,name]

While a script is slow, whoever asks is told, on its own thread and on others, by connections old
and new; it may be killed as long as it has not written, also when it catches errors. Functions
and effects are there after a restart from either kind of file.
"""

import argparse
import os
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.servers import Server, basalt_path

BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
LOOP = "while true do end"
LIBRARY = "#!lua name=lib\nredis.register_function('loop', function() while true do pcall(function() while true do end end) end end)\n" \
          "redis.register_function('put', function(k, a) return redis.call('set', k[1], a[1]) end)\nredis.register_function{function_name='get', callback=function(k) return redis.call('get', k[1]) end, flags={'no-writes'}}"


def expect(what, got, wanted):
    """Fails unless the reply begins so; errors count by their text."""
    got = str(got) if isinstance(got, Exception) else got
    got = got.decode("latin-1") if isinstance(got, bytes) else got
    if not (got == wanted or isinstance(got, str) and isinstance(wanted, str) and wanted and got.startswith(wanted)):
        raise AssertionError(f"{what}: got {got!r}, expected {wanted!r}")


def wait_busy(conn, wanted=BUSY):
    """PINGs until the answer is BUSY."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        got = conn.call("PING")
        if isinstance(got, Exception) and str(got).startswith("BUSY"):
            return expect("PING of another client", got, wanted)
        time.sleep(0.02)
    raise AssertionError("nobody was told that the server is busy")


class Later:
    """A command whose reply comes later, on a connection of its own."""

    def __init__(self, server, *words):
        self.conn = server.connect(60)
        self.reply = None
        self.thread = threading.Thread(target=self._run, args=words, daemon=True)
        self.thread.start()

    def _run(self, *words):
        try:
            self.reply = self.conn.call(*words)
        except Exception as error:  # pylint: disable=broad-except
            self.reply = error

    def get(self, seconds=20):
        """The reply."""
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise AssertionError("no reply")
        return self.reply


def start(threads, *more, directory=None):
    """A server that is busy after 100 ms."""
    return Server(basalt_path(), "--io-threads", str(threads), "--busy-reply-threshold", "100",
                  "--enable-debug-command", "yes", *more, directory=directory)


def busy(threads):
    """BUSY and SCRIPT KILL with so many worker threads."""
    server = start(threads)
    try:
        olds = [server.connect() for _ in range(4)]
        for script in (LOOP, "pcall(function() while true do end end) return 1",
                       "while true do redis.pcall('get', 'x') end",
                       "local f = coroutine.wrap(function() while true do end end) pcall(f) f()"):
            expect("SCRIPT KILL of nothing", olds[0].call("SCRIPT", "KILL"), "NOTBUSY No scripts in execution right now.")
            running = Later(server, "EVAL", script, "0")
            time.sleep(0.02)
            early = [Later(server, "GET", "x"), Later(server, "MSET", "a", "1", "b", "2"), Later(server, "DBSIZE")]
            wait_busy(server.connect())
            for old in olds:
                wait_busy(old)
                expect("a write", old.call("SET", "x", "1"), BUSY)
            fresh = server.connect()
            expect("GET", fresh.call("GET", "x"), BUSY)
            expect("another script", fresh.call("EVAL", "return 1", "0"), BUSY)
            expect("FUNCTION STATS", fresh.call("FUNCTION", "STATS"), BUSY)
            expect("FUNCTION KILL", fresh.call("FUNCTION", "KILL"), BUSY)
            expect("SHUTDOWN with a save", fresh.call("SHUTDOWN", "SAVE"), BUSY)
            expect("MULTI", fresh.call("MULTI"), "OK")
            expect("queueing", fresh.call("GET", "x"), BUSY)
            expect("EXEC", fresh.call("EXEC"), "EXECABORT")
            expect("HELLO", str(fresh.call("HELLO", "2"))[:1], "[")
            expect("RESET", fresh.call("RESET"), "RESET")
            expect("SCRIPT KILL", fresh.call("SCRIPT", "KILL"), "OK")
            expect("the script", running.get(), "ERR ")
            expect("the script", "Script killed by user with SCRIPT KILL" in str(running.reply), True)
            for late in early:
                # With one thread they were read when the script was slow, or after it.
                late.get()
            expect("PING after that", fresh.call("PING"), "PONG")
            expect("a script after that", fresh.call("EVAL", "return 7", "0"), 7)
    finally:
        server.stop()


def waiters():
    """Clients on other threads that wait for a script's locks are told when it is slow."""
    server = start(3)
    try:
        # Its key is theirs: those on other threads would not have to wait otherwise.
        running = Later(server, "EVAL", "redis.call('get', 'x') " + LOOP, "0")
        time.sleep(0.03)
        early = [Later(server, "GET", "x") for _ in range(6)]
        time.sleep(0.4)
        told = sum(isinstance(late.get(5), Exception) and str(late.reply).startswith("BUSY") for late in early)
        expect("clients that were told", told, 6)
        expect("SCRIPT KILL", server.connect().call("SCRIPT", "KILL"), "OK")
        running.get()
    finally:
        server.stop()


def written():
    """A script that has written is not killed, and SHUTDOWN NOSAVE ends even that."""
    server = start(1, "--appendonly", "yes")
    try:
        watcher, gone = server.connect(), server.connect()
        for conn in (watcher, gone):
            expect("WATCH", conn.call("WATCH", "k"), "OK")
        running = Later(server, "EVAL", "redis.call('set', 'k', 'v') local n = 0 while n < 3e8 do n = n + 1 end return n", "0")
        conn = server.connect()
        wait_busy(conn)
        expect("SCRIPT KILL", conn.call("SCRIPT", "KILL"), "UNKILLABLE Sorry the script already executed write commands")
        gone.close()
        expect("WATCH of its key", conn.call("WATCH", "k"), "BUSY")
        expect("the script", running.get(120), 300000000)
        expect("MULTI", watcher.call("MULTI"), "OK")
        expect("PING", watcher.call("PING"), "QUEUED")
        expect("EXEC of a watched key", watcher.call("EXEC"), None)
        running = Later(server, "EVAL", "redis.call('set', 'k', 'w') " + LOOP, "0")
        wait_busy(conn)
        try:
            conn.call("SHUTDOWN", "NOSAVE")
        except Exception:  # pylint: disable=broad-except
            pass
        expect("the end", server.process.wait(10), 0)
    finally:
        server.stop()


def transactions():
    """A slow script in EXEC, and a function."""
    server = start(1)
    try:
        conn, other = server.connect(), server.connect()
        expect("FUNCTION LOAD", conn.call("FUNCTION", "LOAD", LIBRARY), "lib")
        running = Later(server, "FCALL", "loop", "0")
        wait_busy(other, BUSY_FUNCTION)
        expect("SCRIPT KILL", other.call("SCRIPT", "KILL"), BUSY_FUNCTION)
        stats = other.call("FUNCTION", "STATS")
        expect("FUNCTION STATS", stats[1][1], "loop")
        expect("FUNCTION KILL", other.call("FUNCTION", "KILL"), "OK")
        expect("the function", "Script killed" in str(running.get()), True)
        for words in (["MULTI"], ["SET", "a", "1"], ["EVAL", LOOP, "0"], ["SET", "b", "2"]):
            expect("queueing", conn.call(*words), "OK" if words == ["MULTI"] else "QUEUED")
        thread = threading.Thread(target=lambda: setattr(conn, "got", conn.call("EXEC")))
        thread.start()
        wait_busy(other)
        expect("SCRIPT KILL", other.call("SCRIPT", "KILL"), "OK")
        thread.join(10)
        expect("EXEC", [str(x)[:3] for x in conn.got], [str(b"OK")[:3], "ERR", str(b"OK")[:3]])
        expect("GET", other.call("GET", "b"), "2")
    finally:
        server.stop()


def idle():
    """A client that goes away while its script runs costs nothing but the script."""
    server = start(1)
    try:
        conn = server.connect()
        conn.send(b"*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n")
        other = server.connect()
        wait_busy(other)
        conn.close()
        time.sleep(0.1)
        wait_busy(other)
        expect("SCRIPT KILL", other.call("SCRIPT", "KILL"), "OK")
        deadline = time.monotonic() + 5
        while isinstance(other.call("PING"), Exception) and time.monotonic() < deadline:
            time.sleep(0.01)
        expect("PING", other.call("PING"), "PONG")
    finally:
        server.stop()


def restarts():
    """Functions and the effects of scripts, from a snapshot and from a log."""
    for more in (["--appendonly", "no"], ["--appendonly", "yes"], ["--appendonly", "yes", "--aof-use-rdb-preamble", "no"]):
        directory = tempfile.mkdtemp(prefix="basalt-scripts-")
        server = start(1, *more, directory=directory)
        conn = server.connect()
        expect("FUNCTION LOAD", conn.call("FUNCTION", "LOAD", LIBRARY), "lib")
        expect("FCALL", conn.call("FCALL", "put", "1", "k", "from-function"), "OK")
        script = "redis.call('set', KEYS[1], redis.call('time')[1]) redis.call('sadd', 's', unpack(ARGV)) redis.call('spop', 's') return redis.call('get', KEYS[1])"
        stamp = conn.call("EVAL", script, "1", "stamp", *map(str, range(50)))
        left = sorted(conn.call("SMEMBERS", "s"))
        if more[1] == "no":
            expect("SAVE", conn.call("SAVE"), "OK")
        elif len(more) > 2:
            conn.call("BGREWRITEAOF")
            deadline = time.monotonic() + 10
            while b"aof_rewrite_in_progress:1" in conn.call("INFO", "persistence") and time.monotonic() < deadline:
                time.sleep(0.02)
        time.sleep(0.1)
        server.kill()
        server.log.close()
        server = start(1, *more, directory=directory)
        try:
            conn = server.connect()
            expect("the effect of a script", conn.call("GET", "stamp"), stamp.decode())
            expect("what chance left", sorted(conn.call("SMEMBERS", "s")), left)
            expect("FCALL after a restart", conn.call("FCALL_RO", "get", "1", "k"), "from-function")
            expect("FUNCTION LIST", len(conn.call("FUNCTION", "LIST")), 1)
            expect("EVALSHA", conn.call("EVALSHA", "0" * 40, "0"), "NOSCRIPT")
        finally:
            server.stop()


CASES = {"busy-1": lambda: busy(1), "busy-2": lambda: busy(2), "waiters": waiters, "written": written,
         "transactions": transactions, "idle": idle, "restarts": restarts}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="comma-separated: " + ",".join(CASES))
    options = parser.parse_args()
    failed = 0
    for name in options.only.split(",") if options.only else CASES:
        began = time.monotonic()
        try:
            CASES[name]()
            print(f"ok   {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"FAIL {name}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
