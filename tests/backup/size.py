"""Backups at size: what is uploaded, what damage is found, which moments come back, what a lost machine loses."""

import base64
import binascii
import glob
import os
import random
import shutil
import subprocess
import threading
import time

from world import ask, back_up, basalt_path, info, restore_and_compare, tool

from lib.resp import encode
from lib.servers import Server


def files(folder):
    """All files below a directory with their lengths."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            found[full] = os.path.getsize(full)
    return found


def value():
    """Thirty-two characters that do not compress below 24 bytes."""
    return base64.b64encode(os.urandom(24))


def put(server, keys):
    """Sets keys to new values."""
    connection, keys = server.connect(), list(keys)
    for at in range(0, len(keys), 5000):
        part = keys[at:at + 5000]
        connection.send(b"".join(encode([b"SET", key, value()]) for key in part))
        assert all(reply == b"+OK\r\n" for reply in connection.replies(len(part)))
    connection.close()


def wait_loaded(server):
    """Waits until the data is there."""
    for _ in range(1200):
        if "\nloading:0" in ask(server, "INFO", "persistence"):
            return
        time.sleep(0.05)
    raise AssertionError("it does not load")


def incremental(world, keys):
    """What backups of changed data cost, in bytes that arrive in the store, as a share of the first."""
    repository = world.path("repository")
    os.mkdir(repository)
    server = world.basalt("--backup-url", repository)
    names = [b"key:%012d" % i for i in range(keys)]
    put(server, names)
    there = {}

    def uploaded():
        nonlocal there
        began = time.time()
        error = back_up(server)
        assert error == "", error
        now = files(repository)
        new, there = sum(size for path, size in now.items() if path not in there), now
        return new, time.time() - began

    full, took = uploaded()
    result, failed = [f"full {full} bytes in {took:.1f} s"], []

    def judge(what, most):
        new, took = uploaded()
        result.append(f"{what} {100 * new / full:.3f} % ({took:.1f} s)")
        if new > full * most / 100:
            failed.append(f"{what}: more than {most} %")

    judge("nothing changed", 0.1)
    ask(server, "SAVE")
    server.kill()
    server.start()
    wait_loaded(server)
    judge("after a restart", 0.1)
    put(server, random.sample(names, keys // 100))
    judge("1 % at random", 3)
    by_slot = sorted(names, key=lambda name: binascii.crc_hqx(name, 0) % 16384)
    first = random.randrange(keys - keys // 100)
    put(server, by_slot[first:first + keys // 100])
    judge("1 % in one slot range", 1.5)
    connection = server.connect()
    connection.call("DEL", *random.sample(names, keys // 100))
    connection.close()
    judge("1 % deleted", 3)
    restore_and_compare(world, ask(server, "DEBUG", "DIGEST"), repository)
    tool("verify", repository, "-i", world.identity, "--drill")
    assert not failed, "; ".join(result + failed)
    return ", ".join(result)


def damage(path, others, random_):
    """Spoils an object in some way; what was done."""
    with open(path, "rb") as file:
        good = file.read()
    kind = random_.choice(["bit"] * 10 + ["cut", "append", "drop", "swap", "zeros", "head", "tail"])
    bad = bytearray(good)
    if kind == "bit":
        bad[random_.randrange(len(bad))] ^= 1 << random_.randrange(8)
    elif kind == "cut":
        del bad[random_.randrange(len(bad)):]
    elif kind == "append":
        bad += os.urandom(random_.randrange(1, 20))
    elif kind == "zeros":
        at = random_.randrange(len(bad))
        bad[at:at + 16] = bytes(len(bad[at:at + 16]))
    elif kind == "head":
        bad[random_.randrange(min(200, len(bad)))] ^= 0xff
    elif kind == "tail":
        bad[-random_.randrange(1, min(64, len(bad)) + 1)] ^= 0xff
    elif kind == "swap":
        with open(random_.choice(others), "rb") as file:
            bad = bytearray(file.read())
    if kind == "drop":
        os.remove(path)
    else:
        if bytes(bad) == good:
            bad[0] ^= 1
        with open(path, "wb") as file:
            file.write(bad)
    return kind, good


def tamper(world, damages, seed):
    """Damages of every kind to every kind of object: `verify` finds each, no restore touches its target."""
    random_ = random.Random(seed)
    repository = world.path("repository")
    os.mkdir(repository)
    server = world.basalt("--backup-url", repository, "--backup-archive", "yes", "--backup-archive-interval", "1")
    put(server, [b"key:%d" % i for i in range(2000)])
    for _ in range(100):
        if info(server, "backup_archive_active") == "1" and info(server, "backup_count") != "0":
            break
        time.sleep(0.1)
    for round_ in range(3):
        put(server, [b"key:%d" % (i + round_ * 1900) for i in range(100)])
        assert back_up(server) == ""
    put(server, [b"key:%d" % i for i in range(50)])
    while info(server, "backup_rpo_sec") != "0" or not glob.glob(os.path.join(repository, "logs/*/*")):
        time.sleep(0.2)
    server.kill()
    names = sorted(path for path in files(repository) if "/leases/" not in path)
    # Nobody can tell that the end of the log is missing, or the youngest backup: what is not there is not known.
    last = sorted(glob.glob(os.path.join(repository, "logs/*/*")))[-1]
    target = world.path("target")
    check = ["verify", repository, "-i", world.identity]
    kinds, refused = {}, 0
    for number in range(damages):
        path = random_.choice(names)
        while True:
            kind, good = damage(path, [name for name in names if name != path], random_)
            if kind != "drop" or (path != last and "/backups/" not in path):
                break
            with open(path, "wb") as file:
                file.write(good)
        tool(*check, code=1)
        kinds[kind] = kinds.get(kind, 0) + 1
        if number % 10 == 0:
            done = tool_code("restore", repository, "-i", world.identity, "--to", target)
            # An object that the newest backup does not name does not keep it from coming back.
            assert os.path.exists(target) == (done == 0), (path, kind, done)
            refused += done != 0
            shutil.rmtree(target, ignore_errors=True)
        with open(path, "wb") as file:
            file.write(good)
        if number % 50 == 0:
            tool(*check)
    tool(*check, "--drill")
    return f"{damages} of {damages} damages found ({', '.join(f'{n} {k}' for k, n in sorted(kinds.items()))}); {refused} restores refused"


def tool_code(*args):
    """Runs the tool; its exit code."""
    path = os.path.join(os.path.dirname(basalt_path()), "basalt")
    return subprocess.run([path, *args], capture_output=True, timeout=120, check=False).returncode


KEYS = 20_000


def place(number):
    """The key a transaction of the model writes."""
    return b"k:%d" % (number * 7919 % KEYS)


class Writer(threading.Thread):
    """Writes one transaction after the other, 50 at a time: `n` counts them, and each sets one of many keys."""

    def __init__(self, server, rate):
        super().__init__(daemon=True)
        self.connection, self.rate, self.ended = server.connect(), rate, threading.Event()
        # When each batch was sent, when it was answered, and the number of its last transaction.
        self.batches = [(0.0, time.time(), 0)]

    def run(self):
        number, began = 0, time.time()
        while not self.ended.is_set():
            words = []
            for number in range(number + 1, number + 51):
                text = b"%d" % number
                words += [[b"MULTI"], [b"SET", place(number), text], [b"SET", b"n", text], [b"EXEC"]]
            sent = time.time()
            try:
                self.connection.send(b"".join(encode(line) for line in words))
                self.connection.replies(200)
            except Exception:  # The server is gone: what was not answered is in doubt.
                self.batches.append((sent, float("inf"), number))
                return
            self.batches.append((sent, time.time(), number))
            # Two writes each.
            time.sleep(max(0.0, began + number * 2 / self.rate - time.time()))

    def stop(self):
        """Ends it."""
        self.ended.set()
        self.join()


def check_model(server, number):
    """Everything must be as after the first `number` transactions."""
    model = {}
    for i in range(max(1, number - KEYS + 1), number + 1):
        model[place(i)] = b"%d" % i
    connection = server.connect(60)
    keys = [b"k:%d" % i for i in range(KEYS)]
    for at in range(0, KEYS, 5000):
        part = keys[at:at + 5000]
        found = connection.call("MGET", *part)
        wrong = [(key, got, model.get(key)) for key, got in zip(part, found) if got != model.get(key)]
        assert not wrong, f"at {number}: {wrong[:3]}"
    connection.close()


def restored(world, repository, at):
    """A server on what was restored, and how many transactions it has."""
    target = world.path(f"at-{time.time_ns()}")
    tool("restore", repository, "-i", world.identity, "--to", target, "--at", at)
    server = Server(basalt_path(), "--appendonly", "yes", directory=target)
    wait_loaded(server)
    number = int(ask(server, "GET", "n") or 0)
    check_model(server, number)
    server.stop()
    return number


def moment(seconds):
    """A moment as the tool reads it."""
    whole = int(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1000):03d}Z"


def archived(world, *options):
    """A server that archives, once it does."""
    repository = world.path("repository")
    os.makedirs(repository, exist_ok=True)
    server = world.basalt("--backup-url", repository, "--backup-archive", "yes", *options)
    for _ in range(200):
        if info(server, "backup_archive_active") == "1" and info(server, "backup_count") != "0":
            return repository, server
        time.sleep(0.05)
    raise AssertionError("the archive does not begin")


def moments(world, count, rate, seconds, seed):
    """Random moments of a load, with backups in between: exactly what had happened, at a transaction's boundary."""
    random_ = random.Random(seed)
    repository, server = archived(world, "--backup-archive-interval", "1")
    writer = Writer(server, rate)
    began = time.time()
    writer.start()
    for _ in range(3):
        time.sleep(seconds / 4)
        assert back_up(server) == ""
    time.sleep(seconds / 4)
    writer.stop()
    ended = time.time()
    total = writer.batches[-1][2]
    # Some time later the archive has it all.
    ask(server, "SET", "end", "1")
    while int(info(server, "backup_rpo_sec")) > 0:
        time.sleep(0.2)
    server.kill()
    for _ in range(count):
        at = int(random_.uniform(began, ended) * 1000) / 1000
        number = restored(world, repository, moment(at))
        # Answered before: there. Sent after the millisecond: not there.
        least = max(last for _, answered, last in writer.batches if answered < at)
        most = max(last for sent, _, last in writer.batches if sent <= at + 0.001)
        assert least <= number <= most, (at, least, number, most)
    assert restored(world, repository, "latest") == total
    return f"{count} of {count} moments exact; {2 * total / (ended - began):.0f} writes a second, {total} transactions"


