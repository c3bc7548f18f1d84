"""Faults of the store, of the clock and of the server, one after the other, in backups and in restores.

After each: there is a new backup, or an error that says why; and the last good one restores. At the end: nothing is in
the bucket that no backup needs, and the server's memory has stayed where it was.
"""

import json
import os
import shutil
import subprocess
import tempfile

from s3 import S3, Proxy
from world import World, ask, back_up, basalt_path, fill, info, restore_and_compare, tool

from lib.tools import need, out

# What an error must name that no retry can do anything about.
CAUSES = {"403": "ExpiredToken", "skew": "RequestTimeTooSkewed", "wrong-bytes": "", "truncated": "", "lost-part": "", "200-error": ""}


class Skew:
    """A wrong clock for processes that are started meanwhile."""

    library = None

    def __init__(self, world, seconds):
        if not Skew.library:
            need("cc")
            source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "skew.c")
            Skew.library = os.path.join(tempfile.mkdtemp(dir=world.dir), "skew.so")
            out(["cc", "-shared", "-fPIC", "-O1", "-o", Skew.library, source])
        self.set = {"LD_PRELOAD": Skew.library, "SKEW_SECONDS": str(seconds)}

    def __enter__(self):
        os.environ.update(self.set)

    def __exit__(self, *_):
        for name in self.set:
            del os.environ[name]


class Bench:
    """A bucket behind a proxy, and a server that backs itself up there and prunes."""

    def __init__(self, world):
        self.world, self.store = world, S3()
        world.closing.append(self.store.close)
        self.proxy = Proxy(self.store.port)
        self.direct = ["s3://backups/f", "--endpoint", f"http://127.0.0.1:{self.store.port}", "--region", "us-east-1"]
        self.spoiled = ["s3://backups/f", "--endpoint", f"http://127.0.0.1:{self.proxy.port}", "--region", "us-east-1"]
        self.server = world.basalt("--backup-url", "s3://backups/f", "--backup-endpoint", f"http://127.0.0.1:{self.proxy.port}",
                                   "--backup-region", "us-east-1", "--backup-retention", "3", "--appendonly", "yes")
        self.proxy.victim = self.server
        fill(self.server, "faults")
        self.good, self.newest, self.peak = None, None, 0
        error, published = self.attempt()
        assert published and error == "", error

    def change(self, megabytes):
        """New data: little, or so much that it goes in pieces."""
        ask(self.server, "INCR", "round")
        for i in range(megabytes):
            ask(self.server, "-x", "SET", f"bulk:{i}", given=os.urandom(500_000).hex())

    def attempt(self):
        """A backup; its error, and whether there is a new one."""
        digest = ask(self.server, "DEBUG", "DIGEST")
        try:
            error = back_up(self.server)
        except (AssertionError, json.JSONDecodeError, IndexError):
            error = "the server is gone"
        nth, fault = self.proxy.nth, self.proxy.fault
        spoiled = self.proxy.spoiled
        if fault == "kill" and spoiled:
            # Its connections end before it does.
            assert self.proxy.killed.wait(60)
        self.proxy.script(None, None)
        if self.server.alive():
            # Pruning comes behind it, with the rest of the requests.
            self.peak = max(self.peak, peak_of(self.server.process.pid))
        else:
            self.server.start()
        backups = json.loads(tool("list", *self.direct, "--json"))["backups"]
        assert all("error" not in backup for backup in backups), (fault, nth, backups)
        newest = backups[-1]["id"]
        published = newest != self.newest
        if published:
            self.good, self.newest = digest, newest
        self.proxy.spoiled = spoiled
        return error, published

    def requests(self):
        """How many requests a backup makes."""
        self.proxy.script(None, None)
        self.change(0)
        error, published = self.attempt_counted()
        assert published and not error, error
        return self.counted

    def attempt_counted(self):
        """An undisturbed backup whose requests are counted."""
        error = back_up(self.server)
        self.counted = self.proxy.count
        again, published = self.attempt()
        return error or again, published


