#!/usr/bin/env python3
"""What a backup costs those who ask meanwhile, and how fast it is.

    benches/compare/backup.py [--turns 10] [--megabytes 500] [--connections 20] [--period-us 5000] [--compression zstd:1]

Basalt holds values of 4 KiB, of which half can be compressed away. Connections send GETs and SETs at a steady
pace (paced_reads.c), in turns: one while nothing else happens, one while a full, encrypted backup goes to a
local directory, begun anew as soon as it has ended. The ratio of a turn is that of its two halves; what is
printed are medians over the turns, and the range of them.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests")
sys.path[:0] = [TESTS, os.path.join(TESTS, "backup")]

from aof import compiled
from lib.servers import Server, basalt_path
from size import fill, full_backup


class Backups(threading.Thread):
    """One full backup after the other; `took` has their seconds."""

    def __init__(self, server):
        super().__init__()
        self.server, self.took, self.ended = server, [], threading.Event()

    def run(self):
        connection = self.server.connect(600)
        while not self.ended.is_set():
            # Without the index of the last one all is uploaded.
            full_backup(self.server)
            while self.field(connection, "backup_in_progress") == "1":
                time.sleep(0.1)
            assert self.field(connection, "backup_last_status") == "ok"
            self.took.append(int(self.field(connection, "backup_last_duration_ms")) / 1000)
        connection.close()

    def field(self, connection, name):
        """Of INFO, on a connection that stays: a process for each question would be felt by those who are measured."""
        text = connection.call("INFO", "backup").decode()
        return next(line.split(":", 1)[1] for line in text.split("\r\n") if line.startswith(name + ":"))


def aside():
    """The load is on another machine, as it were: it need not share the processors, where that may be asked for."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass


def paced(program, server, options, seconds):
    """The sorted times of answers, in microseconds."""
    command = [program, str(server.port), str(options.connections), str(options.period_us), str(seconds), "writes"]
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=aside).stdout
    return sorted(int(line) for line in text.split())


def at(found, share):
    """The time that so large a share of the answers was not above."""
    return found[min(len(found) - 1, int(len(found) * share))]


def told(name, values, form="{:.2f}"):
    """A line with the median and the range."""
    low, middle, high = (form.format(value) for value in (min(values), statistics.median(values), max(values)))
    print(f"{name:<34}{middle:>10}   ({low} to {high})")


def main():
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--period-us", type=int, default=5000)
    parser.add_argument("--compression", default="zstd:1")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="basalt-bench-")
    repository, identity = os.path.join(folder, "repository"), os.path.join(folder, "identity.txt")
    os.mkdir(repository)
    tool = os.path.join(os.path.dirname(basalt_path()), "basalt")
    recipient = subprocess.run([tool, "keygen", "-o", identity], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    server = Server(basalt_path(), "--save", "", "--backup-url", repository, "--backup-recipients", recipient,
                    "--backup-compression", options.compression)
    try:
        program = compiled("paced_reads", folder)
        fill(server, options.megabytes)
        quiet, busy, took = [], [], []
        for _ in range(options.turns):
            quiet.append(paced(program, server, options, options.seconds))
            backups = Backups(server)
            backups.start()
            busy.append(paced(program, server, options, options.seconds))
            backups.ended.set()
            backups.join()
            took += backups.took
        told("backup, MiB/s", [options.megabytes / seconds for seconds in took], "{:.0f}")
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
            told(f"{name} without, us", [at(found, share) for found in quiet], "{:.0f}")
            told(f"{name} during a backup, us", [at(found, share) for found in busy], "{:.0f}")
            told(f"{name}, ratio", [at(b, share) / at(q, share) for q, b in zip(quiet, busy)])
    finally:
        server.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
