"""A server that starts on given files: it comes up, or it refuses them."""

import os
import shutil
import subprocess
import tempfile
import time

from .resp import Closed, Connection
from .servers import free_port

HERE = os.path.dirname(os.path.abspath(__file__))


def clock_shim(folder):
    """Builds the library that moves the wall clock; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    built = os.path.join(folder, "clock_shim.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, os.path.join(HERE, "clock_shim.c")], check=True)
    return built


class Loading:
    """A server started with a configuration file in a directory of its own, removed at the end.

    `outcome` is `up`, `exit N` or `hang`; `conn` is there only when the server is up.
    """

    def __init__(self, program, config=(), files=None, clock=None, limit_s=60, prefix=()):
        self.dir = tempfile.mkdtemp(prefix="basalt-load-")
        self.conn = None
        self.port = free_port()
        for name, source in (files or {}).items():
            target = os.path.join(self.dir, name)
            (shutil.copytree if os.path.isdir(source) else shutil.copyfile)(source, target)
        lines = [f"port {self.port}", "bind 127.0.0.1", f'dir "{self.dir}"', 'save ""', "loglevel notice", *config]
        path = os.path.join(self.dir, "server.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        environment = dict(os.environ)
        if clock:
            shim, now_s = clock
            environment.update(LD_PRELOAD=shim, CLOCK_OFFSET_S=str(int(now_s - time.time())))
        self.log = open(os.path.join(self.dir, "server.log"), "wb")
        self.process = subprocess.Popen([*prefix, os.path.abspath(program), path], cwd=self.dir, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT)
        self.outcome = self._wait(limit_s)

    def _wait(self, limit_s):
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return f"exit {self.process.returncode}"
            try:
                conn = Connection(self.port, 120)
                if conn.call("PING") == b"PONG":
                    self.conn = conn
                    return "up"
                conn.close()
            except (OSError, Closed):
                pass
            time.sleep(0.01)
        return "hang"

    def path(self, name):
        """A file in the server's directory."""
        return os.path.join(self.dir, name)

    def log_text(self):
        """What the server logged."""
        with open(self.path("server.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def end(self):
        """Ends the process and removes the directory."""
        if self.conn:
            self.conn.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
