"""What all tests of backups share: the tool, a server asked by redis-cli, a directory with an identity."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from lib.servers import Server, basalt_path

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
os.environ.update(CREDENTIALS)


def tool(*args, code=0, **options):
    """Runs the operator's tool; its standard output."""
    path = os.path.join(os.path.dirname(basalt_path()), "basalt")
    done = subprocess.run([path, *args], capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == code, f"{args}: ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}"
    return done.stdout


def text(reply):
    """A reply as text."""
    if isinstance(reply, tuple):
        reply = reply[1]
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)


def ask(server, *words, given=None):
    """Asks by redis-cli, so that nothing of ours stands between; `given` is its standard input."""
    words = ["redis-cli", "-p", str(server.port), *words]
    done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout.strip()


def info(server, field):
    """A field of INFO."""
    for line in ask(server, "INFO", "backup").splitlines():
        name, _, value = line.strip().partition(":")
        if name == field:
            return value
    raise AssertionError(f"no {field}")


def fill(server, marker):
    """Some data of every type."""
    lines = [f"SET {marker}:{i} value-{marker}-{i}" for i in range(2000)]
    for i in range(300):
        lines += [f"HSET {marker}h f{i} v{i}", f"ZADD {marker}z {i}.25 m{i}", f"RPUSH {marker}l e{i}",
                  f"SADD {marker}s m{i}", f"XADD {marker}x {i + 1}-0 f {i}"]
    done = subprocess.run(["redis-cli", "-p", str(server.port)], input="\n".join(lines), capture_output=True, text=True, timeout=60, check=True)
    assert "ERR" not in done.stdout, done.stdout[:500]


def back_up(server):
    """A backup; its error, empty if there is none."""
    path = os.path.join(os.path.dirname(basalt_path()), "basalt")
    done = subprocess.run([path, "backup", "--port", str(server.port), "--json"], capture_output=True, text=True, timeout=300, check=False)
    result = json.loads(done.stdout)
    assert result["ok"] == (done.returncode == 0), result
    assert result["ok"] or result["error"], result
    return result.get("error", "")


class World:
    """A directory with an identity, and what is started."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="basalt-backup-test-")
        self.identity = os.path.join(self.dir, "identity.txt")
        self.recipient = tool("keygen", "-o", self.identity).strip()
        self.closing = [lambda: shutil.rmtree(self.dir, ignore_errors=True)]

    def close(self):
        """Ends and removes everything."""
        for close in reversed(self.closing):
            close()

    def basalt(self, *args):
        """A Basalt server."""
        server = Server(basalt_path(), "--backup-recipients", self.recipient, "--save", "", "--enable-debug-command", "yes", *args)
        self.closing.append(server.stop)
        return server

    def path(self, name):
        """A path in the directory."""
        return os.path.join(self.dir, name)


def restore_and_compare(world, digest, *repository):
    """Restores and starts; the digest must be this."""
    target = tempfile.mkdtemp(dir=world.dir) + "/data"
    tool("restore", *repository, "-i", world.identity, "--to", target)
    server = Server(basalt_path(), "--save", "", "--enable-debug-command", "yes", directory=target)
    found = ask(server, "DEBUG", "DIGEST")
    server.stop()
    shutil.rmtree(os.path.dirname(target), ignore_errors=True)
    assert found == digest, (found, digest)
