"""Starting and stopping server processes on free loopback ports."""

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time

from .resp import Closed, Connection

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _port_range():
    """The ports of TEST_PORTS (`21000-21099`) over and over; zeros, any port, without it."""
    first, _, last = os.environ.get("TEST_PORTS", "0-0").partition("-")
    return itertools.cycle(range(int(first), int(last) + 1))


_PORTS = _port_range()


def free_port():
    """A port nobody listens on at the moment."""
    while True:
        with socket.socket() as sock:
            # Connections of a server that was killed do not keep its port; servers ask for the same.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", next(_PORTS)))
                return sock.getsockname()[1]
            except OSError:
                continue


def basalt_path():
    """The Basalt server under test."""
    return os.environ.get("BASALT_SERVER") or os.path.join(ROOT, "target/release/basalt-server")


def redis_path():
    """The Redis server to compare with, or None when there is none."""
    given = os.environ.get("REDIS_SERVER")
    return given or shutil.which("redis-server")


class Server:
    """A running server with a directory of its own, removed at the end, or with that of another."""

    def __init__(self, program, *args, config=None, directory=None):
        self.program = program
        self.args = list(args)
        self.config = config
        self.dir = directory or tempfile.mkdtemp(prefix="basalt-test-")
        self.port = 0
        self.process = None
        self.start()

    def start(self, port=None):
        """Starts the process and waits until it answers PING and has loaded; on a port of its own choice, tries another on a clash."""
        for _ in range(5):
            self.port = port or free_port()
            command = [self.program]
            if self.config:
                command.append(self.config)
            command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir,
                        "--save", "", "--daemonize", "no", "--logfile", "", *self.args]
            self.log = open(os.path.join(self.dir, "log"), "ab")
            self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log,
                                            stdin=subprocess.DEVNULL)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    connection = Connection(self.port, 5)
                    connection.send(b"PING\r\n")
                    answer = connection.replies(1)[0]
                    connection.close()
                    if not answer.startswith(b"-LOADING"):
                        return
                    time.sleep(0.01)
                except (OSError, Closed):
                    time.sleep(0.02)
            self.kill()
        raise RuntimeError(f"{self.program} did not start:\n{self.log_text()[-3000:]}")

    def alive(self):
        """Whether the process is still running."""
        return self.process.poll() is None

    def log_text(self):
        """What the server logged so far."""
        with open(os.path.join(self.dir, "log"), "rb") as log:
            return log.read().decode("utf-8", "replace")

    def connect(self, timeout=20.0):
        """A new connection."""
        return Connection(self.port, timeout)

    def version(self):
        """`redis_version` as a tuple."""
        connection = self.connect()
        text = connection.call("INFO", "server")
        connection.close()
        for line in text.split(b"\r\n") if isinstance(text, bytes) else []:
            if line.startswith(b"redis_version:"):
                return tuple(int(part) for part in line[14:].split(b"."))
        return (0, 0, 0)

    def kill(self):
        """SIGKILL, and waits for the end."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def stop(self):
        """Ends the process and removes its directory."""
        self.kill()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
