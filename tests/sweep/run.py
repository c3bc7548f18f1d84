#!/usr/bin/env python3
"""Every argument of every command swept over edge values, against keys of every type.

    tests/sweep/run.py                     all of it, 40 s
    tests/sweep/run.py --only zadd,getex   some commands
    tests/sweep/run.py --share 0.2         a part of the cases, chosen by --seed

The server must not panic, hang or die, must answer every call with a well-formed reply, and must
not take memory for what a number says. Where a real Redis is there (REDIS_SERVER, or on the PATH),
replies and what became of the keys are equal, apart from what differential/compare.py and the
list below explain. Commands without a template need a reason: the run fails when the table has
one that is in neither.
"""

import argparse
import os
import random
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "differential")]

import compare
from executor import NOT_IN_7_0, Abandoned, Executor, clip, words
from lib.resp import Closed, encode, parse, plain
from lib.servers import Server, basalt_path, redis_path
from proxy import CorruptingProxy
from values import directives, templates

LIBRARY = "#!lua name=l\nredis.register_function{function_name='f', callback=function(k, a) return {k, a} end, flags={'no-writes'}}"
FIXTURES = [line.split() for line in (
    "SET m:str hello-world-of-strings", "SET m:int 42", "SET m:flt 3.25", "SET m:ttl v PXAT 99999999999999", "RPUSH m:list a b c b a",
    "RPUSH m:nums 3 1 2 10", "HSET m:hash a 1 b two n 5", "SADD m:set a b c", "SADD m:ints 1 2 3", "ZADD m:zset 1 a 2 b 3 c", "ZADD m:lex 0 a 0 b 0 c",
    "GEOADD m:geo 13.361389 38.115556 a 15.087269 37.502669 b", "XADD m:stream 1-1 f v", "XADD m:stream 2-1 f v", "XADD m:stream 3-1 g w",
    "XGROUP CREATE m:stream g 0", "PFADD m:hll a b c d", "SET w:1 3", "SET w:2 2", "EVAL return{KEYS,ARGV} 1 k:str a")]
READ = {"list": ["LRANGE", "0", "-1"], "nums": ["LRANGE", "0", "-1"], "hash": ["HGETALL"], "set": ["SMEMBERS"], "ints": ["SMEMBERS"],
        "zset": ["ZRANGE", "0", "-1", "WITHSCORES"], "lex": ["ZRANGE", "0", "-1"], "geo": ["ZRANGE", "0", "-1", "WITHSCORES"], "stream": ["XRANGE", "-", "+"]}
READ_ANY = (["GET"], READ["list"], READ["set"], READ["zset"])
UNDO = {b"SELECT": b"SELECT 0", b"HELLO": b"HELLO RESP", b"RESET": b"HELLO RESP", b"MULTI": b"DISCARD", b"WATCH": b"UNWATCH", b"READONLY": b"READWRITE", b"REPLICAOF": b"REPLICAOF NO ONE",
        b"SLAVEOF": b"REPLICAOF NO ONE", b"CLIENT": b"CLIENT UNPAUSE", b"DEBUG": b"DEBUG SET-ACTIVE-EXPIRE 0"}
# Memory that a template may take: strings are bounded to 1 MB, and replies wait in buffers.
RESIDENT_MB, MAPPED_MB = 12, 32

# Both layouts of every type: the fixtures fit into these limits, or do not.
DEFAULT = {"list-max-listpack-size": -2, "hash-max-listpack-entries": 512, "set-max-intset-entries": 512, "set-max-listpack-entries": 128,
           "zset-max-listpack-entries": 128, "stream-node-max-entries": 100, "hll-sparse-max-bytes": 3000}
SMALL = {"list-max-listpack-size": 1, "hash-max-listpack-entries": 1, "set-max-intset-entries": 1, "set-max-listpack-entries": 1,
         "zset-max-listpack-entries": 0, "stream-node-max-entries": 1, "hll-sparse-max-bytes": 0}

# Directives that are not swept: the harness could not go on.
FIXED = {"port", "bind", "dir", "requirepass", "maxclients", "maxmemory-clients", "watchdog-period", "oom-score-adj-values", "oom-score-adj"}

# Commands without a template.
EXCLUDED = {
    "replies are a stream": "monitor subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe",
    "ends the connection or the process": "quit shutdown",
    "works on files of the server, and has no numbers": "save bgsave bgrewriteaof backup|now config|rewrite",
    "made of the directives": "config|set",
}

CALM = bytes.maketrans(b"\r\n", b"  ")
FAR = re.compile(rb"-?0*[0-9]{10,}")


def _far(call):
    """Whether a number needs more than 32 bits."""
    return any(FAR.fullmatch(word) and not -2**31 <= int(word) < 2**31 for word in call)


