#!/usr/bin/env python3
"""Never empty, never old: a data directory on which something is missing, older, foreign or unreadable.

A server writes its data and is stopped; the directory is damaged; the server is started on it. Basalt must
end with a message that names the cause, change no file, and start with `allow-data-loss yes`. What Redis makes of
the same directory is printed beside it. The cases at the end are those that have to start.

    tests/crash/start.py [--server PATH ...] [--case NAME]
"""

import glob
import hashlib
import os
import shutil
import tempfile
import time

from harness import Node, Refused, arguments, fill, is_basalt, title, verdict

KEYS = 300
LOG = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", 0)
DUMP = ("--appendonly", "no")


class Setup:
    """A directory with data, a copy of it as it was before the last changes, and another data set."""

    def __init__(self, program, flags):
        self.program, self.flags = program, flags
        self.root = tempfile.mkdtemp(prefix="basalt-start-")
        self.old, self.now, self.other = (os.path.join(self.root, name) for name in ("old", "now", "other"))
        for path in (self.now, self.other):
            os.mkdir(path)
            self._write(path, KEYS // 3)
        shutil.copytree(self.now, self.old)
        self._write(self.now, KEYS)

    def _write(self, directory, keys):
        """Keys up to this number, half of them in the base or dump of their own."""
        with Node(self.program, *self.flags, directory=directory) as node:
            conn = node.start().connect()
            fill(conn, keys // 2)
            if self.flags == LOG:
                conn.call("BGREWRITEAOF")
                while node.info()["aof_rewrite_in_progress"] != "0" or node.info()["aof_rewrite_scheduled"] != "0":
                    time.sleep(0.01)
            fill(conn, keys)
            try:
                conn.call("SHUTDOWN", "SAVE" if self.flags == DUMP else "NOSAVE")
            except Exception:  # the connection ends with the server
                pass
            node.exit_code(20)

    def fresh(self):
        """A copy to be damaged."""
        path = os.path.join(self.root, "case")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.now, path)
        return path

    def end(self):
        """Removes all."""
        shutil.rmtree(self.root)


def one(directory, pattern):
    """The only file that matches, or the last by name."""
    return sorted(glob.glob(os.path.join(directory, pattern)))[-1]


def remove(pattern):
    """Removes what matches."""
    def act(directory, _):
        path = one(directory, pattern)
        (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)
    return act


def put(pattern, content):
    """Puts bytes in the place of a file, or what a function makes of its bytes."""
    def act(directory, _):
        path = one(directory, pattern)
        with open(path, "rb") as file:
            before = file.read()
        with open(path, "wb") as file:
            file.write(content(before) if callable(content) else content)
    return act


def bring(which, name):
    """Puts a file or folder of another directory in the place of ours."""
    def act(directory, setup):
        target = os.path.join(directory, name)
        (shutil.rmtree if os.path.isdir(target) else os.unlink)(target)
        source = os.path.join(getattr(setup, which), name)
        (shutil.copytree if os.path.isdir(source) else shutil.copy2)(source, target)
    return act


def folder(name):
    """A folder where a file was."""
    def act(directory, _):
        os.unlink(os.path.join(directory, name))
        os.mkdir(os.path.join(directory, name))
    return act


def flat(name):
    """A file where a folder was."""
    def act(directory, _):
        shutil.rmtree(os.path.join(directory, name))
        with open(os.path.join(directory, name), "wb"):
            pass
    return act


def empty(directory, _):
    """A volume that is not mounted."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)


def nothing(_directory, _setup):
    """Only the options differ."""


def last_batch_cut(before):
    """An increment that lost its last batch at a border, so that it looks whole. Of Redis: its last command."""
    at = before.rfind(b"#BSLT1 b ")
    return before[:at] if at > 0 else before[:before.rfind(b"*3\r\n")]


def listed_twice(before):
    """A manifest with a second base."""
    base = next(line for line in before.split(b"\n") if line.endswith(b"type b"))
    return b"\n".join(line for line in before.split(b"\n") if not line.startswith(b"#")) + base + b"\n"


def flipped(before):
    """One bit in the middle."""
    middle = len(before) // 2
    return before[:middle] + bytes([before[middle] ^ 4]) + before[middle + 1:]


def rewritten(old, new):
    """Other words in a text."""
    return lambda before: before.replace(old, new)


WANTED = ("--data-set-id", "5be1000000000000000000000000c0de")

# name, base of flags, what happens, flags at the start, part of Basalt's message
CASES = [
    ("log: folder missing", LOG, remove("appendonlydir"), (), "appendonlydir is missing"),
    ("log: empty directory", LOG, empty, WANTED, "data-set-id says"),
    ("log: all but the record gone", LOG, remove("appendonlydir"), (), "is missing"),
    ("log: manifest missing", LOG, remove("appendonlydir/*.manifest"), (), "manifest"),
    ("log: manifest empty", LOG, put("appendonlydir/*.manifest", b""), (), "empty AOF manifest"),
    ("log: manifest of zeros", LOG, put("appendonlydir/*.manifest", bytes(80)), (), "manifest"),
    ("log: manifest with a flipped bit", LOG, put("appendonlydir/*.manifest", flipped), (), "manifest"),
    ("log: manifest cut at a line", LOG, put("appendonlydir/*.manifest", lambda text: b"\n".join(text.split(b"\n")[:-2]) + b"\n"),
     (), "manifest"),
    ("log: manifest with two bases", LOG, put("appendonlydir/*.manifest", listed_twice), (), "duplicate base"),
    ("log: base missing", LOG, remove("appendonlydir/*.base.rdb"), (), "base"),
    ("log: base shorter", LOG, put("appendonlydir/*.base.rdb", lambda text: text[:-20]), (), "base"),
    ("log: base of zeros", LOG, put("appendonlydir/*.base.rdb", lambda text: bytes(len(text))), (), "base"),
    ("log: base of an older state", LOG, lambda directory, setup: shutil.copy2(
        one(setup.old, "appendonlydir/*.base.rdb"), one(directory, "appendonlydir/*.base.rdb")), (), "base"),
    ("log: increment missing", LOG, remove("appendonlydir/*.incr.aof"), (), "incr"),
    ("log: increment empty", LOG, put("appendonlydir/*.incr.aof", b""), (), "bytes"),
    ("log: increment cut at a batch", LOG, put("appendonlydir/*.incr.aof", last_batch_cut), (), "bytes"),
    ("log: older folder", LOG, bring("old", "appendonlydir"), (), "older"),
    ("log: folder of another data set", LOG, bring("other", "appendonlydir"), (), "belongs to data set"),
    ("log: a file instead of the folder", LOG, flat("appendonlydir"), (), "appendonlydir"),
    ("log: appenddirname changed", LOG, nothing, ("--appenddirname", "appendonly.d"), "appendonlydir is missing"),
    ("log: appendfilename changed", LOG, nothing, ("--appendfilename", "append.aof"), "manifest"),
    ("log: appendonly switched off", LOG, nothing, DUMP, "appendonly is off"),
    ("log: record with a flipped bit", LOG, put("basalt.lineage", flipped), (), "lineage"),
    ("log: record empty", LOG, put("basalt.lineage", b""), (), "lineage"),
    ("log: record of a later release", LOG, put("basalt.lineage", rewritten(b'"format": 1', b'"format": 2')), (), "lineage"),
    ("log: another data set is wanted", LOG, nothing, WANTED, "belongs to data set"),
    ("dump: missing", DUMP, remove("dump.rdb"), (), "dump.rdb is missing"),
    ("dump: empty directory", DUMP, empty, WANTED, "data-set-id says"),
    ("dump: older", DUMP, bring("old", "dump.rdb"), (), "commit index"),
    ("dump: of another data set", DUMP, bring("other", "dump.rdb"), (), "belongs to data set"),
    ("dump: no bytes", DUMP, put("dump.rdb", b""), (), "dump.rdb"),
    ("dump: cut", DUMP, put("dump.rdb", lambda text: text[:-200]), (), "dump.rdb"),
    ("dump: zeros", DUMP, put("dump.rdb", lambda text: bytes(len(text))), (), "dump.rdb"),
    ("dump: a flipped bit", DUMP, put("dump.rdb", flipped), (), "dump.rdb"),
    ("dump: a folder of that name", DUMP, folder("dump.rdb"), (), "dump.rdb"),
    ("dump: dbfilename changed", DUMP, nothing, ("--dbfilename", "dumb.rdb"), "dumb.rdb"),
    ("dump: appendonly switched on, dump missing", DUMP, remove("dump.rdb"), LOG, "dump.rdb is missing"),
]

# These lose nothing and must start, with all keys.
GOOD = [
    ("log: as it was left", LOG, nothing, (), None),
    ("log: record removed", LOG, remove("basalt.lineage"), (), None),
    ("log: a torn write at the end", LOG, put("appendonlydir/*.incr.aof", lambda text: text + b"#BSLT1 b 00000"), (), None),
    ("log: files of cut-short work", LOG, lambda directory, _: [open(os.path.join(directory, "appendonlydir", name), "wb").close()
                                                                for name in ("temp-rewriteaof-bg-1.aof", "temp-appendonly.aof.manifest")],
     (), None),
    ("dump: as it was left", DUMP, nothing, (), None),
    ("dump: record removed", DUMP, remove("basalt.lineage"), (), None),
    ("dump: appendonly switched on", DUMP, nothing, LOG, None),
    ("dump: a temporary file of a cut-short save", DUMP,
     lambda directory, _: open(os.path.join(directory, "temp-1.rdb"), "wb").close(), (), None),
]


def content(directory):
    """All files with their hash."""
    found = {}
    for where, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = hashlib.sha256(file.read()).hexdigest()
    return found


def start(program, flags, directory):
    """`("up", keys)` or `("refused", log)`."""
    with Node(program, *flags, directory=directory) as node:
        try:
            node.start()
        except Refused as refused:
            return ("refused" if refused.code is not None and refused.code > 0 else f"crashed ({refused.code})"), refused.log
        return "up", node.call("DBSIZE")


def shown(outcome, detail):
    """The outcome in a few words."""
    if outcome != "up":
        return outcome
    return "all" if detail == KEYS else "EMPTY" if detail == 0 else f"{detail} of {KEYS}"


def judge(case, program, setup):
    """What Basalt does on a case: `(words, failures)`."""
    name, base, act, flags, expected = case
    directory = setup.fresh()
    act(directory, setup)
    before = content(directory)
    outcome, detail = start(program, [*base, *flags], directory)
    words = shown(outcome, detail)
    if expected is None:
        return words, [] if words == "all" else [f"{name}: {words}\n{detail}"]
    if outcome != "refused":
        return words, [f"{name}: {words}, should be refused"]
    failures = []
    if expected not in detail:
        failures.append(f"{name}: '{expected}' is not in the message:\n{detail[-500:]}")
    if content(directory) != before:
        failures.append(f"{name}: a start that was refused changed files")
    # The override is for what is missing; damage inside a file remains an error.
    again, log = start(program, [*base, *[word for word in flags if word not in WANTED], "--allow-data-loss", "yes"], directory)
    if again != "up" and ("Refusing to start" in log or again != "refused"):
        failures.append(f"{name}: allow-data-loss did not help:\n{log[-500:]}")
    return f"refused; allow-data-loss: {shown(again, log)}", failures


def main():
    """All cases on Basalt, with the others beside it."""
    given = arguments(__doc__, case={"help": "only those whose name has this in it"})
    failures, figures = [], {}
    for program in given.server:
        ours = is_basalt(program)
        setups = {flags: Setup(program, flags) for flags in (LOG, DUMP)}
        counts = figures.setdefault(title(program), {})
        for case in CASES + GOOD:
            name, base, act, flags, expected = case
            if given.case and given.case not in name:
                continue
            try:
                if ours:
                    words, bad = judge(case, program, setups[base])
                    failures += bad
                else:
                    directory = setups[base].fresh()
                    act(directory, setups[base])
                    words = shown(*start(program, [*base, *[word for word in flags if word not in WANTED]], directory))
            except (IndexError, FileNotFoundError):
                words = "no such file"
            if expected is not None:
                kind = words.split(";")[0]
                counts[kind] = counts.get(kind, 0) + 1
            print(f"{title(program):16} {name:45} {words}", flush=True)
        for setup in setups.values():
            setup.end()
    for name, counts in figures.items():
        print(f"{name}: of {sum(counts.values())} damaged directories: "
              + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    verdict("start", failures)


if __name__ == "__main__":
    main()
