"""Programs and packages of others that tests need: found, or installed below target/ in pinned versions."""

import os
import shutil
import subprocess
import sys

from .servers import ROOT


class Skip(Exception):
    """What a test needs is not there."""


def need(*names):
    """The first program of the given names that exists."""
    for name in names:
        if shutil.which(name):
            return name
    raise Skip(f"no {names[0]}")


def out(command, stdin=None, seconds=120, **options):
    """Standard output of a program that must succeed."""
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False, **options)
    text = done.stdout
    if done.returncode != 0:
        raise AssertionError(f"{command[:6]} ended with {done.returncode}: {text[-1500:]!r}")
    return text


def _once(home, packages, install):
    """Runs `install` unless these packages are in `home` already; what fails there is a `Skip`."""
    note = os.path.join(home, ".packages")
    wanted = "\n".join(packages)
    try:
        with open(note, encoding="utf-8") as file:
            if file.read() == wanted:
                return
    except FileNotFoundError:
        pass
    try:
        install()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        raise Skip(f"{' '.join(packages)} cannot be installed: {error}") from error
    with open(note, "w", encoding="utf-8") as file:
        file.write(wanted)


def python_with(folder, *packages):
    """A Python with packages from PyPI, in an environment of its own in `target/FOLDER`."""
    home = os.path.join(ROOT, "target", folder, "venv")
    python = os.path.join(home, "bin", "python")

    def install():
        if not os.path.exists(python):
            out([sys.executable, "-m", "venv", home], seconds=180)
        out([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], seconds=300)

    _once(home, packages, install)
    return python


def node_with(folder, *packages):
    """Node and its environment with packages from npm, which are in `target/FOLDER`."""
    node, npm = need("node", "nodejs"), need("npm")
    home = os.path.join(ROOT, "target", folder, "node")
    os.makedirs(home, exist_ok=True)
    _once(home, packages, lambda: out([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", home, *packages], seconds=300))
    return node, dict(os.environ, NODE_PATH=os.path.join(home, "node_modules"))
