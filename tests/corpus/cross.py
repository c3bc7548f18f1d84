#!/usr/bin/env python3
"""Moves data between Basalt and a real server through RDB files, in both directions.

    tests/corpus/cross.py                        Basalt and the redis-server on the PATH (or REDIS_SERVER)
    tests/corpus/cross.py --seed 7 --rounds 3    other and more random data
    tests/corpus/cross.py --from A --to B        one direction between any two servers
    tests/corpus/cross.py --self-test            differences put in on purpose must all be found

Each round builds the data of dataset.py in one server, has it SAVEd, starts the other on the file
and compares content, expiry, encodings, access frequency, and the bytes of DUMP where both write
the same RDB version. What a real server is to read is checked with its redis-check-rdb first, and
a file that is too new for it goes through `basalt convert`. TEST_PORTS=FROM-TO names the ports.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import canon
import dataset
from lib.loading import Loading
from lib.resp import encode
from lib.servers import basalt_path, redis_path

PROFILES = {
    "default": [],
    "lfu": ["maxmemory-policy allkeys-lfu", "lfu-decay-time 0"],
    "lru, plain": ["maxmemory-policy volatile-lru", "rdbcompression no", "rdbchecksum no"],
    "small limits": ["list-max-listpack-size 3", "list-compress-depth 1", "hash-max-listpack-entries 8",
                     "hash-max-listpack-value 16", "zset-max-listpack-entries 8", "set-max-intset-entries 8",
                     "stream-node-max-entries 5"],
}
# Their DUMP has an order of its own.
NO_ORDER = ("hashtable",)
# How encodings of one server turn into those of another version at a load: type, found, expected.
TO_NEWER = {("list", "listpack", "quicklist"), ("set", "listpack", "hashtable")}
TO_OLDER = {("list", "quicklist", "listpack"), ("set", "hashtable", "listpack")}


class Failure(Exception):
    """What is wrong with a round."""


class Program:
    """A server binary and what goes with it."""

    def __init__(self, path):
        self.path = path
        with Loading(path) as server:
            if server.outcome != "up":
                raise Failure(f"{path} does not start: {server.log_text()[-500:]}")
            info = server.conn.call("INFO", "server")
            self.is_basalt = b"server_name:basalt" in info
            lines = dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
            self.version = tuple(int(part) for part in lines[b"redis_version"].split(b"."))
            library = server.conn.call("FUNCTION", "LOAD", dataset.LIBRARY % ("x", "x", "x"))
            self.functions = not isinstance(library, Exception)
            self.scripts = canon.runs_scripts(server.conn)
            self.commands = {entry[0].upper() for entry in server.conn.call("COMMAND")}
            self.streams = {b"XADD", b"XINFO"} <= self.commands
            server.conn.call("SET", "k", "v")
            self.rdb_version = int.from_bytes(server.conn.call("DUMP", "k")[-10:-8], "little")

    @property
    def name(self):
        """For the reader."""
        if self.is_basalt:
            return "basalt"
        return f"{os.path.basename(self.path).removesuffix('-server')} {'.'.join(map(str, self.version))}"

    def check_tool(self):
        """The program's own checker of RDB files, if there is one."""
        folder = os.path.dirname(os.path.realpath(self.path))
        for name in ("valkey-check-rdb", "redis-check-rdb"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return path
        return None if self.is_basalt else shutil.which("redis-check-rdb")


def run_all(server, commands):
    """Sends all commands; an error reply is a fault of the data set."""
    conn = server.conn
    at, db = 0, None
    while at < len(commands):
        part, size = [], 0
        while at < len(commands) and len(part) < 500 and size < 1 << 20:
            if commands[at][0] != db:
                db = commands[at][0]
                part.append([b"SELECT", b"%d" % db])
            part.append(commands[at][1])
            size += sum(map(len, commands[at][1]))
            at += 1
        conn.send(b"".join(map(encode, part)))
        for words, reply in zip(part, conn.replies(len(part))):
            if reply.startswith(b"-"):
                raise Failure(f"{[w[:40] for w in words[:6]]}: {reply[:200]}")


def dumps(conn, lines):
    """DUMP of every key whose bytes have one order, by database, key and encoding.

    Uncompressed, as compressors may differ; what Redis compresses in memory is left out.
    """
    out, db = {}, None
    setting = conn.call("CONFIG", "GET", "rdbcompression")[1]
    conn.call("CONFIG", "SET", "rdbcompression", "no")
    depth = conn.call("CONFIG", "GET", "list-compress-depth")[1]
    left_out = NO_ORDER if depth == b"0" else (*NO_ORDER, "quicklist")
    ones = [one for one in map(json.loads, lines) if one["db"] >= 0 and one["encoding"] not in left_out]
    for one in ones:
        if one["db"] != db:
            db = one["db"]
            conn.call("SELECT", db)
        out[db, one["key_hex"], one["encoding"]] = conn.call("DUMP", bytes.fromhex(one["key_hex"]))
    conn.call("CONFIG", "SET", "rdbcompression", setting)
    return out


def content_of(server):
    """Content and payloads."""
    lines = canon.dump(server.conn, full=True)
    return {"lines": lines, "dumps": dumps(server.conn, lines)}


def compare(before, after, source, target, with_access):
    """All differences between the state of the source and that of the target after the load.

    Access is saved only under the policies that need it.
    """
    options, encodings = [], set(canon.SMALLER_AFTER_LOAD)
    if (source.version < (7, 2, 0)) != (target.version < (7, 2, 0)):
        options = ["--ignore-fields", "active_time"]
        encodings |= TO_NEWER if source.version < target.version else TO_OLDER
    options = canon.Options(options, source.scripts and target.scripts)
    found = canon.differences(after["lines"], before["lines"], options, encodings)
    # Redis has one object for all keys with the same small integer, whose access nobody counts.
    shared = {(one["db"], one["key_hex"]) for one in map(json.loads, before["lines"]) if one["encoding"] == "int"}
    if with_access:
        found += compare_access(before["access"], after["access"], shared)
    if source.rdb_version == target.rdb_version:
        for place in before["dumps"].keys() & after["dumps"].keys():
            one, other = before["dumps"][place], after["dumps"][place]
            if one != other:
                found.append(f"db {place[0]} {bytes.fromhex(place[1])[:60]} ({place[2]}) DUMP: got "
                             f"{other[:60].hex()}.. ({len(other)} bytes), expected {one[:60].hex()}.. ({len(one)} bytes)")
    return found


def compare_access(before, after, shared):
    """Frequencies are the same; idle times went on by seconds."""
    found = []
    was = {(one["db"], one["key_hex"]): one for one in map(json.loads, before)}
    for one in map(json.loads, after):
        old = was.get((one["db"], one["key_hex"]))
        if old is None or (one["db"], one["key_hex"]) in shared:
            continue  # a missing key is told by the comparison of content
        name = f"db {one['db']} {bytes.fromhex(one['key_hex'])[:60]}"
        if one["freq"] != old["freq"]:
            found.append(f"{name} freq: got {one['freq']}, expected {old['freq']}")
        if (one["idle_s"] is None) != (old["idle_s"] is None) or one["idle_s"] is not None and not -2 <= one["idle_s"] - old["idle_s"] <= 120:
            found.append(f"{name} idle: got {one['idle_s']}, expected {old['idle_s']}")
    return found


def converted(saved, target, folder, tool):
    """The file in a version that the target reads."""
    out = os.path.join(folder, "converted.rdb")
    major, minor = target.version[:2]
    name = f"redis-{major}" if (major, minor) in ((5, 0), (6, 0)) else f"redis-{major}.{minor}"
    done = subprocess.run([tool, "convert", saved, out, "--target", name], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failure(f"basalt convert: {done.stdout[-500:]}{done.stderr[-500:]}")
    return out


def access_data(conn):
    """Gives some keys an access frequency and an idle time other than that of a new key."""
    for n in range(30):
        for _ in range(n * 20):
            conn.call("STRLEN", f"str:noise:{dataset.LENGTHS[n % len(dataset.LENGTHS)]}")


def move(source, target, commands, profile, tool, mutate=None):
    """One round. Returns the differences and the number of records."""
    config = PROFILES[profile]
    with Loading(source.path, config) as first, tempfile.TemporaryDirectory() as folder:
        if first.outcome != "up":
            raise Failure(f"{source.name}: {first.outcome}: {first.log_text()[-500:]}")
        run_all(first, commands)
        if "lfu" in profile:
            access_data(first.conn)
        before = content_of(first)
        # Reading the values was access to them.
        before["access"] = canon.meta(first.conn)
        reply = first.conn.call("SAVE")
        if reply != b"OK":
            raise Failure(f"SAVE in {source.name}: {reply}")
        saved = first.path("dump.rdb")
        if source.rdb_version > target.rdb_version:
            saved = converted(saved, target, folder, tool)
        checker = target.check_tool()
        if checker:
            done = subprocess.run([checker, saved], capture_output=True, text=True, timeout=120)
            if done.returncode != 0:
                raise Failure(f"{checker}: {done.stdout[-500:]}")
        with Loading(target.path, config + ["sanitize-dump-payload yes"], {"dump.rdb": saved}) as second:
            if second.outcome != "up":
                raise Failure(f"{target.name} refuses the file: {second.outcome}: {second.log_text()[-500:]}")
            if mutate:
                second.conn.call("SELECT", 0)
                reply = second.conn.call(*mutate)
                if isinstance(reply, Exception):
                    raise Failure(f"{mutate}: {reply}")
            access = canon.meta(second.conn)
            after = {**content_of(second), "access": access}
            return compare(before, after, source, target, "lru" in profile or "lfu" in profile), len(before["lines"])


# One small difference each, made after the load.
MUTATIONS = [
    ("SETRANGE", "str:noise:16384", 8000, "\x01\x02\x03"), ("APPEND", "str:1m", "x"), ("DEL", "str:noise:0"), ("SET", "too much", 1),
    ("INCR", "int:0"), ("RPUSH", "list:int:512", 1), ("LSET", "list:len:64", 0, "b"),
    ("LMOVE", "list:4000", "list:4000", "LEFT", "RIGHT"), ("SREM", "set:int64:513", -(2 ** 63)), ("SADD", "set:text:128", "m"),
    ("SADD", "set:int16:64", 40000), ("HSET", "hash:ints", 0, 1), ("HSET", "hash:small:128", "f3", "03"),
    ("HSET", "hash:small:512", "f" * 100, 1), ("ZADD", "zset:scores", "3.0000000000000009", 5), ("ZADD", "zset:scores", "1e-321", 6),
    ("ZINCRBY", "zset:int:129", "1e-10", "m5"), ("PEXPIREAT", "expire:0", dataset.YEAR_2100_MS + 1), ("PERSIST", "expire:list:1"),
    ("EXPIRE", "str:1m", 1000000), ("XDEL", "stream:100", "1030-0"), ("XSETID", "stream:1", "77777-0"),
    ("XADD", "stream:made", "1-1", "a", "b"), ("XACK", "stream:groups", "one", "1-0"), ("XGROUP", "SETID", "stream:groups", "two", "3-3"),
    ("XGROUP", "DELCONSUMER", "stream:groups", "one", "idle"), ("XGROUP", "CREATECONSUMER", "stream:made", "g", "c"),
    ("XCLAIM", "stream:groups", "one", "carol", 0, "1-0"), ("XGROUP", "DESTROY", "stream:made", "g"), ("MOVE", "hash:empty", 3),
    ("FUNCTION", "DELETE", "first"), ("RENAME", "geo", "geo2"), ("SETBIT", "str:bits", 5, 1), ("PFADD", "hll:dense", "one more", "and one", "and"),
]


def data_for(source, target, seed, at_random=150):
    """The data that both programs know."""
    streams = source.streams and target.streams
    functions = source.functions and target.version >= (7, 0, 0)
    commands = dataset.build(seed, min(source.version, target.version), functions, streams, at_random)
    return [(db, words) for db, words in commands if words[0] in source.commands]


def self_test(source, target, seed):
    """Every mutation has to be found. Returns the number of those that were not."""
    commands = data_for(source, target, seed, 20)
    missed = left_out = 0
    for mutation in MUTATIONS:
        library_gone = mutation[0] == "FUNCTION" and not (source.functions and target.functions)
        if library_gone or mutation[0].encode() not in target.commands or mutation[0][0] == "X" and not source.streams:
            left_out += 1
            continue
        found, _ = move(source, target, commands, "default", None, mutation)
        print(f"{'found' if found else 'MISSED'}: {' '.join(map(repr, mutation))[:70]}: {found[0][:120] if found else ''}", flush=True)
        missed += not found
    print(f"self-test: {missed} of {len(MUTATIONS) - left_out} differences missed, {left_out} not made: commands are missing")
    return missed


def main():
    """Runs the rounds that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--from", dest="source")
    parser.add_argument("--to", dest="target")
    parser.add_argument("--profile", choices=PROFILES)
    parser.add_argument("--tool", help="the program `basalt`; by default beside the server")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    basalt, redis = basalt_path(), redis_path()
    tool = options.tool or os.path.join(os.path.dirname(basalt), "basalt")
    if options.source or options.target:
        pairs = [(options.source or redis, options.target or basalt)]
    elif not redis:
        sys.exit("there is no redis-server to exchange files with")
    else:
        pairs = [(redis, basalt), (basalt, redis)] if not options.self_test else [(redis, redis)]
    known = {path: Program(path) for pair in pairs for path in pair}
    if options.self_test:
        source, target = (known[path] for path in pairs[0])
        missed = self_test(source, target, options.seed)
        return 1 if missed else 0
    passed, failed = 0, []
    for number in range(options.rounds):
        for source, target in ((known[one], known[other]) for one, other in pairs):
            commands = data_for(source, target, options.seed + number)
            for profile in [options.profile] if options.profile else PROFILES:
                name = f"{source.name} -> {target.name}, {profile}, seed {options.seed + number}"
                try:
                    found, records = move(source, target, commands, profile, tool)
                except (Failure, OSError, RuntimeError) as error:
                    found, records = [str(error)], 0
                for text in found[:20]:
                    print(f"FAILED {name}: {text}")
                print(f"{name}: {len(commands)} commands, {records} records, {len(found)} differences", flush=True)
                passed, failed = passed + (not found), failed + [name] * bool(found)
    for program in known.values():
        for what in ("functions", "scripts", "streams"):
            if not getattr(program, what):
                print(f"left out: {program.name} has no {what}")
        unknown = {words[0] for _, words in dataset.build(1, (7, 2, 0), False)} - program.commands
        if unknown:
            print(f"left out: {program.name} does not know {b' '.join(sorted(unknown)).decode()}")
    print(f"cross: {passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
