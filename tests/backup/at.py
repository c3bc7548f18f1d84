"""A moment of the archive in every form it can be asked for: as a log, as a file, into a server; everything or some keys."""

import os
import time

from size import archived, moment, wait_loaded
from world import ask, back_up, basalt_path, fill, info, tool

from lib.servers import Server

SERVER = ["--save", "", "--enable-debug-command", "yes"]


def digests(server, db, keys):
    """What DEBUG says of keys."""
    return ask(server, "-n", str(db), "DEBUG", "DIGEST-VALUE", *keys).splitlines()


def names(server, db, pattern="*"):
    """Keys, in order."""
    return sorted(ask(server, "-n", str(db), "--raw", "KEYS", pattern).split())


def forms(world):
    """Data of all types in two databases, a library, a FLUSHALL; the moment before it in six forms."""
    repository, server = archived(world, "--backup-archive-interval", "1")
    fill(server, "before")
    assert back_up(server) == ""
    fill(server, "after")
    ask(server, "-n", "3", "MSET", "user:1", "a", "user:2", "b", "other", "c")
    ask(server, "-n", "3", "EXPIRE", "user:2", "100000")
    ask(server, "SWAPDB", "3", "4")
    ask(server, "-n", "4", "EVAL", "redis.call('INCR', KEYS[1]) redis.call('APPEND', KEYS[2], 'x')", "2", "user:3", "user:1")
    ask(server, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('one', function() return 1 end)")
    ask(server, "DEL", "before:7")
    time.sleep(0.05)
    at = moment(time.time())
    time.sleep(0.05)
    expected, sums = ask(server, "DEBUG", "DIGEST"), digests(server, 4, ["user:1", "user:2", "user:3"])
    after, of_after = names(server, 0, "after*"), digests(server, 0, names(server, 0, "after*"))
    expires = ask(server, "-n", "4", "PEXPIRETIME", "user:2")
    ask(server, "FLUSHALL")
    ask(server, "SET", "late", "1")
    while int(info(server, "backup_rpo_sec")) > 0:
        time.sleep(0.1)
    server.kill()
    base = [repository, "-i", world.identity, "--at", at]

    def open_(directory, *args):
        opened = Server(basalt_path(), *SERVER, *args, directory=directory)
        world.closing.append(opened.stop)
        wait_loaded(opened)
        return opened

    # As a log, and as one file.
    tool("restore", *base, "--to", world.path("log"))
    whole = open_(world.path("log"), "--appendonly", "yes")
    assert ask(whole, "DEBUG", "DIGEST") == expected
    os.mkdir(world.path("file"))
    tool("export", *base, "-o", world.path("file/dump.rdb"))
    file = open_(world.path("file"))
    assert ask(file, "DEBUG", "DIGEST") == expected
    for one in (whole, file):
        assert ask(one, "FCALL", "one", "0") == "1"
    # Some keys as a file.
    tool("restore", *base, "--to", world.path("some"), "--db", "4", "--prefix", "user:")
    some = open_(world.path("some"))
    assert names(some, 4) == ["user:1", "user:2", "user:3"] and not names(some, 0)
    assert digests(some, 4, names(some, 4)) == sums and ask(some, "-n", "4", "PEXPIRETIME", "user:2") == expires
    tool("check-rdb", world.path("some/dump.rdb"))
    tool("restore", *base, "--to", world.path("part"), "--prefix", "after")
    part = open_(world.path("part"))
    assert names(part, 0) == after and not names(part, 4) and digests(part, 0, after) == of_after
    # Into servers: everything into an empty one, some keys into one with data.
    into = open_(None)
    tool("restore", *base, "--into", f"127.0.0.1:{into.port}")
    assert ask(into, "DEBUG", "DIGEST") == expected
    used = open_(None)
    ask(used, "SET", "own", "1")
    tool("restore", *base, "--into", f"127.0.0.1:{used.port}", code=1)
    tool("restore", *base, "--into", f"127.0.0.1:{used.port}", "--key", "user:1", "--key", "user:2", "--dry-run")
    assert names(used, 0) == ["own"] and not names(used, 4)
    tool("restore", *base, "--into", f"127.0.0.1:{used.port}", "--key", "user:1", "--key", "user:2")
    assert names(used, 4) == ["user:1", "user:2"] and digests(used, 4, ["user:1", "user:2"]) == sums[:2]
    ask(used, "-n", "4", "SET", "user:1", "mine")
    tool("restore", *base, "--into", f"127.0.0.1:{used.port}", "--key", "user:1", code=1)
    assert ask(used, "-n", "4", "GET", "user:1") == "mine"
    tool("restore", *base, "--into", f"127.0.0.1:{used.port}", "--key", "user:1", "--replace")
    assert digests(used, 4, ["user:1"]) == sums[:1] and names(used, 0) == ["own"]
    # What the archive does not cover is refused, and nothing is there then.
    late = moment(time.time() + 3600)
    for more in (["--to", world.path("no")], ["--to", world.path("no"), "--prefix", "u"]):
        tool("restore", repository, "-i", world.identity, "--at", late, *more, code=1)
        assert not os.path.exists(world.path("no"))
    listed = tool("list", repository)
    assert "any moment" in listed, listed
    return "as a log, as a file, some keys as a file, everything and some keys into a server: exact"
