#!/usr/bin/env python3
"""A disk that is full, fails or is slow, under a real server.

full    a small tmpfs (needs root): log with `always` and `everysec`, BGSAVE, rewrite. Nothing acknowledged is lost,
        the last dump stays, reads go on, writes get MISCONF, and all goes on by itself when there is room.
failing fdatasync returns EIO on its k-th call in a thread (strace), later k-th writes of the log too: nothing
        acknowledged is lost, and writes are taken again by themselves, or the process ends with the reason.
slow    each fdatasync takes 3 s (strace): reads stay fast, INFO shows the delay, memory does not grow.

    tests/crash/disk.py           k = 2 and 5; slow for 5 s
    tests/crash/disk.py --full    k = 1 to 30 with both policies; slow for 30 s
    tests/crash/disk.py --only full
"""

import glob
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import threading
import time

from harness import Load, Lost, Node, Refused, arguments, fill, is_basalt, title, verdict
from lib.resp import Closed, Connection, encode

RESUME_S = 10


def log_flags(policy):
    """A log that is not rewritten by itself."""
    return ("--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", 0)


class SmallDisk:
    """A tmpfs of 4 MB with ballast in it that can be thrown out."""

    def __init__(self, ballast):
        self.path = tempfile.mkdtemp(prefix="basalt-full-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", self.path], check=True, capture_output=True)
        self.data = os.path.join(self.path, "data")
        os.mkdir(self.data)
        self.ballast = os.path.join(self.path, "ballast")
        self.load(ballast)

    def load(self, ballast):
        """Takes room away."""
        with open(self.ballast, "wb") as file:
            file.write(bytes(ballast))

    def leave(self, left):
        """Takes all room but this much away."""
        facts = os.statvfs(self.path)
        self.load(max(0, facts.f_bavail * facts.f_bsize - left))

    def relieve(self):
        """Makes room."""
        os.unlink(self.ballast)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=False)
        os.rmdir(self.path)


class Hang:
    """A client that sets keys of 1 KB one after the other until it is refused; it may have to wait long."""

    def __init__(self, node, prefix):
        self.node, self.prefix = node, prefix
        self.acknowledged, self.error = 0, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            conn = self.node.connect(timeout=60)
            while self.error is None:
                reply = conn.call("SET", f"{self.prefix}{self.acknowledged}", "x" * 1000)
                if reply == b"OK":
                    self.acknowledged += 1
                else:
                    self.error = str(reply)
        except (Closed, OSError) as error:
            self.error = f"closed: {error}"


def refused_soon(node, hang, seconds=20):
    """Waits until writes are refused or the process ends; what a write is told."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and node.alive():
        if hang.error:
            return hang.error
        try:
            reply = node.call("SET", "probe", "1") if hang.acknowledged == hang_seen(hang) else b"OK"
            if reply != b"OK":
                return str(reply)
        except (Closed, OSError):
            break
    return "exit" if node.exit_code(2) is not None else "nothing"


def hang_seen(hang):
    """The count a moment later: the same once it is stuck."""
    time.sleep(0.3)
    return hang.acknowledged


def writes_again(node, seconds=RESUME_S):
    """Seconds until a write is taken; None if it is not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds and node.alive():
        try:
            if node.call("SET", "again", "1") == b"OK":
                return time.monotonic() - began
        except (Closed, OSError):
            pass
        time.sleep(0.02)
    return None


def restarted(node, prefix, count):
    """How many of the keys are lost after a kill and a start."""
    node.kill()
    node.start()
    conn = node.connect()
    there = conn.call("EXISTS", *[f"{prefix}{at}" for at in range(count)]) if count else 0
    conn.close()
    return count - there


def full_log(program, policy):
    """The log fills the disk. Returns words and failures."""
    bad = []
    with SmallDisk(3 << 20) as disk, Node(program, *log_flags(policy), directory=disk.data) as node:
        node.start()
        hang = Hang(node, "k")
        told = refused_soon(node, hang)
        acknowledged = hang.acknowledged
        if told == "exit":
            reason = [line for line in node.log().split("\n") if "AOF" in line][-1:]
            disk.relieve()
            lost = restarted(node, "k", acknowledged)
            return f"ends ({''.join(reason)[-90:]}); {lost} of {acknowledged} lost", ["the process ended"]
        if "MISCONF" not in told:
            bad.append(f"writes were told '{told}'")
        conn, began = node.connect(), time.monotonic()
        reads = all(conn.call("GET", f"k{at}") == b"x" * 1000 for at in range(acknowledged))
        read_ms = (time.monotonic() - began) * 1000 / max(1, acknowledged)
        if not reads:
            bad.append("a read failed")
        if node.info()["aof_last_write_status"] != "err":
            bad.append("INFO says that all is well")
        disk.relieve()
        resumed = writes_again(node)
        if resumed is None:
            bad.append("no writes after there was room")
        hang.thread.join(5)
        if hang.thread.is_alive() and not hang.error:
            # It went on: the write it waited for was answered.
            time.sleep(0.2)
        # From here on it is refused nothing, so it has to be stopped with the server.
        acknowledged = hang.acknowledged
        lost = restarted(node, "k", acknowledged)
        if lost:
            bad.append(f"{lost} lost")
        return (f"{told[:40]!r}, reads {read_ms:.2f} ms, resumes "
                f"{'never' if resumed is None else f'after {resumed:.2f} s'}, {lost} of {acknowledged} lost"), bad