def loss(world, rounds, rate, seed):
    """kill -9 and the data directory gone: what is lost is no more than the interval and two seconds, and INFO had said so."""
    random_ = random.Random(seed)
    worst = 0.0
    for _ in range(rounds):
        shutil.rmtree(world.path("repository"), ignore_errors=True)
        interval = 1
        repository, server = archived(world, "--backup-archive-interval", str(interval))
        writer = Writer(server, rate)
        writer.start()
        time.sleep(random_.uniform(2, 4))
        told = int(info(server, "backup_rpo_sec"))
        asked = time.time()
        server.kill()
        killed = time.time()
        writer.stop()
        shutil.rmtree(server.dir)
        number = restored(world, repository, "latest")
        lost_from = min((answered for _, answered, last in writer.batches if last > number), default=killed)
        lost = killed - min(lost_from, killed)
        worst = max(worst, lost)
        assert lost <= interval + 2, lost
        assert asked - lost_from <= told, (told, asked - lost_from)
    return f"{rounds} times, at most {worst:.2f} s lost"


def plain(world):
    """No 16 bytes of planted keys and values in any object, nor in what waits for the store."""
    mark = b"plantedQ7x!Z_3k#"
    parts = [(mark * 2)[at:at + 16] for at in range(16)]
    spool = world.path("spool")
    os.mkdir(spool)
    repository, server = archived(world, "--backup-archive-interval", "1", "--backup-spool-dir", spool, "--backup-compression", "none", "--rdb-key-save-delay", "150")
    connection = server.connect()
    for i in range(4000):
        connection.send(encode([b"SET", mark * 2 + b"%d" % i, mark * 400]))
        connection.replies(1)
    seen = set()

    def look(body, name):
        for part in parts:
            assert part not in body, f"{name} holds {part}"

    connection.call("BACKUP", "NOW")
    while info(server, "backup_in_progress") == "1":
        for path in glob.glob(f"/proc/{server.process.pid}/fd/*"):
            try:
                name = os.readlink(path)
                if spool not in name and "backup-index" not in name and "(deleted)" not in name:
                    continue
                with open(path, "rb") as file:
                    look(file.read(), name)
                seen.add(name)
            except OSError:
                continue
    assert info(server, "backup_last_status") == "ok"
    time.sleep(1.5)
    connection.close()
    server.kill()
    bodies = [path for path in files(repository)] + glob.glob(os.path.join(server.dir, "basalt.backup*"))
    for path in bodies:
        with open(path, "rb") as file:
            look(file.read(), path)
    assert seen, "nothing was seen on its way"
    return f"{len(bodies)} files and {len(seen)} on their way"


