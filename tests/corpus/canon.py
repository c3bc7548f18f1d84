#!/usr/bin/env python3
"""The canonical content of a server: print it, or compare it with what is expected.

    canon.py dump  PORT [options] > got.jsonl
    canon.py check PORT expected.jsonl [options]       exit code 0: the same
    canon.py diff  one.jsonl other.jsonl [options]
    options: --full  --no-encoding  --no-expire  --no-functions  --ignore-fields a,b

One JSON object per line with the fields `db key_hex type encoding expire_at_ms value`; function
libraries first (db -1), then by database and key. Values: string hex; list [hex...]; set sorted
[hex...]; hash sorted [[field, value]...]; zset [[member, score as %.17g]...] in order; stream as
XINFO STREAM FULL tells, groups and consumers sorted by name.

A value of more than 2048 bytes of JSON is replaced by its SHA-256, and the lines of a server with
more than 3000 keys by the SHA-256 of each of 64 buckets per database; --full switches both off.
"""

import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib.resp import Connection, encode, parse, plain

BIG_VALUE_BYTES = 2048
BIG_SERVER_KEYS = 3000
BUCKETS = 64

READ = {
    b"string": lambda key: ["GET", key],
    b"list": lambda key: ["LRANGE", key, 0, -1],
    b"set": lambda key: ["SMEMBERS", key],
    b"hash": lambda key: ["HGETALL", key],
    b"zset": lambda key: ["ZRANGE", key, 0, -1, "WITHSCORES"],
    b"stream": lambda key: ["XINFO", "STREAM", key, "FULL", "COUNT", 0],
}


def pipeline(conn, commands):
    """Replies to many commands, in one go."""
    words = [[w if isinstance(w, bytes) else str(w).encode() for w in c] for c in commands]
    conn.send(b"".join(encode(c) for c in words))
    return [plain(parse(raw)[0]) for raw in conn.replies(len(commands))]


def compact(value):
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))


def two_by_two(flat):
    """A flat list as pairs."""
    return list(zip(flat[0::2], flat[1::2]))


def fields(flat):
    """A flat list of names and values as a dictionary with text names."""
    return {name.decode(): value for name, value in two_by_two(flat)}


def text(value):
    """Bytes as text; anything else as it is."""
    return value.decode() if isinstance(value, bytes) else value


def consumer_of(reply):
    one = fields(reply)
    pending = one.get("pending", one.get("pel", []))
    return {"name": one["name"].hex(), "seen_time": one.get("seen-time"),
            "active_time": one.get("active-time"),
            "pending": [[text(p[0]), p[1], p[2]] for p in pending]}


def group_of(reply):
    one = fields(reply)
    pending = one.get("pending", one.get("pel", []))
    consumers = [consumer_of(c) for c in one["consumers"]]
    return {"name": one["name"].hex(), "last_delivered_id": text(one["last-delivered-id"]),
            "entries_read": one.get("entries-read"), "lag": one.get("lag"),
            "pending": [[text(p[0]), p[1].hex(), p[2], p[3]] for p in pending],
            "consumers": sorted(consumers, key=lambda c: c["name"])}


def stream_of(reply):
    one = fields(reply)
    return {"length": one["length"], "last_id": text(one["last-generated-id"]),
            "max_deleted_id": text(one.get("max-deleted-entry-id")),
            "entries_added": one.get("entries-added"),
            "first_id": text(one.get("recorded-first-entry-id")),
            "entries": [[text(e[0]), [part.hex() for part in e[1]]] for e in one["entries"]],
            "groups": sorted(map(group_of, one["groups"]), key=lambda g: g["name"])}


def value_of(kind, reply):
    """The canonical value of a key's reply, and how many elements it has."""
    if isinstance(reply, Exception):
        return {"error": str(reply)}, 0
    if kind == b"string":
        return reply.hex(), len(reply)
    if kind == b"list":
        return [e.hex() for e in reply], len(reply)
    if kind == b"set":
        return sorted(e.hex() for e in reply), len(reply)
    if kind == b"hash":
        return sorted([f.hex(), v.hex()] for f, v in two_by_two(reply)), len(reply) // 2
    if kind == b"zset":
        pairs = two_by_two(reply)
        return [[m.hex(), "%.17g" % float(s)] for m, s in pairs], len(pairs)
    if kind == b"stream":
        value = stream_of(reply)
        return value, value["length"]
    return {"unreadable_type": text(kind)}, 0