def sha(path):
    """A file's hash."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def background_over(node):
    """Waits for snapshot and rewrite."""
    for _ in range(1000):
        about = node.info()
        if "1" not in (about["rdb_bgsave_in_progress"], about["aof_rewrite_in_progress"], about["aof_rewrite_scheduled"]):
            return about
        time.sleep(0.01)
    return about


def full_save(program):
    """No room for a dump."""
    bad = []
    with SmallDisk(0) as disk, Node(program, "--save", "3600 1", "--rdbcompression", "no", directory=disk.data) as node:
        conn = node.start().connect()
        fill(conn, 8000)
        conn.call("SAVE")
        dump = os.path.join(disk.data, "dump.rdb")
        before = sha(dump)
        disk.leave(200 << 10)
        conn.call("SET", "more", "1")
        conn.call("BGSAVE")
        status = background_over(node)["rdb_last_bgsave_status"]
        told = str(conn.call("SET", "k", "v"))
        intact = sha(dump) == before and not glob.glob(os.path.join(disk.data, "temp-*"))
        disk.relieve()
        conn.call("BGSAVE")
        after = background_over(node)["rdb_last_bgsave_status"]
        again = conn.call("SET", "k", "v") == b"OK"
        if status != "err" or "MISCONF" not in told:
            bad.append(f"status {status}, writes were told {told}")
        if not intact:
            bad.append("the last dump changed, or a temporary file stayed")
        if after != "ok" or not again:
            bad.append(f"after there was room: {after}")
        return (f"{told[:40]!r}, last dump {'intact' if intact else 'CHANGED'}, "
                f"{'saves and takes writes again' if again else 'STUCK'}"), bad


def full_rewrite(program):
    """No room for a rewrite."""
    bad = []
    with SmallDisk(0) as disk, Node(program, *log_flags("always"), "--rdbcompression", "no", directory=disk.data) as node:
        conn = node.start().connect()
        fill(conn, 8000)
        disk.leave(500 << 10)
        conn.call("BGREWRITEAOF")
        status = background_over(node)["aof_last_bgrewrite_status"]
        if status != "err":
            bad.append(f"the rewrite ended with {status}")
        leftover = glob.glob(os.path.join(disk.data, "temp-*")) + glob.glob(os.path.join(disk.data, "appendonlydir/temp-*"))
        if leftover:
            bad.append(f"left: {leftover}")
        writes = conn.call("SET", "k0", "v") == b"OK"
        disk.relieve()
        conn.call("BGREWRITEAOF")
        after = background_over(node)["aof_last_bgrewrite_status"]
        if after != "ok":
            bad.append("no rewrite when there was room")
        lost = restarted(node, "fill:", 8000) + restarted(node, "k", 1)
        if lost or not writes:
            bad.append(f"{lost} lost, writes {writes}")
        return f"status {status}, writes go on: {writes}, then {after}; {lost} lost", bad


def failing(program, policy, calls, number, only=None):
    """A call of this kind fails once with EIO. `(ended, seconds to resume, lost, acknowledged, noticed)`."""
    with Node(program, *log_flags(policy)) as node:
        fill(node.start().connect(), 200)
        node.call("BGREWRITEAOF")
        background_over(node)
        node.kill()
        where = ["-P", one(glob.glob(os.path.join(node.dir, only)))] if only else []
        node.prefix = ["strace", "-f", "-qq", "-o", "/dev/null", *where, "-e", f"trace={calls}",
                       "-e", f"inject={calls}:error=EIO:when={number}"]
        load, ended, resumed = None, False, None
        try:
            load = Load(node.start(), "eio", clients=4).start()
            time.sleep(1.2 if policy == "always" else min(1.5 + number, 12))
            load.stopping = True
            resumed = writes_again(node)
            ended = not node.alive()
        except Refused as refused:
            if refused.code is None or refused.code < 0:
                raise
            ended = True
        noticed = ended or "rror writing to the AOF file" in node.log() or "MISCONF" in "".join(load.errors)
        node.kill()
        if load:
            load.join()
        node.prefix = []
        node.start()
        conn = node.connect()
        lost = load.compare(conn)[0] if load else 0
        conn.close()
        return ended, resumed, lost, load.acknowledged() if load else 0, noticed


def one(paths):
    """The last one."""
    return sorted(paths)[-1]


def read_alone(port, seconds, told):
    """The times of reads by a client that has nothing else to do, in milliseconds, sorted."""
    conn, took, deadline = Connection(port, 60), [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        began = time.monotonic()
        conn.call("GET", "fill:7")
        took.append((time.monotonic() - began) * 1000)
        time.sleep(0.002)
    conn.close()
    told.put(sorted(took))


def reads(node, seconds):
    """The same in a process of its own: threads of one take turns of 5 ms, which would be measured instead."""
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    reader = context.Process(target=read_alone, args=(node.port, seconds, told))
    reader.start()
    took = told.get()
    reader.join()
    return took


def slow(program, policy, seconds):
    """Each fdatasync takes 3 s while clients write and one reads. Words and failures."""
    prefix = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync",
              "-e", "inject=fdatasync:delay_exit=3000000"]
    with Node(program, *log_flags(policy)) as node:
        fill(node.start().connect(), 1000)
        healthy = Load(node, "healthy", clients=4, pause=0.002).start()
        usual = reads(node, 1.5)
        healthy.stop()
        node.kill()
        node.prefix = prefix
        node.start()
        with open(f"/proc/{node.pid}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        load = Load(node, "slow", clients=4, pause=0.002).start()
        took = reads(node, seconds)
        with open(f"/proc/{node.pid}/statm", encoding="ascii") as file:
            grown = (int(file.read().split()[1]) - pages) * 4096 >> 20
        delayed = node.info()["aof_delayed_fsync"]
        node.kill()
        load.join()
        node.prefix = []
        node.start()
        lost = load.compare(node.connect())[0]
        p99, worst, healthy_p99 = took[len(took) * 99 // 100], took[-1], usual[len(usual) * 99 // 100]
        bad = []
        # A machine with other things to do has slow reads on any disk.
        if p99 >= max(5, 3 * healthy_p99):
            bad.append(f"{policy}: p99 of reads is {p99:.1f} ms")
        if lost:
            bad.append(f"{policy}: {lost} lost")
        if policy == "everysec" and delayed == "0":
            bad.append("aof_delayed_fsync is 0")
        return (f"{len(took)} reads, p99 {p99:.2f} ms (healthy disk: {healthy_p99:.2f}), worst {worst:.0f} ms; {load.acknowledged()} writes, "
                f"aof_delayed_fsync {delayed}, {grown} MB grown; {lost} lost after a kill"), bad


def main():
    """All of it on each server."""
    given = arguments(__doc__, only={"help": "full, failing or slow"})
    failures = []

    def wanted(part):
        return given.only in (None, part)

    def tell(program, what, words, bad):
        print(f"{title(program):16} {what:22} {words}", flush=True)
        if is_basalt(program):
            failures.extend(f"{what}: {reason}" for reason in bad)

    can_mount = os.geteuid() == 0 and shutil.which("mount")
    if wanted("full") and can_mount:
        try:
            with SmallDisk(0):
                pass
        except subprocess.CalledProcessError as error:
            can_mount = False
            print(f"no tmpfs: {error.stderr.decode().strip()}")
    if wanted("full") and not can_mount:
        print("full: skipped, mounting a tmpfs needs root")
    if not shutil.which("strace"):
        print("failing, slow: skipped, no strace")
    for program in given.server:
        if wanted("full") and can_mount:
            for policy in ("always", "everysec"):
                tell(program, f"full, {policy}", *full_log(program, policy))
            tell(program, "full, BGSAVE", *full_save(program))
            tell(program, "full, rewrite", *full_rewrite(program))
        if wanted("failing") and shutil.which("strace"):
            numbers = range(1, 31) if given.full else (2, 5)
            plans = [("always", "fdatasync", numbers, None), ("everysec", "fdatasync", numbers if given.full else (2,), None),
                     ("always", "write", numbers, "appendonlydir/*.incr.aof")]
            for policy, calls, ks, only in plans:
                runs, ends, stuck, lost, total, slowest, seen = 0, 0, 0, 0, 0, 0.0, 0
                for number in ks:
                    try:
                        ended, resumed, gone, acknowledged, noticed = failing(program, policy, calls, number, only)
                    except (Lost, Refused) as problem:
                        print(f"  {title(program)}: {calls} {number}: {problem}")
                        lost += 1
                        continue
                    runs, ends, lost, total = runs + 1, ends + ended, lost + gone, total + acknowledged
                    seen += noticed
                    stuck += not ended and resumed is None
                    slowest = max(slowest, resumed or 0)
                tell(program, f"EIO of {calls}, {policy}",
                     f"{runs} runs, {seen} met the error: {ends} ended, {stuck} never took writes again, slowest after {slowest:.2f} s; {lost} of {total} lost",
                     [f"{stuck} stuck, {lost} lost, {seen} met the error"] if stuck or lost or not seen else [])
        if wanted("slow") and shutil.which("strace"):
            for policy in ("always", "everysec"):
                tell(program, f"slow, {policy}", *slow(program, policy, 30 if given.full else 5))
    verdict("disk", failures)


if __name__ == "__main__":
    main()