def disk_limit(world, megabytes):
    """MiB/s that a file takes with its sync, written as plainly as can be."""
    path, block, began = world.path("disk"), os.urandom(1 << 22), time.time()
    with open(path, "wb", buffering=0) as file:
        for _ in range(megabytes // 4):
            file.write(block)
        os.fsync(file.fileno())
    took = time.time() - began
    os.remove(path)
    return megabytes / took


def fill(server, megabytes):
    """Values of 4 KiB, each twice the same 2,048 random digits."""
    connection, count = server.connect(), megabytes * 256
    for at in range(0, count, 500):
        words = [[b"SET", b"big:%d" % i, os.urandom(1024).hex().encode() * 2] for i in range(at, min(at + 500, count))]
        connection.send(b"".join(encode(line) for line in words))
        connection.replies(len(words))
    connection.close()


def full_backup(server):
    """Begins a backup that finds no index of an earlier one."""
    index = os.path.join(server.dir, "basalt.backup-index")
    if os.path.exists(index):
        os.remove(index)
    connection = server.connect()
    connection.call("BACKUP", "NOW")
    connection.close()


def resident(server, name):
    """A figure of the process's memory in MiB."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith(name + ":")).split()[1]) / 1024


def throughput(world, megabytes, compression):
    """How fast values of 4 KiB, of which half can be compressed away, go to a local store and come back, and the memory for it.
    What requests meanwhile feel is measured by benches/compare/backup.py."""
    repository = world.path("repository")
    os.mkdir(repository)
    server = world.basalt("--backup-url", repository, "--backup-compression", compression)
    fill(server, megabytes)
    disk = disk_limit(world, megabytes)
    with open(f"/proc/{server.process.pid}/clear_refs", "w", encoding="ascii") as peak:
        peak.write("5")
    before = resident(server, "VmRSS")
    full_backup(server)
    while info(server, "backup_in_progress") == "1":
        time.sleep(0.05)
    assert info(server, "backup_last_status") == "ok"
    memory = resident(server, "VmHWM") - before
    took = int(info(server, "backup_last_duration_ms")) / 1000
    stored = int(info(server, "backup_last_success_stored_bytes"))
    program = os.path.join(os.path.dirname(basalt_path()), "basalt")
    began = time.time()
    restoring = subprocess.Popen([program, "restore", repository, "-i", world.identity, "--to", world.path("restored")], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(restoring.pid, 0)
    assert status == 0
    restored = time.time() - began
    shutil.rmtree(world.path("restored"))
    server.kill()
    return (f"{compression}: {megabytes} MiB of values, stored in {stored >> 20}: backup {megabytes / took:.0f} MiB/s with {memory:.0f} MiB of memory, "
            f"restore {megabytes / restored:.0f} MiB/s with {usage.ru_maxrss >> 10} MiB, a plain file {disk:.0f} MiB/s")
