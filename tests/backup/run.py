#!/usr/bin/env python3
"""Backups with real parts: Debian's age, zstd and Redis open them, a foreign S3 server keeps them.

    tests/backup/run.py              what can be run with what is installed
    tests/backup/run.py --require    what cannot be run is an error
    tests/backup/run.py --only faults --faults 20    so many rounds of each fault (1), a quarter of an hour
    tests/backup/run.py --only faults --kind kill    only faults with this in their names
    tests/backup/run.py --only incremental --size 1000000    so many keys (100,000)
    tests/backup/run.py --only tamper --damages 1000         so many damages (60)
    tests/backup/run.py --only moments --moments 50 --seconds 60    so many moments (4) of so long (6)
    tests/backup/run.py --only loss --losses 20              so many lost machines (1)
    tests/backup/run.py --only throughput --megabytes 1000 --compression zstd:3    only when asked for
    tests/backup/run.py --seed 7     other random damages and moments

The S3 server is moto's (PyPI, below target/). `faults.py` has what is done to its requests.
"""

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

from world import World, ask, back_up, fill, restore_and_compare, tool

import at
import faults
import promises
import size
import stores
from s3 import S3
from lib.servers import ROOT, Server, basalt_path, free_port, redis_path
from lib.tools import Skip, need


def readable(folder):
    """Has a Redis before 7.2, which reads RDB 10 at most, get its file in that version."""
    told = subprocess.run([redis_path(), "--version"], capture_output=True, text=True, check=True).stdout
    version = told.split("v=")[1].split()[0].split(".")
    if (int(version[0]), int(version[1])) >= (7, 2):
        return
    path = os.path.join(folder, "dump.rdb")
    tool("convert", "--target", "redis-7.0", path, path + ".10")
    os.replace(path + ".10", path)


def stock_tools(world):
    """age, zstd and Redis open a backup without Basalt; Redis loads the export."""
    for program in ("age", "zstd", "redis-cli"):
        need(program)
    if not redis_path():
        raise Skip("no redis-server")
    os.mkdir(world.path("repository"))
    server = world.basalt("--backup-url", world.path("repository"))
    fill(server, "stock")
    assert back_up(server) == ""
    chunks = glob.glob(world.path("repository/objects/*/*.rdb.zst.age"))
    assert chunks
    seen = 0
    for chunk in chunks:
        target = tempfile.mkdtemp(dir=world.dir)
        with open(os.path.join(target, "dump.rdb"), "wb") as out:
            age = subprocess.Popen(["age", "-d", "-i", world.identity, chunk], stdout=subprocess.PIPE)
            subprocess.run(["zstd", "-d"], stdin=age.stdout, stdout=out, stderr=subprocess.DEVNULL, check=True)
            assert age.wait() == 0
        readable(target)
        redis = Server(redis_path(), "--save", "", directory=target)
        seen += int(ask(redis, "DBSIZE"))
        redis.stop()
    assert seen == int(ask(server, "DBSIZE")), seen
    target = tempfile.mkdtemp(dir=world.dir)
    tool("export", world.path("repository"), "-i", world.identity, "-o", os.path.join(target, "dump.rdb"))
    readable(target)
    redis = Server(redis_path(), "--save", "", "--enable-debug-command", "yes", directory=target)
    ours, theirs = ask(server, "DEBUG", "DIGEST"), ask(redis, "DEBUG", "DIGEST")
    redis.stop()
    assert ours == theirs, (ours, theirs)
    # An identity with a passphrase, made by stock age.
    return f"{len(chunks)} chunks, {seen} keys, digest equal in Redis"