def record(db, key, kind, encoding, expire, value):
    """One line's object; the order of its fields is part of the form."""
    return {"db": db, "key_hex": key.hex(), "type": kind, "encoding": encoding,
            "expire_at_ms": expire, "value": value}


def functions(conn):
    """Records of the function libraries."""
    reply = conn.call("FUNCTION", "LIST", "WITHCODE")
    if not isinstance(reply, list):
        return []
    out = []
    for library in map(fields, reply):
        names = sorted([text(f["name"]), sorted(map(text, f["flags"]))]
                       for f in map(fields, library["functions"]))
        value = {"functions": names, "code_hex": library["library_code"].hex()}
        engine = text(library["engine"]).upper()
        out.append(record(-1, library["library_name"], "function-library", engine, None, value))
    return sorted(out, key=lambda one: one["key_hex"])


def databases(conn):
    """How many databases there are."""
    reply = conn.call("CONFIG", "GET", "databases")
    return int(reply[1]) if isinstance(reply, list) and len(reply) == 2 else 16


def keys_of(conn, db):
    """All keys of a database, sorted; none if there is no such database."""
    if isinstance(conn.call("SELECT", db), Exception):
        return []
    cursor, keys = b"0", set()
    while True:
        cursor, some = conn.call("SCAN", cursor, "COUNT", 2000)
        keys.update(some)
        if cursor == b"0":
            return sorted(keys)


def records(conn):
    """Pairs of a record with its whole value and the number of its elements, in order."""
    for one in functions(conn):
        yield one, 0
    for db in range(databases(conn)):
        keys = keys_of(conn, db)
        for at in range(0, len(keys), 100):
            some = keys[at:at + 100]
            about = pipeline(conn, [c for key in some for c in
                                    (["TYPE", key], ["OBJECT", "ENCODING", key], ["PEXPIRETIME", key])])
            kinds = about[0::3]
            values = []
            for begin in range(0, len(some), 20):
                part = list(zip(some, kinds))[begin:begin + 20]
                values += pipeline(conn, [READ.get(kind, lambda key: ["ECHO", ""])(key) for key, kind in part])
            for key, kind, encoding, expire, reply in zip(some, kinds, about[1::3], about[2::3], values):
                if kind == b"none":
                    continue
                value, count = value_of(kind, reply)
                at_ms = expire if isinstance(expire, int) and expire >= 0 else None
                shown = text(encoding) if isinstance(encoding, bytes) else str(encoding)
                yield record(db, key, text(kind), shown, at_ms, value), count


def shortened(one, count):
    """The record with its value replaced if that is big."""
    value = compact(one["value"]).encode()
    if len(value) <= BIG_VALUE_BYTES or one["type"] == "function-library":
        return one
    digest = hashlib.sha256(value).hexdigest()
    return {**one, "value": {"sha256": digest, "count": count, "json_bytes": len(value)}}


def bucketed(ones):
    """Lines for many records: libraries as they are, then one line per bucket."""
    lines = [compact(one) for one in ones if one["db"] < 0]
    buckets = {}
    for one in ones:
        if one["db"] >= 0:
            number = hashlib.sha256(bytes.fromhex(one["key_hex"])).digest()[0] % BUCKETS
            buckets.setdefault((one["db"], number), []).append(compact(one))
    for (db, number), some in sorted(buckets.items()):
        digest = hashlib.sha256(("\n".join(some) + "\n").encode()).hexdigest()
        lines.append(compact({"db": db, "bucket": number, "keys": len(some), "sha256": digest}))
    return lines


def dump(conn, full=False):
    """The canonical lines of a server."""
    if full:
        return [compact(one) for one, _ in records(conn)]
    ones = [shortened(one, count) for one, count in records(conn)]
    if sum(one["db"] >= 0 for one in ones) > BIG_SERVER_KEYS:
        return bucketed(ones)
    return [compact(one) for one in ones]