def _ends(call, limit_ms=2**63 - 2**42):
    """Whether a time to live goes beyond 64 bits."""
    return call[2].lstrip(b"+").isdigit() and limit_ms < int(call[2]) < 2**63


def _config(call):
    """Whether it is CONFIG SET with a value."""
    return call[:2] == [b"CONFIG", b"SET"] and len(call) > 3


def _sound(call):
    """Whether what says where the keys are is as it should be."""
    if call[:1] == [b"XREAD"]:
        return call[1] == b"COUNT" and len(call) % 2 == 0
    return any(re.fullmatch(rb"[1-9][0-9]{0,8}", word) for word in call[1:3])


# (reason, predicate(call)): calls whose reply and effect may differ, beyond what compare.py explains.
EXCUSED = [
    ("RESTORE with a time to live beyond 64 bits overflows in Redis", lambda c: c[0] == b"RESTORE" and len(c) > 2 and _ends(c)),
    ("LSET cuts its index to 32 bits in Redis", lambda c: c[0] == b"LSET" and len(c) > 2 and _far(c[2:3])),
    ("CLIENT KILL takes several IDs in Valkey 8.1", lambda c: c[:3] == [b"CLIENT", b"KILL", b"ID"] and len(c) > 4),
    ("CONFIG SET refuses sizes that overflow, which Redis takes modulo 2^64, and texts with NUL or not in UTF-8", lambda c: _config(c) and
     (c[3] == b"20000000000gb" or b"\0" in c[3] or not c[3].isascii())),
    ("locale-collate has no effect here, and any name is taken", lambda c: _config(c) and c[2] == b"locale-collate"),
    ("flush-before-load is a way of Valkey 8", lambda c: _config(c) and c[2] == b"repl-diskless-load"),
    ("COMMAND GETKEYS of a call that would be refused", lambda c: c[0] == b"COMMAND" and c[1].startswith(b"GETKEYS") and not _sound(c[2:])),
]
# The same, of a peer before 7.2.
EXCUSED_7_0 = [
    ("7.2 bounds timeouts", lambda c: (c[0].startswith(b"B") or c[0] == b"WAIT") and any(b"nan" in word.lower() or len(word) > 14 for word in c)),
]
# (reason, predicate(call, raw of the peer, raw of Basalt)) for single replies.
EXPLAINED = [
    ("Redis leaves LF in some errors", lambda c, a, b: a[:1] == b[:1] == b"-" and b"\n" in a[:-2] and a.translate(CALM).rstrip() == b.translate(CALM).rstrip()),
]


LEFT = object()


class Sweep(Executor):
    """An executor that goes on after a difference."""

    def __init__(self, *args):
        super().__init__(*args)
        self.found, self.kind_only, self.calls = [], False, []

    def excuse(self, index):
        """Why the call that item `index` belongs to may do something else."""
        call = self.calls[index] if index < len(self.calls) else None
        if call is LEFT:
            return "what an excused call left"
        rules = EXCUSED + (EXCUSED_7_0 if self.version < (7, 2) else [])
        return call and next((reason for reason, holds in rules if holds(call)), None)

    def differs(self, index, item, a, b, queue=()):
        if self.kind_only and a[:1] == b[:1] and a[:1] != b"-":
            return None
        if a.startswith(b"-ERR unknown") and not b.startswith(b"-ERR unknown"):
            reason = "the peer does not have it"
        else:
            reason = self.excuse(index) or next((reason for reason, holds in EXPLAINED if holds(item, a, b)), None)
        if reason:
            self.explained[reason] = self.explained.get(reason, 0) + 1
            return None
        try:
            found = super().differs(index, item, a, b, queue)
        except Abandoned as reason:
            self.explained[str(reason)] = self.explained.get(str(reason), 0) + 1
            return None
        if found:
            self.found.append(found)
        return None


