"""When two replies count as equal.

Replies are equal when their bytes are. The rules below are the only exceptions; every rule has
its reason. `EXPLAINED_7_0` applies only when the peer is older than 7.2, `EXPLAINED` always.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.resp import parse

# Order is that of a hash table with a random seed.
UNORDERED = {b"SMEMBERS", b"SUNION", b"SINTER", b"SDIFF", b"KEYS", b"HKEYS", b"HVALS",
             b"PUBSUB", b"COMMAND"}
# Complete iterations in one step.
SCANS = {b"SCAN", b"SSCAN", b"HSCAN", b"ZSCAN"}
# So many elements are all there are.
WHOLE_COUNT = 1000
PAIR_SCANS = {b"HSCAN", b"ZSCAN"}
# The same, for pairs.
UNORDERED_PAIRS = {b"HGETALL", b"CONFIG"}
# The servers read their clocks one after the other.
CLOCK_S = {b"TTL", b"EXPIRETIME"}
CLOCK_MS = {b"PTTL", b"PEXPIRETIME"}
CLOCK_SLACK_MS = 5000
# Members are drawn at random: counts are compared, and the executor checks membership.
RANDOM = {b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"RANDOMKEY"}


def pairs(reply):
    """Elements of a flat array, a map, or an array of pairs, two by two."""
    kind, items = reply
    if kind == "%" or (items and not isinstance(items[0][1], list)):
        return [tuple(map(freeze, items[i:i + 2])) for i in range(0, len(items), 2)]
    return [freeze(item) for item in items]


# Redis before 7.2 writes doubles with 17 digits, 7.2 the shortest text that reads back the same.
# With such a peer the values are compared. Set by the executor.
old_doubles = False
DOUBLE = re.compile(rb"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")


def freeze(reply):
    """A parsed reply as a hashable value."""
    kind, value = reply
    if old_doubles and kind in "$," and value and DOUBLE.fullmatch(value):
        return (kind, float(value))
    return (kind, tuple(freeze(v) for v in value)) if isinstance(value, list) else (kind, value)


def normal(command, reply):
    """The reply with its meaningless order removed."""
    name = command[0].upper()
    kind, value = reply
    if not isinstance(value, list):
        # Strings are bytes; only commands that answer with a score are read as numbers.
        return freeze(reply) if name not in (b"GET", b"GETSET", b"GETRANGE", b"GETDEL") else reply
    if name in SCANS and len(value) == 2 and isinstance(value[1][1], list):
        found = pairs(value[1]) if name in PAIR_SCANS else map(freeze, value[1][1])
        return (kind, freeze(value[0]), tuple(sorted(found, key=repr)))
    if name in UNORDERED_PAIRS:
        return (kind, tuple(sorted(pairs(reply), key=repr)))
    if name == b"PUBSUB" and len(command) > 1 and command[1].upper().endswith(b"NUMSUB"):
        return freeze(reply)
    if name == b"COMMAND" and len(command) > 1 and command[1].upper() not in (b"LIST", b"INFO"):
        return freeze(reply)
    if name == b"FUNCTION":
        # Libraries, their functions and flags come in the order of a table.
        return deep_sorted(reply)
    if name == b"COMMAND":
        # Flags, categories and tips come in an order of no meaning at every level.
        return deep_sorted(reply)
    if name == b"SORT" and {b"BY", b"LIMIT"} <= {w.upper() for w in command[2:]}:
        return (kind, len(value))
    if name in UNORDERED or (name == b"SORT" and unsorted_sort(command)):
        return (kind, tuple(sorted(map(freeze, value), key=repr)))
    return freeze(reply)


def deep_sorted(reply):
    """Every aggregate sorted."""
    kind, value = reply
    if isinstance(value, list):
        return (kind, tuple(sorted((deep_sorted(v) for v in value), key=repr)))
    return (kind, value)


def unsorted_sort(command):
    """SORT that leaves a set in its own order, or whose ties are in no order."""
    words = [w.upper() for w in command[2:]]
    return b"BY" in words


def near(a, b, slack):
    """Two integers that differ by no more than `slack`; negative ones must be equal."""
    if a[0] != ":" or b[0] != ":":
        return False
    x, y = int(a[1]), int(b[1])
    return x == y or (x >= 0 and y >= 0 and abs(x - y) <= slack)


# Fields of XINFO that are times.
STREAM_TIMES = {b"idle", b"inactive", b"seen-time", b"active-time"}


def times_apart(a, b, places=()):
    """Whether two replies about pending entries are equal, except that times are read from two
    clocks. `places` says where times are in each of the lists inside; without it they are found
    by the names of the fields in front."""
    if a[0] != b[0] or not isinstance(a[1], list) or not isinstance(b[1], list):
        return a == b
    if len(a[1]) != len(b[1]):
        return False
    if places:
        return all(near(x, y, CLOCK_SLACK_MS) if i in places else times_apart(x, y)
                   for i, (x, y) in enumerate(zip(a[1], b[1])))
    name = None
    for x, y in zip(a[1], b[1]):
        if name in STREAM_TIMES and x[0] == ":":
            equal = near(x, y, CLOCK_SLACK_MS)
        elif name == b"pending" and isinstance(x[1], list) and isinstance(y[1], list):
            # [id, consumer, time, count], or without the consumer.
            equal = len(x[1]) == len(y[1]) and all(
                times_apart(p, q, {len(p[1]) - 2}) for p, q in zip(x[1], y[1]))
        else:
            equal = times_apart(x, y)
        if not equal:
            return False
        name = x[1] if x[0] == "$" else None
    return True


def random_reply(command, a, b):
    """Replies drawn at random: same type, same length, no repetition where there may be none.
    Membership is checked by the executor, except inside transactions."""
    if a[0] != b[0]:
        return False
    if not isinstance(a[1], list):
        return (a[1] is None) == (b[1] is None) if a[0] != "-" else a[1] == b[1]
    if len(a[1]) != len(b[1]):
        return False
    return all(random_reply(command, x, y) for x, y in zip(a[1], b[1])) if a[1] and isinstance(a[1][0][1], list) else True


def same(command, raw_a, raw_b, queue=()):
    """Whether two raw replies to `command` say the same. `queue` holds what EXEC ran."""
    if raw_a == raw_b:
        return True
    a, b = parse(raw_a)[0], parse(raw_b)[0]
    return same_parsed(command, a, b, queue)


def _unfinished(a, b):
    """Whether one of two replies to SCAN, or both, is not the end of the iteration."""
    return (isinstance(a[1], list) and isinstance(b[1], list)
            and any(len(reply[1]) == 2 and reply[1][0][1] != b"0" for reply in (a, b)))


def _scan_count(command):
    """How many elements a SCAN asks for."""
    words = [word.upper() for word in command]
    try:
        return int(command[words.index(b"COUNT") + 1])
    except (ValueError, IndexError):
        return 10


def same_parsed(command, a, b, queue=()):
    """`same` for parsed replies."""
    name = command[0].upper()
    if name == b"EXEC" and isinstance(a[1], list) and isinstance(b[1], list):
        return (a[0] == b[0] and len(a[1]) == len(b[1]) == len(queue)
                and all(same_parsed(c, x, y) for c, x, y in zip(queue, a[1], b[1])))
    if a[0] == "-" and b[0] == "-":
        return a == b
    if name in CLOCK_S:
        return near(a, b, CLOCK_SLACK_MS // 1000)
    if name in CLOCK_MS:
        return near(a, b, CLOCK_SLACK_MS)
    if name in SCANS and b"0" not in command[1:3] and a[0] == b[0]:
        # A cursor that this iteration did not give: what it means is each server's own.
        return True
    if name in SCANS and _unfinished(a, b) and _scan_count(command) < WHOLE_COUNT:
        # How far so few elements lead, and which they are, is each server's own; `@SCAN` goes on to the end.
        return a[0] == b[0] and len(a[1]) == len(b[1])
    if name in RANDOM:
        return random_reply(command, a, b)
    if name == b"XINFO":
        return times_apart(a, b)
    if name == b"XPENDING" and isinstance(a[1], list) and isinstance(b[1], list) and len(command) > 3:
        return len(a[1]) == len(b[1]) and all(times_apart(x, y, {2}) for x, y in zip(a[1], b[1]))
    if name == b"HELLO" or (name == b"CLIENT" and len(command) > 1 and command[1].upper() in (b"ID", b"LIST", b"INFO")):
        return a[0] == b[0]
    return normal(command, a) == normal(command, b)


def _is(command, *words):
    return [w.upper() for w in command[:len(words)]] == [w.encode() for w in words]


def _texts(raw, pattern):
    return re.search(pattern, raw) is not None


def _encoding(raw):
    return raw.split(b"\r\n")[1] if raw[:1] == b"$" and raw[1:2] != b"-" else b""


def _heads(raw):
    """Name, arity and key positions of each command in a COMMAND INFO reply."""
    entries = parse(raw)[0][1]
    return [e[1] and (e[1][0], e[1][1], e[1][3:6]) for e in entries] if isinstance(entries, list) else raw


def _table(raw):
    """The bytes of a dumped hash table without their order or the checksum; None for others."""
    payload = parse(raw)[0][1]
    return sorted(payload[:-10]) if isinstance(payload, bytes) and payload[:1] in (b"\x02", b"\x04") else None


SET_7_0 = (b"intset", b"hashtable")
SET_7_2 = (b"intset", b"hashtable", b"listpack")

# Redis reads weights with strtod and looks at errno without clearing it first.
SORT_ERRNO = b"-ERR One or more scores can't be converted into double"

# Errors of library functions of Lua that are Lua in Basalt, with the line in front of them.
PLACED = re.compile(rb"user_(?:script|function):\d+: (?=bad argument #\d to '(?:next|unpack|gsub|sort|pcall|xpcall|load|collectgarbage|resume|wrap)'"
                    rb"|user_(?:script|function):\d+: |too many results to unpack|malformed pattern|invalid capture index|unfinished capture)")

EXISTS = re.compile(rb"-ERR Function (\w+) already exists\r\n")

ADDRESS = re.compile(rb"(?<=(?:nction|thread): )0x[0-9a-f]+|(?<=table: )0x[0-9a-f]+")


def _unplaced(raw):
    """A reply without those lines and without lengths."""
    return re.sub(rb"\$\d+\r\n", b"", PLACED.sub(b"", raw))


# (reason, predicate(command, raw of the peer, raw of Basalt)): differences against any peer.
EXPLAINED = [
    ("LOLWUT draws a picture of its own", lambda c, a, b: c[0].upper() == b"LOLWUT"),
    ("Basalt reports commands of its own level of completeness in COMMAND LIST",
     lambda c, a, b: _is(c, "COMMAND", "LIST")),
    ("the command table is that of Valkey 8: COMMAND INFO agrees in name, arity and key positions",
     lambda c, a, b: _is(c, "COMMAND", "INFO") and _heads(a) == _heads(b)),
    ("Redis reads the name in CLIENT SETNAME and SETINFO as a C string, up to the first NUL",
     lambda c, a, b: c[0].upper() in (b"CLIENT", b"HELLO") and b"\0" in b"".join(c)),
    ("CLIENT LIST takes the filters of Valkey 8.1, several at a time: words are judged one by one",
     lambda c, a, b: _is(c, "CLIENT", "LIST") and len(c) > 4 and a[:1] == b[:1] == b"-"),
    ("the whole command table differs in size: Valkey 8's commands, and those not there yet",
     lambda c, a, b: c[0].upper() == b"COMMAND" and (len(c) == 1 or (len(c) == 2 and c[1].upper() == b"INFO"))),
    ("SORT in Redis fails on numbers when an earlier command left errno at ERANGE: it is not reset before strtod",
     lambda c, a, b: c[0].upper() in (b"SORT", b"SORT_RO") and b"can't be converted into double" in a and b[:1] != b"-"),
    ("small integers are shared objects in Redis unless they were copied: OBJECT REFCOUNT",
     lambda c, a, b: _is(c, "OBJECT", "REFCOUNT") and {a, b} == {b":1\r\n", b":2147483647\r\n"}),
    ("Redis 7.2 does not know + as the ID of the last entry in XREAD, as newer servers do",
     lambda c, a, b: c[0].upper() == b"XREAD" and b"+" in c and a.startswith(b"-ERR Invalid stream ID")),
    ("DUMP of a set or hash in a table: elements come in the order of each server's own table",
     lambda c, a, b: c[0].upper() == b"DUMP" and _table(a) == _table(b) is not None),
    ("`return f(...)` of a library function that is Lua here loses the line of its caller (docs/compatibility.md)",
     lambda c, a, b: c[0].upper().startswith((b"EVAL", b"FCALL")) and (a[:1] == b[:1] == b"-" and b"(tail call)" in b or _unplaced(a) == _unplaced(b))),
    ("functions, threads and tables of Lua are shown with their addresses",
     lambda c, a, b: c[0].upper().startswith((b"EVAL", b"FCALL")) and ADDRESS.sub(b"", a) == ADDRESS.sub(b"", b)),
    ("a library with several functions that exist already: Redis names one by the order of its hash table, Basalt the first",
     lambda c, a, b: c[0].upper() == b"FUNCTION" and all(found and found.group(1) in b"".join(c[2:]) for found in map(EXISTS.fullmatch, (a, b)))),
    ("HELP texts describe the subcommands this server has",
     lambda c, a, b: len(c) == 2 and c[1].upper() == b"HELP" and a[:1] == b[:1] == b"*"),
]

# Differences between Redis 7.0 and 7.2, the behaviour Basalt follows.
EXPLAINED_7_0 = [
    ("7.2 keeps small lists in the listpack encoding, 7.0 has quicklist only",
     lambda c, a, b: _is(c, "OBJECT", "ENCODING") and b"quicklist" in a and b"listpack" in b),
    ("7.2 keeps small sets in the listpack encoding, 7.0 has intset and hashtable only",
     lambda c, a, b: _is(c, "OBJECT", "ENCODING") and _encoding(a) in SET_7_0 and _encoding(b) in SET_7_2),
    ("7.2 changed the text for a blocking timeout that is not finite",
     lambda c, a, b: b"timeout is negative" in a and b"timeout is out of range" in b),
    ("7.2 chooses the encoding of what ZRANGESTORE makes by its size",
     lambda c, a, b: _is(c, "OBJECT", "ENCODING") and _encoding(a) == b"listpack" and _encoding(b) == b"skiplist"),
    ("7.2 refuses the smallest integer as RANK of LPOS",
     lambda c, a, b: c[0].upper() == b"LPOS" and b"9223372036854775807 and" not in a and b"-9223372036854775808" in c
     and b.startswith(b"-ERR value is out of range")),
    ("a transaction with ZRANK WITHSCORE cannot be queued in 7.0",
     lambda c, a, b: _is(c, "EXEC") and a.startswith(b"-EXECABORT")),
    ("7.2 added WITHSCORE to ZRANK and ZREVRANK",
     lambda c, a, b: c[0].upper() in (b"ZRANK", b"ZREVRANK") and len(c) != 3),
    ("7.2 changed texts of CLIENT, CONFIG and COMMAND errors and added subcommands",
     lambda c, a, b: c[0].upper() in (b"CLIENT", b"CONFIG", b"COMMAND", b"HELLO")),
    ("7.2 bounds the RANK of LPOS, 7.0 takes the smallest integer",
     lambda c, a, b: c[0].upper() == b"LPOS" and b"-9223372036854775808" in c and b"value must between" in b),
    ("7.2 lets scripts run blocking commands, which do not block there",
     lambda c, a, b: c[0].upper().startswith((b"EVAL", b"FCALL")) and b"command is not allowed from script" in a),
    ("7.2 gives scripts getfenv and setfenv",
     lambda c, a, b: c[0].upper().startswith((b"EVAL", b"FCALL")) and b"nonexistent global variable 'getfenv'" in a),
    ("7.2 has set-max-listpack-*",
     lambda c, a, b: _is(c, "CONFIG") and b"set-max-listpack" in b"".join(c)),
    ("DUMP carries the RDB version and the encodings, which changed",
     lambda c, a, b: c[0].upper() in (b"DUMP", b"RESTORE", b"@DUMP")),
]


def ends_in_half_a_run(raw):
    """Whether a reply is a sparse HyperLogLog whose last run lacks its second byte."""
    head, _, body = raw.partition(b"\r\n")
    if not head.startswith(b"$") or not body.startswith(b"HYLL\x01"):
        return False
    runs, at = body[16:-2], 0
    while at < len(runs):
        # 01xxxxxx xxxxxxxx is the only code of two bytes.
        at += 2 if runs[at] & 0xc0 == 0x40 else 1
    return at > len(runs)


def explained(command, raw_a, raw_b, version):
    """The reason why a difference is accepted, or None."""
    rules = EXPLAINED + (EXPLAINED_7_0 if version < (7, 2) else [])
    for reason, predicate in rules:
        if predicate(command, raw_a, raw_b):
            return reason
    return None