def meta(conn):
    """Access frequency and idle seconds of each key, as lines; to be asked right after a load."""
    lines = []
    for db in range(databases(conn)):
        keys = keys_of(conn, db)
        asked = pipeline(conn, [c for key in keys for c in (["OBJECT", "FREQ", key], ["OBJECT", "IDLETIME", key])])
        for key, freq, idle in zip(keys, asked[0::2], asked[1::2]):
            lines.append(compact({"db": db, "key_hex": key.hex(),
                                  "freq": freq if isinstance(freq, int) else None,
                                  "idle_s": idle if isinstance(idle, int) else None}))
    return lines


class Options:
    """What a comparison leaves out. `words` are those of the column compare_opts.

    Without `scripts` only the sources of libraries are compared: who runs no scripts does not
    know which functions they define.
    """

    def __init__(self, words=(), scripts=True):
        self.dropped, self.ignored, self.functions, self.scripts = set(), set(), True, scripts
        words = iter(words)
        for word in words:
            if word == "--no-encoding":
                self.dropped.add("encoding")
            elif word == "--no-expire":
                self.dropped.add("expire_at_ms")
            elif word == "--no-functions":
                self.functions = False
            elif word == "--ignore-fields":
                self.ignored.update(next(words).split(","))
            else:
                raise ValueError(f"unknown option {word}")

    def without_ignored(self, value):
        """The value without the ignored fields, at any depth."""
        if isinstance(value, dict):
            return {k: self.without_ignored(v) for k, v in value.items() if k not in self.ignored}
        if isinstance(value, list):
            return [self.without_ignored(v) for v in value]
        return value

    def table(self, lines):
        """Lines as a dictionary of what is to be compared."""
        out = {}
        for line in lines:
            one = json.loads(line)
            if one["db"] < 0 and not self.functions:
                continue
            place = (one["db"], one.get("key_hex", ""), one.get("bucket", -1))
            one = {k: v for k, v in one.items() if k not in self.dropped}
            if one.get("type") == "function-library" and not self.scripts:
                one["value"] = one["value"]["code_hex"]
            if self.ignored and isinstance(one.get("value"), dict):
                one["value"] = self.without_ignored(one["value"])
            out[place] = one
        return out


# A load chooses encodings by what is there; a key that shrank kept what it had grown into.
# Triples of type, encoding found, encoding expected.
SMALLER_AFTER_LOAD = frozenset({("string", "embstr", "raw"), ("string", "int", "raw"), ("list", "listpack", "quicklist")})


def differences(got, want, options=Options(), encodings=frozenset()):
    """What differs between two lists of lines, as a list of texts;
    triples of type, encoding found and encoding expected may be allowed."""
    got, want = options.table(got), options.table(want)
    out = []
    for place in sorted(set(got) | set(want)):
        have, need = got.get(place), want.get(place)
        if have == need:
            continue
        if have and need and (need.get("type"), have.get("encoding"), need.get("encoding")) in encodings:
            have = {**have, "encoding": need["encoding"]}
            if have == need:
                continue
        db, key, bucket = place
        name = f"db {db} " + (f"bucket {bucket}" if bucket >= 0 else repr(bytes.fromhex(key)[:60]))
        if have is None:
            out.append(f"missing: {name} ({need.get('type')}, {need.get('encoding')})")
        elif need is None:
            out.append(f"too much: {name} ({have.get('type')}, {have.get('encoding')})")
        else:
            out += [f"{name} {field}: got {compact(have.get(field))[:200]}, expected {compact(need.get(field))[:200]}"
                    for field in need if have.get(field) != need[field]]
    return out


def runs_scripts(conn):
    """Whether the server knows EVAL."""
    return not isinstance(conn.call("EVAL", "return 1", 0), Exception)


def lines_of(path):
    """The lines of a file."""
    with open(path, encoding="ascii") as file:
        return [line for line in file.read().split("\n") if line]


def main(words):
    """The command line."""
    full = "--full" in words
    words = [word for word in words if word != "--full"]
    split = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    place, options = words[:split], Options(words[split:])
    if len(place) == 2 and place[0] == "dump":
        print("\n".join(dump(Connection(int(place[1]), 120), full)))
        return 0
    if len(place) != 3 or place[0] not in ("check", "diff"):
        sys.exit(__doc__)
    want = lines_of(place[2])
    got = lines_of(place[1]) if place[0] == "diff" else dump(Connection(int(place[1]), 120), full)
    found = differences(got, want, options)
    print("\n".join(found[:40] + [f"{len(want)} records expected, {len(got)} found, {len(found)} differences"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