def peak_of(pid):
    """The most memory a process has had, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0


def in_backups(bench, rounds, kind):
    """Each fault at one request after the other of a backup; what came of it, by fault."""
    world, requests, table = bench.world, bench.requests(), {}
    for fault in [fault for fault in [*Proxy.FAULTS, "kill", "skew"] if kind in fault]:
        pieces = fault in ("lost-part", "200-error")
        done = failed = met = 0
        for round_ in range(rounds):
            bench.change(24 if pieces else 0)
            if fault == "skew":
                bench.server.kill()
                with Skew(world, 1200 if round_ % 2 else -1200):
                    bench.server.start()
                error, published = bench.attempt()
                bench.server.kill()
                bench.server.start()
                met += 1
            else:
                bench.proxy.script(0 if pieces else round_ % requests, fault)
                error, published = bench.attempt()
                met += bench.proxy.spoiled > 0
            assert published or error, (fault, round_)
            if error and fault in CAUSES:
                assert CAUSES[fault] in error and len(error) > 20, (fault, error)
            if error and not failed:
                print(f"        {fault}: {error[:160]}...{error[-120:]}", flush=True)
            done, failed = done + published, failed + (not published)
            restore_and_compare(world, bench.good, *bench.direct)
        table[fault] = (done, failed, met)
        assert met > 0, f"{fault} never came"
        print(f"        backup, {fault}: {done} there after all, {failed} failed with the cause; the fault came in {met}", flush=True)
    # The same again without faults.
    bench.change(0)
    error, published = bench.attempt()
    assert published and not error, error
    return table


def in_restores(bench, rounds, kind):
    """The same in restores: the right data, or an error and nothing in the target."""
    world, table = bench.world, {}
    bench.proxy.script(None, None)
    restore_and_compare(world, bench.good, *bench.spoiled)
    requests = bench.proxy.count
    program = os.path.join(os.path.dirname(basalt_path()), "basalt")
    for fault in [fault for fault in Proxy.FAULTS if kind in fault and fault not in ("lost-part", "200-error")]:
        done = failed = 0
        for round_ in range(rounds):
            target = os.path.join(world.dir, "spoiled")
            bench.proxy.script(round_ % requests, fault)
            ended = subprocess.run([program, "restore", *bench.spoiled, "-i", world.identity, "--to", target],
                                   capture_output=True, text=True, timeout=300, check=False)
            bench.proxy.script(None, None)
            if ended.returncode == 0:
                # The tool has compared the digest; the file must be what it says.
                tool("check-rdb", os.path.join(target, "dump.rdb"))
                done += 1
            else:
                assert ended.returncode == 1 and len(ended.stderr) > 15 and not os.path.exists(target), (fault, ended)
                failed += 1
            shutil.rmtree(target, ignore_errors=True)
        table[fault] = (done, failed)
        print(f"        restore, {fault}: {done} right, {failed} refused with the cause", flush=True)
    restore_and_compare(world, bench.good, *bench.direct)
    return table


def orphans(bench):
    """What is in the bucket a day later, after pruning, although no backup needs it."""
    need("zstd")
    before = len(bench.store.objects())
    with Skew(bench.world, 25 * 3600):
        tool("prune", *bench.direct, "--retention", "3")
    there, needed = set(bench.store.objects()), set()
    for name in [name for name in there if "/backups/" in name]:
        manifest = json.loads(bench.store.body(name))
        tables = "f/" + manifest["tables"]["object"]
        plain = subprocess.run(["zstd", "-dc"], input=bench.store.body(tables), capture_output=True, check=True).stdout
        needed |= {name, tables, "f/" + manifest["key"], *("f/" + chunk["object"] for chunk in json.loads(plain)["chunks"])}
    assert needed <= there, needed - there
    assert there <= needed, there - needed
    return before - len(there)


def run(world: World, rounds, kind):
    """All of it."""
    need("redis-cli")
    bench = Bench(world)
    in_backups(bench, rounds, kind)
    in_restores(bench, rounds, kind)
    used = int(dict(line.split(":", 1) for line in ask(bench.server, "INFO", "memory").splitlines() if ":" in line)["used_memory"]) >> 10
    removed = orphans(bench)
    restore_and_compare(world, bench.good, *bench.direct)
    result = json.loads(tool("verify", *bench.direct, "-i", world.identity, "--drill", "--json"))
    assert result["ok"], result
    assert info(bench.server, "backup_last_status") == "ok"
    return (f"each fault {rounds} times in backups and restores, the last good one restored every time; {removed} leftovers pruned, no orphan; "
            f"memory of the server at most {bench.peak >> 10} MiB, of which data {used >> 10}")
