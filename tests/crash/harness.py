"""What the crash harnesses share: servers that are killed, disks that fail, clients that know what was
acknowledged to them, and the comparison of that with what a restart brings back.

A harness runs the same test on each server it is given (`--server`, any number of times; Basalt and the
redis-server on the PATH without it) and prints a line of figures for each. Only Basalt has to keep the
bar: what others lose is printed, not judged.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.resp import Closed, Connection, encode
from lib.servers import ROOT, basalt_path, free_port, redis_path

START_LIMIT_S = 60
# A start that takes longer is shown with its log.
SLOW_START_S = 10


class Refused(Exception):
    """The server did not start on the data it was given; `code` is its exit code, None if it hung."""

    def __init__(self, code, log):
        super().__init__(f"the server did not start (exit {code}): {log[-600:].strip()}")
        self.code = code
        self.log = log


class Lost(Exception):
    """Something acknowledged is not there, or half of a transaction is."""


def is_basalt(program):
    """Whether a server is Basalt, which has to keep the bars; others are only measured."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return "basalt" in (said.stdout + said.stderr).lower() or "basalt" in os.path.basename(program)


def title(program):
    """A server's name and version for the output."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    name = "basalt" if is_basalt(program) else os.path.basename(program).removesuffix("-server")
    version = next((word[2:] for word in said.split() if word.startswith("v=")), "")
    return f"{name} {version}".strip()


class Node:
    """A server process on a data directory that outlives it."""

    def __init__(self, program, *flags, directory=None, environment=None, prefix=()):
        self.program = os.path.abspath(program)
        self.flags = [str(flag) for flag in flags]
        self.own = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="basalt-crash-")
        self.environment = dict(environment or {})
        self.prefix = list(prefix)
        self.log_path = tempfile.mkstemp(prefix="basalt-crash-", suffix=".log")[1]
        self.log_from = 0
        self.process = None
        self.pid = 0
        self.port = 0

    def start(self, *more):
        """Starts the server and waits until it has loaded its data. Raises `Refused`."""
        for _ in range(5):
            try:
                return self._start(*more)
            except Refused as refused:
                # Somebody else took the port in between.
                if "already in use" not in refused.log:
                    raise
        raise RuntimeError("no free port")

    def _start(self, *more):
        self.log_from = os.path.getsize(self.log_path)
        self.port = free_port()
        command = [*self.prefix, self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir,
                   "--save", "", "--daemonize", "no", "--logfile", "", *self.flags, *[str(word) for word in more]]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir,
                                            env={**os.environ, **self.environment})
        began = time.monotonic()
        deadline = began + START_LIMIT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Refused(self.process.returncode, self.log())
            try:
                conn = self.connect(timeout=5)
                reply = conn.call("PING")
                self.pid = self.pid_of(conn) if reply == b"PONG" and self.prefix else self.process.pid
                conn.close()
                if reply == b"PONG":
                    if time.monotonic() - began > SLOW_START_S:
                        print(f"  a slow start, {time.monotonic() - began:.1f} s:\n{self.log()[-1500:]}", flush=True)
                    return self
            except (OSError, Closed):
                pass
            time.sleep(0.005)
        self.kill()
        raise Refused(None, self.log())

    @staticmethod
    def pid_of(conn):
        """The process id the server tells."""
        return int(info(conn, "server")["process_id"])

    def connect(self, timeout=20.0):
        """A new connection."""
        return Connection(self.port, timeout)

    def call(self, *args):
        """One command on a connection of its own."""
        conn = self.connect()
        try:
            return conn.call(*args)
        finally:
            conn.close()

    def info(self, section="persistence"):
        """INFO as a dictionary."""
        conn = self.connect()
        try:
            return info(conn, section)
        finally:
            conn.close()

    def alive(self):
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def exit_code(self, seconds):
        """The exit code, once it has ended by itself; None when it goes on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        """SIGKILL."""
        if not self.alive():
            return
        if self.prefix and self.pid:
            try:
                os.kill(self.pid, 9)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        else:
            self.process.kill()
        self.process.wait()

    def log(self):
        """What it has logged since it was last started."""
        with open(self.log_path, "rb") as file:
            file.seek(self.log_from)
            return file.read().decode("utf-8", "replace")

    def end(self):
        """Ends it; a directory that was made for it goes too."""
        self.kill()
        if self.own:
            shutil.rmtree(self.dir, ignore_errors=True)
        os.unlink(self.log_path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def info(conn, section):
    """A section of INFO as a dictionary."""
    text = conn.call("INFO", section)
    lines = text.decode().split("\r\n") if isinstance(text, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


# Clients of each kind: the number of requests a client sends at once.
DEPTHS = (1, 1, 2, 4, 16)


class Load:
    """Clients that write without a pause and note what was acknowledged, and when.

    Each client has keys of its own: a counter pair `a`, `b` that only MULTI changes, and a list that
    gets the numbers from 1 on. So after a restart each list must be 1..n without a gap, the pair equal, and
    both at least what was acknowledged.
    """

    def __init__(self, node, name, clients=20, pause=0.0):
        self.node = node
        self.name = name
        self.pairs = [0] * clients
        self.lists = [0] * clients
        # When each number of a list was acknowledged: (number, time), in order.
        self.times = [[] for _ in range(clients)]
        self.errors = []
        self.stopping = False
        self.pause = pause
        self.threads = [threading.Thread(target=self._client, args=(at, DEPTHS[at % len(DEPTHS)]), daemon=True)
                        for at in range(clients)]

    def key(self, kind, at):
        """A client's key."""
        return b"%s:%s:%d" % (self.name.encode(), kind.encode(), at)

    def _client(self, at, depth):
        pair = b"".join([encode([b"MULTI"]), encode([b"INCR", self.key("a", at)]),
                         encode([b"INCR", self.key("b", at)]), encode([b"EXEC"])])
        queue, number = self.key("l", at), 0
        try:
            conn = self.node.connect()
            while not self.stopping:
                items = range(number + 1, number + depth + 1)
                conn.send(b"".join(pair + encode([b"RPUSH", queue, b"%d" % item]) for item in items))
                number += depth
                time.sleep(self.pause)
                for item in items:
                    # Reply by reply: those that came count even if the rest does not.
                    done, pushed = conn.replies(5)[3:]
                    if done[:1] == b"*":
                        self.pairs[at] = int(done.rsplit(b":", 1)[1])
                    if pushed[:1] == b":":
                        self.lists[at] = item
                        self.times[at].append((item, time.monotonic()))
                    else:
                        # What was refused leaves a gap, so the client ends.
                        self.errors.append(pushed.decode("latin-1").strip())
                        return
        except (Closed, OSError):
            pass

    def start(self):
        """Lets the clients go."""
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        """Has the clients end when all they sent is answered."""
        self.stopping = True
        return self.join()

    def join(self):
        """Waits until all have noticed that the server is gone, or have been refused."""
        for thread in self.threads:
            thread.join()
        return self

    def acknowledged(self):
        """Transactions and pushes together."""
        return sum(self.pairs) + sum(self.lists)

    def noted(self):
        """What is acknowledged at this moment, to be held against a restart later."""
        return list(self.pairs), list(self.lists), time.monotonic()

    def compare(self, conn, noted=None):
        """`(lost, window)`: writes acknowledged and not there, and the age in seconds of the oldest of
        them. Raises `Lost` for what may never be: a gap, or half of a transaction."""
        pairs, lists, moment = noted or self.noted()
        lost, oldest = 0, moment
        for at, promised in enumerate(pairs):
            a, b = (int(conn.call("GET", self.key(kind, at)) or 0) for kind in "ab")
            if a != b:
                raise Lost(f"half a transaction: {self.key('a', at)} is {a}, {self.key('b', at)} is {b}")
            lost += max(0, promised - a)
        for at, promised in enumerate(lists):
            found = [int(item) for item in conn.call("LRANGE", self.key("l", at), 0, -1)]
            if found != list(range(1, len(found) + 1)):
                raise Lost(f"a gap in {self.key('l', at)}: {len(found)} entries up to {found[-1]}")
            if len(found) < promised:
                lost += promised - len(found)
                first = next(when for number, when in self.times[at] if number > len(found))
                oldest = min(oldest, first)
        return lost, moment - oldest


def fill(conn, keys, size=100):
    """Data for snapshots to take time over."""
    batch = 500
    for begin in range(0, keys, batch):
        many = [encode([b"SET", b"fill:%d" % at, os.urandom(size // 2).hex().encode()])
                for at in range(begin, min(keys, begin + batch))]
        conn.send(b"".join(many))
        conn.replies(len(many))


def arguments(about, **more):
    """The options all harnesses have: servers, size, seed."""
    parser = argparse.ArgumentParser(description=about.strip().split("\n")[0])
    parser.add_argument("--server", action="append", help="a server's path; any number of times")
    parser.add_argument("--only-basalt", action="store_true", help="do not run the reference")
    parser.add_argument("--full", action="store_true", help="the size for a release")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    for name, options in more.items():
        parser.add_argument("--" + name.replace("_", "-"), **options)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    random.seed(given.seed)
    if not given.server:
        reference = None if given.only_basalt else redis_path()
        given.server = [basalt_path()] + ([reference] if reference else [])
    return given


def verdict(what, failures):
    """Ends the harness."""
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"{what}: {'failed' if failures else 'ok'}", flush=True)
    sys.exit(1 if failures else 0)