class Memory:
    """What the process of a server took at most: resident, and of its address space."""

    def __init__(self, server):
        self.path = f"/proc/{server.process.pid}"

    def reset(self):
        """From now on."""
        with open(f"{self.path}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        self.before = self.read()

    def read(self):
        """`(VmHWM, VmPeak)` in MB."""
        with open(f"{self.path}/status", encoding="ascii") as file:
            text = file.read()
        return tuple(int(re.search(rf"{name}:\s*(\d+)", text)[1]) / 1024 for name in ("VmHWM", "VmPeak"))

    def excess(self):
        """A sentence when it was too much."""
        grown = self.grown = [now - before for now, before in zip(self.read(), self.before)]
        if grown[0] > RESIDENT_MB or grown[1] > MAPPED_MB:
            return f"took {grown[0]:.0f} MB of memory and {grown[1]:.0f} MB of address space"
        return None


def start(program):
    """A server with strings of 1 MB at most."""
    server = Server(program, "--enable-debug-command", "yes", "--proto-max-bulk-len", "1mb", "--slowlog-log-slower-than", "-1", "--appendonly", "no")
    conn = server.connect()
    conn.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    conn.close()
    return server


def dangerous(command):
    """What a real server is not asked: samples with repetition of billions, and line ends, which some
    of its errors pass on, so that what follows is no reply."""
    return any(b"\r\n" in word for word in command) or command[0].upper() in compare.RANDOM and any(re.fullmatch(rb"-[0-9]{6,}", word) for word in command[2:])


class Runner:
    """The two servers, and what they are asked."""

    def __init__(self, options):
        self.basalt = start(basalt_path())
        self.peer = start(redis_path()) if redis_path() and not options.alone else None
        self.random = random.Random(options.seed)
        self.share, self.pairs = options.share, options.pairs
        self.failures, self.cases, self.commands, self.reasons, self.seen = [], 0, 0, {}, 0
        self.resp, self.settings, self.most = 2, DEFAULT, [0, 0]
        conn = self.basalt.connect()
        table = {entry[0].decode(): entry for entry in map(list, conn.call("COMMAND"))}
        self.writes = {name for name, entry in table.items() if b"write" in entry[2]}
        self.containers = {name for name, entry in table.items() if len(entry) > 9 and entry[9]}
        self.table = {sub[0].decode() for entry in table.values() for sub in entry[9]} | (set(table) - self.containers)
        self.dump = b""
        conn.close()

    def compared(self, template):
        """Whether the peer has what the template asks for."""
        if not self.peer or template.solo:
            return False
        if self.peer.version() < (7, 2) and template.words[0].encode().startswith(NOT_IN_7_0):
            return False
        conn = self.peer.connect()
        known = conn.call("COMMAND", "INFO", template.name)
        conn.close()
        return isinstance(known, list) and known[0] is not None

    def items(self, template):
        """What both are asked, and what Basalt alone."""
        write = template.name.split("|")[0] in self.writes
        both, alone, calls = [], [], []
        for number, call in enumerate(template.cases(self.random, self.pairs)):
            if number and self.share < 1 and self.random.random() > self.share:
                continue
            self.cases += 1
            call = [self.dump if word == b"$intdump" else word for word in call]
            keys = sorted({word for word in call if word.startswith(b"k:") and word != b"k:*"})
            steps = [[b"COPY", b"m:" + key[2:], key, b"REPLACE"] for key in keys if key not in (b"k:dst", b"k:none")]
            steps += [[b"DEL", key] for key in keys if key in (b"k:dst", b"k:none")]
            steps += [[b"MULTI"], call, [b"EXEC"]] if template.multi else [call]
            steps += template.after
            if call[0].upper() in UNDO:
                steps.append(UNDO[call[0].upper()].replace(b"RESP", b"%d" % self.resp).split())
            # One millisecond is over before one server has answered, or before the other has.
            if write and not {b"1", b"2", b"16"} & set(call[2:]):
                for key in keys:
                    reads = READ_ANY if key in (b"k:dst", b"k:none") else [READ.get(key[2:].decode(), ["GET"])]
                    steps += [[b"TYPE", key], [b"PEXPIRETIME", key]]
                    steps += [[name.encode(), key, *(word.encode() for word in more)] for name, *more in reads]
            if dangerous(call):
                alone.extend(steps)
            else:
                both.extend(steps)
                # The call before may have left something that is excused.
                calls.extend([LEFT if step[0] == b"DEL" and step is not call else call for step in steps])
        return both, alone, calls

    def directives(self):
        """What CONFIG SET is swept over: what both servers know and have the same value of."""
        found = []
        for server in [self.basalt] + ([self.peer] if self.peer else []):
            conn = server.connect()
            words_ = conn.call("CONFIG", "GET", "*")
            conn.close()
            found.append({name.decode(): value for name, value in zip(words_[::2], words_[1::2])})
        alike = {name: value for name, value in found[0].items() if found[-1].get(name, value) == value}
        swept = {name: value for name, value in alike.items() if name not in FIXED and not name.startswith("tls-")}
        return directives(swept, found[-1], self.containers)

    def fixtures(self):
        """The keys that are copied."""
        return [[word.encode() for word in line] for line in FIXTURES] + [[b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY.encode()]]

    def alone(self, items):
        """Asks Basalt; every reply must be well-formed."""
        conn = self.basalt.connect()
        conn.call("FLUSHALL")
        conn.call("HELLO", self.resp)
        for at in range(0, len(items), 50):
            batch = items[at:at + 50]
            self.commands += len(batch)
            conn.send(b"".join(map(encode, batch)))
            try:
                for reply in conn.replies(len(batch)):
                    parse(reply)
            except (Closed, ValueError) as error:
                return f"{error} after one of\n    " + "\n    ".join(words(item) for item in batch)
        conn.close()
        return None

    def run(self, template):
        """One template; what is wrong goes to `failures`."""
        both, alone, calls = self.items(template)
        memory = Memory(self.basalt)
        memory.reset()
        compared = self.compared(template)
        if compared:
            executor = Sweep(self.peer, self.basalt, self.resp, self.settings)
            executor.kind_only = template.kind_only
            executor.calls = [None] * len(self.fixtures()) + calls
            found = executor.run(self.fixtures() + both)
            self.commands += executor.count
            executor.close_all()
            self.explain(executor.explained)
            for difference in executor.found + ([found] if found else []):
                self.failures.append((template, difference.show()))
        else:
            alone = both + alone
        error = self.alone(self.fixtures() + alone) if alone and self.basalt.alive() else None
        if error:
            self.failures.append((template, error))
        if not self.basalt.alive():
            self.failures.append((template, "the server ended:\n" + self.basalt.log_text()[-3000:]))
            self.basalt.stop()
            self.basalt = start(basalt_path())
            return
        excess = memory.excess()
        self.most = [max(pair) for pair in zip(self.most, memory.grown)]
        if excess:
            self.failures.append((template, excess))
        log = self.basalt.log_text()
        if "panicked" in log[self.seen:]:
            self.failures.append((template, "a panic:\n" + log[self.seen:][-3000:]))
        self.seen = len(log)

    def explain(self, found):
        """Counts reasons."""
        for reason, times in found.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + times

    def stop(self):
        """Ends both."""
        self.basalt.stop()
        if self.peer:
            self.peer.stop()


def notices(runner):
    """A run that notices nothing is worth nothing: a corrupted reply and much memory must be seen."""
    memory = Memory(runner.basalt)
    memory.reset()
    conn = runner.basalt.connect()
    conn.call("CONFIG", "SET", "proto-max-bulk-len", "512mb")
    conn.call("SETRANGE", "big", 100 << 20, "x")
    assert memory.excess(), "100 MB more were not noticed"
    conn.close()
    runner.basalt.stop()
    runner.basalt = start(basalt_path())
    if runner.peer:
        proxy = CorruptingProxy(runner.basalt.port)
        runner.basalt.port, port = proxy.port, runner.basalt.port
        executor = Sweep(runner.peer, runner.basalt, 2, {})
        proxy.arm()
        found = executor.run([[b"INCR", b"k"]] * 1000)
        runner.basalt.port = port
        executor.close_all()
        proxy.stop()
        assert found or executor.found, "a corrupted reply was not noticed"


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="commands, comma-separated")
    parser.add_argument("--share", type=float, default=1.0, help="part of the cases")
    parser.add_argument("--pairs", type=int, default=100, help="so many calls with edge values at several positions, of each template")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="no peer")
    parser.add_argument("--show", type=int, default=5, help="so many failures of each template")
    options = parser.parse_args()
    began = time.monotonic()
    runner = Runner(options)
    slowest, version = (0, ""), "nothing"
    if runner.peer:
        version = "Redis " + ".".join(map(str, runner.peer.version()))
    try:
        notices(runner)
        lines = templates(os.path.join(HERE, "templates.txt"), runner.containers) + list(runner.directives())
        excluded = {name for names in EXCLUDED.values() for name in names.split()}
        missing = runner.table - {line.name for line in lines} - excluded
        if missing:
            runner.failures.append((None, "commands without a template: " + " ".join(sorted(missing))))
        conn = (runner.peer or runner.basalt).connect()
        conn.call("SET", "n", "42")
        runner.dump = conn.call("DUMP", "n")
        conn.close()
        for line in lines:
            if options.only and line.name.split("|")[0] not in options.only.split(","):
                continue
            at = time.monotonic()
            already = len(runner.failures)
            for runner.resp, runner.settings in ((2, DEFAULT), (3, SMALL)):
                runner.run(line)
            slowest = max(slowest, (time.monotonic() - at, line.text))
            for _, text in runner.failures[already:already + options.show]:
                print(f"FAIL {line.text}\n{text}", flush=True)
            if len(runner.failures) - already > options.show:
                print(f"  ... {len(runner.failures) - already} failures of {line.text}", flush=True)
    finally:
        runner.stop()
    for reason, times in sorted(runner.reasons.items()):
        print(f"explained {times:>6}  {reason}")
    for template, text in runner.failures:
        if not template:
            print(f"FAIL {text}")
    print(f"sweep: {runner.cases} cases, {runner.commands} commands, {time.monotonic() - began:.1f} s, slowest {slowest[0]:.1f} s ({slowest[1]}), "
          f"at most {runner.most[0]:.0f} MB of memory and {runner.most[1]:.0f} MB of address space more; "
          f"{len(runner.failures)} failures, compared with {version}, seed {options.seed}")
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())