def s3(world):
    """A foreign S3 server; nothing plain arrives there; pruning leaves no orphan."""
    need("redis-cli")
    store = S3()
    world.closing.append(store.close)
    endpoint = f"http://127.0.0.1:{store.port}"
    repository = ["s3://backups/team/one", "--endpoint", endpoint, "--region", "us-east-1"]
    server = world.basalt("--backup-url", "s3://backups/team/one", "--backup-endpoint", endpoint, "--backup-region", "us-east-1")
    fill(server, "plantedmarker")
    # More than one piece of an upload.
    ask(server, "DEBUG", "POPULATE", "30", "big", "1000000")
    for i in range(12):
        ask(server, "-x", "SET", f"random:{i}", given=os.urandom(600_000).hex())
    assert back_up(server) == ""
    digest = ask(server, "DEBUG", "DIGEST")
    restore_and_compare(world, digest, *repository)
    for name in store.objects():
        assert b"plantedmarker" not in store.body(name), name
    ask(server, "SET", "one-more", "1")
    assert back_up(server) == ""
    digest = ask(server, "DEBUG", "DIGEST")
    tool("prune", *repository, "--retention", "1")
    result = json.loads(tool("verify", *repository, "-i", world.identity, "--drill", "--json"))
    assert result["ok"] and len(result["backups"]) == 1
    restore_and_compare(world, digest, *repository)
    assert json.loads(tool("list", *repository, "--json"))["ok"]
    return f"{len(store.objects())} objects"


def kills(world, rounds):
    """kill -9 during a backup: the last good one restores, the next one works, prune leaves nothing behind."""
    need("redis-cli")
    os.mkdir(world.path("repository"))
    server = world.basalt("--backup-url", world.path("repository"), "--rdb-key-save-delay", "20")
    fill(server, "kills")
    assert back_up(server) == ""
    digest = ask(server, "DEBUG", "DIGEST")
    for round_ in range(rounds):
        doomed = world.basalt("--backup-url", world.path("repository"), "--rdb-key-save-delay", "100")
        fill(doomed, f"doomed{round_}")
        ask(doomed, "BACKUP", "NOW")
        time.sleep(0.02 * round_)
        doomed.process.kill()
        doomed.process.wait()
        lineage = json.loads(tool("list", world.path("repository"), "--json"))["backups"]
        newest = [backup for backup in lineage if backup["keys"]][0]
        restore_and_compare(world, digest, world.path("repository"), "--backup", newest["id"])
    tool("verify", world.path("repository"), "-i", world.identity, "--drill")
    return f"{rounds} kills"


def examples(world):
    """The scripts that the documents name, that with a schedule on a foreign S3 server."""
    need("age", "zstd", "redis-cli", "redis-server")
    store = S3()
    world.closing.append(store.close)
    scripts = sorted(path for path in glob.glob(os.path.join(ROOT, "examples", "backup", "*.sh")) if "common" not in path)
    assert len(scripts) >= 6, scripts
    for path in scripts:
        told = dict(os.environ, BASALT_BIN=os.path.dirname(os.path.abspath(basalt_path())), PORT=str(free_port()))
        if "scheduled" in path:
            told |= {"REPOSITORY": "s3://backups/demo", "BACKUP_ENDPOINT": f"http://127.0.0.1:{store.port}"}
        done = subprocess.run([path], env=told, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{path}: {done.stdout[-800:]} {done.stderr[-800:]}"
    return f"{len(scripts)} scripts"


def main():
    """Runs all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--require", action="store_true")
    parser.add_argument("--faults", type=int, default=1)
    parser.add_argument("--kind", default="")
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--damages", type=int, default=60)
    parser.add_argument("--moments", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--losses", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--compression", default="zstd:1")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    parts = {
        "stock tools": stock_tools,
        "s3": s3,
        "faults": lambda world: faults.run(world, options.faults, options.kind),
        "kills": lambda world: kills(world, 3 * options.faults),
        "examples": examples,
        "incremental": lambda world: size.incremental(world, options.size),
        "tamper": lambda world: size.tamper(world, options.damages, options.seed),
        "moments": lambda world: size.moments(world, options.moments, options.rate, options.seconds, options.seed),
        "promises": promises.run,
        "forms": at.forms,
        "stores": stores.check,
        "loss": lambda world: size.loss(world, options.losses, options.rate, options.seed),
        "plain": size.plain,
        "throughput": lambda world: size.throughput(world, options.megabytes, options.compression),
    }
    bad = False
    for name, part in parts.items():
        if options.only not in name or (name == "throughput" and not options.only):
            continue
        world, began = World(), time.time()
        try:
            print(f"ok      {name}: {part(world)} ({time.time() - began:.1f} s)", flush=True)
        except Skip as skip:
            print(f"skipped {name}: {skip}", flush=True)
            bad |= options.require
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            print(f"FAILED  {name}: {error}", flush=True)
            bad = True
        finally:
            world.close()
    sys.exit(bad)


if __name__ == "__main__":
    main()
