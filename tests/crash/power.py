#!/usr/bin/env python3
"""A power cut: what the disk has at one moment is all there is.

The data lies on ext4 (or `--filesystem xfs`, `btrfs`) in an image, which lies on xfs with reflinks. The cut is `cp
--reflink` of the image, which is atomic and holds only what the file system has pushed to its device; the copy is mounted, and the server started on it.
`always` must have lost nothing; of `everysec` the age of the oldest lost write is told, with a median of at
most 1 s and a maximum of 2 s. Nothing may be out of order or half, no start refused. Rewrites and saves
run during some of the cuts. Needs root, xfs, ext4 and loop devices; says so and ends well without them.
`--self-test` judges `everysec` as if it were `always`: the losses must be found.

    tests/crash/power.py           6 cuts of each
    tests/crash/power.py --full    40 of each
"""

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from harness import Load, Lost, Node, Refused, arguments, fill, is_basalt, title, verdict

IMAGE = 512 << 20


def call(*words):
    """A program that has to succeed."""
    subprocess.run(words, check=True, capture_output=True)


class Disk:
    """The image in the image, and the copies of it."""

    def __init__(self, filesystem):
        self.options = {"xfs": ["-o", "loop,nouuid"]}.get(filesystem, ["-o", "loop"])
        force = "-F" if filesystem == "ext4" else "-f"
        self.root = tempfile.mkdtemp(prefix="basalt-power-")
        self.outer, self.inner, self.copy = (os.path.join(self.root, name) for name in ("outer", "inner", "copy"))
        self.mounted = []
        try:
            for path in (self.outer, self.inner, self.copy):
                os.mkdir(path)
            self._image(os.path.join(self.root, "xfs.img"), 3 * IMAGE, "mkfs.xfs", "-q", "-m", "reflink=1")
            self._mount(os.path.join(self.root, "xfs.img"), self.outer)
            self.image = os.path.join(self.outer, "disk.img")
            self._image(self.image, IMAGE, f"mkfs.{filesystem}", "-q", force)
            self._mount(self.image, self.inner)
        except BaseException:
            self.end()
            raise
        self.data = os.path.join(self.inner, "data")

    @staticmethod
    def _image(path, size, *maker):
        with open(path, "wb") as file:
            file.truncate(size)
        call(*maker, path)

    def _mount(self, image, where):
        call("mount", *self.options, image, where)
        self.mounted.append(where)

    def cut(self):
        """The copy, mounted; gives the data in it."""
        self.uncopy()
        target = os.path.join(self.outer, "cut.img")
        call("cp", "--reflink=always", self.image, target)
        return target

    def look(self, target):
        """Mounts what was copied."""
        self._mount(target, self.copy)
        return os.path.join(self.copy, "data")

    def uncopy(self):
        """Removes the copy."""
        if self.copy in self.mounted:
            call("umount", self.copy)
            self.mounted.remove(self.copy)
        path = os.path.join(self.outer, "cut.img")
        if os.path.exists(path):
            os.unlink(path)

    def end(self):
        """Removes all."""
        for where in reversed(self.mounted):
            subprocess.run(["umount", "-l", where], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


def run(program, policy, cuts, disk):
    """The cuts; figures."""
    sums = {"cuts": 0, "acknowledged": 0, "lost": 0, "refused": 0, "broken": 0, "windows": []}
    flags = ("--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", 0)
    for number in range(cuts):
        shutil.rmtree(disk.data, ignore_errors=True)
        os.mkdir(disk.data)
        os.sync()
        with Node(program, *flags, directory=disk.data) as node:
            fill(node.start().connect(), 3000)
            time.sleep(1.1)
            load = Load(node, f"p{number}", clients=8).start()
            time.sleep(0.8 + random.random() * 1.2)
            order = random.choice(["BGREWRITEAOF", "BGSAVE", None])
            if order:
                node.call(order)
                time.sleep(random.random() * 0.05)
            noted = load.noted()
            target = disk.cut()
            node.kill()
            load.join()
        sums["cuts"] += 1
        sums["acknowledged"] += sum(noted[0]) + sum(noted[1])
        with Node(program, *flags, directory=disk.look(target)) as node:
            try:
                conn = node.start().connect()
                lost, window = load.compare(conn, noted)
                conn.close()
            except Refused as refused:
                sums["refused"] += 1
                print(f"  cut {number} ({order}): {refused}")
                continue
            except Lost as problem:
                sums["broken"] += 1
                print(f"  cut {number} ({order}): {problem}")
                continue
        sums["lost"] += lost
        sums["windows"].append(window)
    disk.uncopy()
    windows = sums["windows"] or [0.0]
    sums["median"], sums["max"] = statistics.median(windows), max(windows)
    print(f"{title(program):16} {policy:9} {sums['cuts']} power cuts: {sums['acknowledged']} acknowledged, {sums['lost']} lost, "
          f"window median {sums['median']:.2f} s, max {sums['max']:.2f} s; {sums['refused']} starts refused, "
          f"{sums['broken']} inconsistent", flush=True)
    return sums


def main():
    """Both policies on each server."""
    given = arguments(__doc__, cuts={"type": int, "help": "so many instead"},
                      filesystem={"default": "ext4", "help": "what the data lies on: ext4, xfs or btrfs"},
                      self_test={"action": "store_true", "help": "the checker must find losses"})
    tools = ("mkfs.xfs", f"mkfs.{given.filesystem}", "losetup", "mount")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [tool for tool in tools if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        print(f"power: skipped, {'no ' + ', '.join(missing) if missing else 'not root'}")
        sys.exit(0)
    try:
        disk = Disk(given.filesystem)
    except subprocess.CalledProcessError as error:
        print(f"power: skipped, {' '.join(error.cmd)}: {error.stderr.decode().strip()}")
        sys.exit(0)
    failures = []
    try:
        if given.self_test:
            sums = run(given.server[0], "everysec", 3, disk)
            if not sums["lost"]:
                failures.append("no loss was found")
        else:
            for program in given.server:
                for policy in ("always", "everysec"):
                    sums = run(program, policy, given.cuts or (40 if given.full else 6), disk)
                    late = sums["median"] > 1 or sums["max"] > 2
                    bad = sums["refused"] + sums["broken"] + (sums["lost"] if policy == "always" else late)
                    if is_basalt(program) and bad:
                        failures.append(f"{policy}: {sums}")
    finally:
        disk.end()
    verdict("power", failures)


if __name__ == "__main__":
    main()
