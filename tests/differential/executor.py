"""Runs a list of items on both servers and says where they differ.

An item is a list of words. Most are commands for the current connection; words that begin with
`@` steer: `@c N` selects a connection, `@sub N cmd..` sends without awaiting a reply and `@drain N`
compares what has arrived, `@block N cmd..`, `@unblock N [how]` and `@collect N` are for blocking
commands, `@reset` reopens connections 1 to 3, `@SCAN cmd..` iterates to the end, `@DUMP key`
carries a value from each server to the other, `@FDUMP policy` the function libraries, `@acllog` compares ACL LOG,
`@raw bytes` uses a connection of its own,
`@sleep ms` waits and `@state` compares the whole keyspace. Because everything is in the list, a
failing list can be stored, shrunk and run again.
"""

import time

import compare
import users
from lib.resp import Closed, encode, parse, plain, skip

PIPELINE = 100


# What is compared with 7.2 and later only: streams of 7.0 differ in texts, limits, fields and events throughout, scripts in
# what they may call and in the places of errors, payloads in their version, users in how their rules are shown.
NOT_IN_7_0 = (b"ACL", b"@ACLLOG", b"X", b"EVAL", b"FCALL", b"FUNCTION", b"SCRIPT", b"@DUMP", b"@FDUMP")


class Abandoned(Exception):
    """The servers hold different data for an explained reason: the epoch ends."""


class Unusable(Exception):
    """A server lacks what every epoch needs."""


class Difference:
    """One reply that differs."""

    def __init__(self, index, command, raw_a, raw_b, note=""):
        self.index, self.command, self.raw_a, self.raw_b, self.note = index, command, raw_a, raw_b, note

    def show(self):
        """For people."""
        return (f"  {self.note or 'reply differs'}\n  command: {words(self.command)}\n"
                f"  peer:    {clip(self.raw_a)}\n  basalt:  {clip(self.raw_b)}")


def words(command):
    """A command as text."""
    return " ".join(w.decode() if w.isascii() and w.decode().isprintable() and w and b" " not in w
                    else clip(w, 80) for w in command)


def clip(raw, limit=1500):
    """Bytes as text, cut."""
    text = repr(bytes(raw))[1:]
    return text if len(text) <= limit else text[:limit] + f"... ({len(raw)} bytes)"


class Executor:
    """Two servers and the connections to them."""

    allow_missing = False

    def __init__(self, peer, basalt, resp, settings):
        self.servers = (peer, basalt)
        self.resp, self.settings = resp, settings
        self.version = peer.version()
        compare.old_doubles = self.version < (7, 2)
        self.explained = {}
        self.count = 0
        self.late = 0
        self.conns = {}

    # --- connections -------------------------------------------------------------------------

    def open(self, number):
        """Connection `number` to both servers."""
        if number not in self.conns:
            pair = []
            for server in self.servers:
                conn = server.connect()
                if self.resp == 3:
                    hello = conn.call("HELLO", 3)
                    if isinstance(hello, Exception):
                        raise Unusable(f"HELLO 3: {hello}")
                conn.stream = b""
                conn.id = conn.call("CLIENT", "ID")
                pair.append(conn)
            self.conns[number] = pair
        return self.conns[number]

    def close_all(self):
        """Closes every connection."""
        for pair in self.conns.values():
            for conn in pair:
                conn.close()
        self.conns = {}

    def begin(self):
        """Empty servers with the settings of the epoch."""
        self.close_all()
        self.current, self.multi = 0, {}
        for conn in self.open(0):
            flushed = conn.call("FLUSHALL")
            if isinstance(flushed, Exception) and not self.allow_missing:
                raise Unusable(f"FLUSHALL: {flushed}")
            for command in (["CLIENT", "UNPAUSE"], ["CONFIG", "SET", "notify-keyspace-events", ""]):
                conn.call(*command)
            for name, value in self.settings.items():
                conn.call("CONFIG", "SET", name, value)

    # --- running -----------------------------------------------------------------------------

    def run(self, items):
        """The first unexplained difference, or None."""
        try:
            self.begin()
            self.batch = []
            for index, item in enumerate(items):
                name = item[0]
                if self.version < (7, 2) and name.upper().startswith(NOT_IN_7_0):
                    continue
                if name.startswith(b"@"):
                    found = self.flush() or getattr(self, "do_" + name[1:].decode().lower())(index, item[1:])
                elif name.upper() == b"SPOP" and 0 not in self.multi:
                    found = self.flush() or self.spop(index, item)
                elif name.upper() in compare.RANDOM and self.current == 0 and 0 not in self.multi:
                    found = self.flush() or self.drawn(index, item)
                else:
                    # Redis 7.2.4 drops the error of a failed AUTH when replies are pending
                    # (addAuthErrReply in acl.c), so that one never shares a pipeline.
                    alone = name.upper() in (b"AUTH", b"HELLO")
                    found = self.flush() if alone else None
                    self.batch.append((index, item))
                    if not found and len(self.batch) >= PIPELINE:
                        found = self.flush()
                if found:
                    return found
            return self.flush()
        except Abandoned as reason:
            self.explained[str(reason)] = self.explained.get(str(reason), 0) + 1
            return None
        except Closed as error:
            dead = [s.program for s in self.servers if not s.alive()]
            note = f"{error}" + (f"; process ended: {dead}\n{self.servers[1].log_text()[-2000:]}" if dead else "")
            index, command = self.batch[0] if self.batch else (index, items[index])
            return Difference(index, command, b"", b"", "connection lost: " + note)

    def flush(self):
        """Sends the pending pipeline and compares the replies."""
        batch = self.batch
        if not batch:
            return None
        peer, basalt = self.open(self.current)
        data = b"".join(encode(item) for _, item in batch)
        peer.send(data)
        basalt.send(data)
        self.count += len(batch)
        try:
            from_peer = peer.replies(len(batch))
        except Closed as error:
            sent = "\n".join(words(item) for _, item in batch)
            raise RuntimeError(f"the peer failed on connection {self.current}: {error}\n{sent}") from error
        from_basalt = basalt.replies(len(batch))
        self.batch = []
        previous = None
        for (index, item), a, b in zip(batch, from_peer, from_basalt):
            queue = self.track(item, a)
            if a != b:
                found = self.differs(index, item, a, b, queue)
                if found:
                    return found
            if item[0].upper() in compare.RANDOM and a[:1] in b"*~" and a[1:2] != b"-":
                found = self.check_distinct(index, item, b)
                if found:
                    return found
            previous = a
        return None

    def track(self, item, raw):
        """Follows MULTI on the current connection; returns what EXEC ran."""
        name = item[0].upper()
        queue = self.multi.get(self.current)
        if queue is None:
            if name == b"MULTI" and raw == b"+OK\r\n":
                self.multi[self.current] = []
            return ()
        if raw == b"+QUEUED\r\n":
            queue.append(item)
        elif name in (b"EXEC", b"DISCARD", b"RESET") and not raw.startswith(b"-ERR wrong"):
            return self.multi.pop(self.current)
        return ()

    def differs(self, index, item, a, b, queue=()):
        """A difference, unless the rules allow it."""
        if compare.same(item, a, b, queue):
            return None
        if compare.SORT_ERRNO in a and compare.SORT_ERRNO not in b:
            if item[0].upper() == b"EXEC" or b"STORE" in [word.upper() for word in item]:
                raise Abandoned("SORT .. STORE in Redis failed on a leftover errno: the rest of the epoch is left out")
        if b.startswith(b"-INVALIDOBJ") and not a.startswith(b"-INVALIDOBJ") and self.version == (7, 2, 4):
            raise Abandoned("Redis 7.2.4 takes counts behind the last register of a sparse HyperLogLog, as no fixed release "
                            "does (CVE-2025-32023): the rest of the epoch is left out")
        if self.version == (7, 2, 4) and compare.ends_in_half_a_run(a) and not compare.ends_in_half_a_run(b):
            raise Abandoned("Redis 7.2.4 counts registers of a run whose second byte is behind the end of the string, and "
                            "PFADD leaves such a run (docs/compatibility.md): the rest of the epoch is left out")
        if item[0].upper() == b"EXEC" and queue:
            parts_a, parts_b = elements(a), elements(b)
            if len(parts_a) == len(parts_b) == len(queue):
                # The rules apply to each reply of its own.
                for command, x, y in zip(queue, parts_a, parts_b):
                    if x != y and self.differs(index, command, x, y):
                        return Difference(index, item, a, b, f"reply to {words(command)} differs")
                return None
        reason = compare.explained(item, a, b, self.version)
        if not reason and (self.allow_missing and b.startswith(b"-ERR unknown command")
                           and not a.startswith(b"-ERR unknown command")):
            reason = f"allowed by option: no {item[0].upper().decode('latin-1')} yet"
        if reason:
            self.explained[reason] = self.explained.get(reason, 0) + 1
            return None
        return Difference(index, item, a, b)

    def check_distinct(self, index, item, raw):
        """A positive count draws every member once."""
        if len(item) < 3 or not item[2].isdigit():
            return None
        value = plain(parse(raw)[0])
        if len(item) > 3:
            value = [v[0] for v in value] if value and isinstance(value[0], list) else value[::2]
        if len(set(map(repr, value))) != len(value):
            return Difference(index, item, b"", raw, "members drawn twice")
        return None

    def ask(self, *command):
        """Raw replies of both servers on the main connection."""
        data = encode([w if isinstance(w, bytes) else str(w).encode() for w in command])
        out = []
        for conn in self.open(0):
            conn.send(data)
        for conn in self.open(0):
            out.append(conn.replies(1)[0])
        return out

    def drawn(self, index, item):
        """SRANDMEMBER and its like: shape and count as the peer's, and only what Basalt holds."""
        self.count += 1
        read = {b"SRANDMEMBER": [b"SMEMBERS"], b"HRANDFIELD": [b"HGETALL"], b"RANDOMKEY": [b"KEYS", b"*"],
                b"ZRANDMEMBER": [b"ZRANGE"]}[item[0].upper()]
        if len(read) == 1 and len(item) > 1:
            read = read + [item[1]] + ([b"0", b"-1", b"WITHSCORES"] if read == [b"ZRANGE"] else [])
        a, b = self.ask(*item)
        found = self.differs(index, item, a, b)
        if found or b[:1] == b"-" or b.startswith((b"_", b"$-1", b"*-1")):
            return found
        held = set(flat(parse(self.ask_one(1, *read))[0]))
        strange = [value for value in flat(parse(b)[0]) if value not in held]
        if strange:
            return Difference(index, item, a, b, f"drew what is not there: {strange[:3]}")
        return self.check_distinct(index, item, b) if b[:1] in b"*~" else None

    def spop(self, index, item):
        """SPOP draws at random: what was drawn is checked, then both sets are made equal again."""
        self.count += 1
        peer, basalt = self.open(0)
        before = set(map(repr, as_list(basalt.call("SMEMBERS", item[1])))) if len(item) > 1 else set()
        a, b = self.ask(*item)
        found_a, found_b = parse(a)[0], parse(b)[0]
        if not compare.random_reply(item, found_a, found_b):
            return self.differs(index, item, a, b)
        if found_a[0] == "-" or found_a[1] is None:
            return None
        list_a, list_b = as_list(plain(found_a)), as_list(plain(found_b))
        if len(set(list_b)) != len(list_b) or not set(map(repr, list_b)) <= before:
            return Difference(index, item, a, b, "popped what was not there")
        if len(before) == len(list_b):
            return None if sorted(list_a) == sorted(list_b) else Difference(index, item, a, b)
        give, take = [m for m in list_b if m not in list_a], [m for m in list_a if m not in list_b]
        kept = len(before) - len(list_b)
        for out, back in zip(take, give):
            # One at a time, so that the set passes no limit on the way; never an empty set, which would go.
            steps = [("SREM", out), ("SADD", back)]
            for name, member in steps if kept > 1 else reversed(steps):
                basalt.call(name, item[1], member)
        if give and kept * 5 <= len(list_b):
            self.same_encoding(peer, basalt, item[1])
        return None

    @staticmethod
    def same_encoding(peer, basalt, key):
        """What few stay of many go to a new set: its encoding depends on who they are, so on chance."""
        theirs, ours = (conn.call("OBJECT", "ENCODING", key) for conn in (peer, basalt))
        if theirs == ours:
            return
        if theirs == b"hashtable":
            long = b"x" * 1000
            basalt.call("SADD", key, long)
            basalt.call("SREM", key, long)
        else:
            ttl = max(0, peer.call("PEXPIRETIME", key))
            basalt.call("RESTORE", key, ttl, peer.call("DUMP", key), "REPLACE", "ABSTTL")

    # --- steering ----------------------------------------------------------------------------

    def do_c(self, index, args):
        self.current = int(args[0])
        self.open(self.current)

    def do_acllog(self, index, args):
        found = users.different_logs(self.open(0))
        return Difference(index, [b"ACL", b"LOG"], *found) if found else None

    def do_sleep(self, index, args):
        time.sleep(int(args[0]) / 1000)

    def do_sub(self, index, args):
        """A command whose replies belong to a stream; done before the next item."""
        self.count += 1
        nonce = b"taken-%015d" % (index + 1)
        for conn in self.open(int(args[0])):
            conn.send(encode(args[1:]) + encode([b"PING", nonce]))
            conn.stream += conn.until(nonce + b"\r\n")

    def do_drain(self, index, args):
        """Compares the streams of a subscriber up to a marker of our own."""
        nonce = b"drain-%015d" % (index + 1)
        pair = self.open(int(args[0]))
        for conn in pair:
            conn.send(encode([b"PING", nonce]))
        a, b = (conn.stream + conn.until(nonce + b"\r\n") for conn in pair)
        for conn in pair:
            conn.stream = b""
        if a == b:
            return None
        # Delivery between threads may be late, but nothing may be missing in the end.
        for _ in range(20):
            time.sleep(0.01)
            self.late += 1
            for conn in pair:
                conn.send(encode([b"PING", nonce]))
            a += pair[0].until(nonce + b"\r\n")
            b += pair[1].until(nonce + b"\r\n")
            strip = [x.replace(b"*2\r\n$4\r\npong\r\n$%d\r\n%s\r\n" % (len(nonce), nonce), b"")
                     .replace(b"$%d\r\n%s\r\n" % (len(nonce), nonce), b"") for x in (a, b)]
            if strip[0] == strip[1]:
                return None
            if self.unordered_unsubscribe(*strip):
                return None
        at = next((i for i, (x, y) in enumerate(zip(*strip)) if x != y), min(map(len, strip)))
        start = max(0, strip[0].rfind(b"\r\n*", 0, at), strip[0].rfind(b"\r\n>", 0, at) - 0)
        return Difference(index, [b"@drain"] + args, strip[0][start:start + 400], strip[1][start:start + 400],
                          f"streams of connection {args[0].decode()} differ at byte {at}")

    @staticmethod
    def unordered_unsubscribe(a, b):
        """UNSUBSCRIBE without arguments goes through a hash table."""
        streams = []
        for raw in (a, b):
            out, at = [], 0
            while at < len(raw):
                end = skip(raw, at)
                if end < 0:
                    return False
                out.append(compare.freeze(parse(raw, at)[0]))
                at = end
            streams.append(out)
        if len(streams[0]) != len(streams[1]):
            return False

        def blocks(stream):
            """Runs of unsubscribe messages as sets of channels, with their counts in order; the
            rest as it is. A message that several patterns match goes through a table as well."""
            out, run = [], []
            for item in stream + [None]:
                kind = item[1][0][1] if item and isinstance(item[1], tuple) and item[1] else b""
                if kind in (b"unsubscribe", b"punsubscribe", b"sunsubscribe", b"pmessage"):
                    run.append(item)
                    continue
                if run:
                    out.append(sorted(repr(i[1][:2] + i[1][3:]) for i in run))
                    out.append([i[1][2] for i in run if i[1][0][1] != b"pmessage"])
                    run = []
                out.append(item)
            return out
        return blocks(streams[0]) == blocks(streams[1])

    def do_block(self, index, args):
        """Sends a command that may block and waits until both servers have taken it."""
        self.count += 1
        pair = self.open(int(args[0]))
        for conn in pair:
            conn.send(encode(args[1:]))
        waiting = self.waiting = getattr(self, "waiting", {})
        waiting[int(args[0])] = pair
        for side in (0, 1):
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                still = sum(not p[side].ready(0) for p in waiting.values())
                text = plain(parse(self.ask_one(side, b"INFO", b"clients"))[0])
                if b"blocked_clients:%d\r\n" % still in text:
                    break

    def ask_one(self, side, *command):
        conn = self.open(0)[side]
        conn.send(encode(command))
        return conn.replies(1)[0]

    def do_unblock(self, index, args):
        """CLIENT UNBLOCK of the client on connection N."""
        a, b = (self.ask_one(side, b"CLIENT", b"UNBLOCK", b"%d" % self.open(int(args[0]))[side].id, *args[1:])
                for side in (0, 1))
        return None if a == b else Difference(index, [b"@unblock"] + args, a, b)

    def do_collect(self, index, args):
        """Compares the reply of a command that blocked, or that there is none."""
        number = int(args[0])
        if number not in self.conns:
            return None
        peer, basalt = self.conns[number]
        got_a = peer.ready(0.004)
        got_b = basalt.ready(1.0 if got_a else 0.004)
        if not got_a and not got_b:
            return None
        a = peer.replies(1)[0] if got_a else b"(still blocked)"
        b = basalt.replies(1)[0] if got_b else b"(still blocked)"
        getattr(self, "waiting", {}).pop(number, None)
        if a != b and not (a[:1] in b"*>" and b[:1] in b"*>" and compare.same([b"@collect"], a, b)):
            return Difference(index, [b"@collect"] + args, a, b)
        return None

    def do_reset(self, index, args):
        for number in (1, 2, 3):
            for conn in self.conns.pop(number, ()):
                conn.close()
        self.waiting = {}
        for side in (0, 1):
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                if b"blocked_clients:0\r\n" in plain(parse(self.ask_one(side, b"INFO", b"clients"))[0]):
                    break

    def do_scan(self, index, args):
        """A full iteration returns the same elements, in any order, some perhaps twice."""
        self.count += 1
        where = 1 if args[0].upper() == b"SCAN" else 2
        sets, errors = [], []
        for conn in self.open(0):
            cursor, seen, steps = b"0", set(), 0
            while True:
                args = list(args)
                if len(args) <= where:
                    break
                args[where] = cursor
                conn.send(encode(args))
                raw = conn.replies(1)[0]
                kind, value = parse(raw)[0]
                if kind == "-":
                    errors.append(raw)
                    break
                items = value[1][1]
                if args[0].upper() in (b"HSCAN", b"ZSCAN"):
                    seen.update(zip(map(compare.freeze, items[::2]), map(compare.freeze, items[1::2])))
                else:
                    seen.update(map(compare.freeze, items))
                cursor, steps = value[0][1], steps + 1
                if cursor == b"0" or steps > 5000:
                    break
            sets.append(seen)
        if errors and (len(errors) == 1 or errors[0] != errors[1]):
            return Difference(index, args, *(errors + [b""])[:2])
        if sets[0] != sets[1]:
            return Difference(index, args, repr(sorted(sets[0] - sets[1])[:9]).encode(),
                              repr(sorted(sets[1] - sets[0])[:9]).encode(), "iterations differ: only here")
        return None

    def do_dump(self, index, args):
        """DUMP of each server is RESTOREd by both."""
        self.count += 1
        a, b = self.ask(b"DUMP", args[0])
        if a[:1] == b"-" or b[:1] == b"-" or a.startswith((b"$-1", b"_")) or b.startswith((b"$-1", b"_")):
            return None if a == b else self.differs(index, [b"DUMP"] + args, a, b)
        for target, raw in ((b"dump-a", a), (b"dump-b", b)):
            x, y = self.ask(b"RESTORE", target, b"0", plain(parse(raw)[0]), b"REPLACE")
            if x != y:
                return Difference(index, [b"RESTORE", target, b"0", plain(parse(raw)[0]), b"REPLACE"], x, y)
        return None

    def do_fdump(self, index, args):
        """The libraries of each server, as a payload, are restored by both."""
        self.count += 1
        a, b = self.ask(b"FUNCTION", b"DUMP")
        if a[:1] == b"-" or b[:1] == b"-":
            return None if a == b else self.differs(index, [b"FUNCTION", b"DUMP"], a, b)
        for raw in (a, b):
            command = [b"FUNCTION", b"RESTORE", plain(parse(raw)[0]), args[0]]
            x, y = self.ask(*command)
            # Which of several libraries is there already is a matter of their order.
            if x != y and not (x[:1] == y[:1] == b"-" and b"already exists" in x and b"already exists" in y):
                return Difference(index, command, x, y)
        return None

    def do_raw(self, index, args):
        """Raw bytes on a new connection: replies, and whether the server hangs up. What differs is done
        again with more patience, as a busy machine answers late."""
        self.count += 1
        for patience in (0.03, 1.0):
            a, b = self.raw(args[0], patience)
            if a == b or b"HELLO" in args[0]:
                return None
        # A reset may swallow a reply that was on its way.
        if a.endswith(b"(closed)") and b.endswith(b"(closed)") and len(args[0]) > 60000:
            return None
        reason = compare.explained([b"@raw", args[0]], a, b, self.version)
        if reason:
            self.explained[reason] = self.explained.get(reason, 0) + 1
            return None
        return Difference(index, [b"@raw", args[0]], a, b)

    def raw(self, data, patience):
        """What both servers send back on connections of their own, waiting so long after the last byte."""
        opened = []
        for server in self.servers:
            conn = server.connect()
            try:
                conn.send(data)
                # A settled connection answers this; one inside a request swallows it.
                conn.send(b"\r\nPING settled\r\n")
            except Closed:
                pass
            opened.append(conn)
        out = []
        for conn in opened:
            got, closed = conn.drain_until_closed(patience)
            out.append(got + (b"(closed)" if closed else b"(open)"))
            conn.close()
        return out

    def do_state(self, index, args):
        """Compares all keys of databases 0 to 2: type, encoding, expiry, value."""
        self.current = 0
        if self.multi.pop(0, None) is not None:
            self.ask(b"DISCARD")
        for db in (b"2", b"1", b"0"):
            self.ask(b"SELECT", db)
            a, b = self.ask(b"KEYS", b"*")
            if b[:1] == b"-":
                return self.differs(index, [b"KEYS", b"*"], a, b)
            keys = sorted(plain(parse(a)[0]))
            if keys != sorted(plain(parse(b)[0])):
                return Difference(index, [b"KEYS", b"*"], a, b, f"keys of database {db.decode()} differ")
            kinds = [self.ask(b"TYPE", key) for key in keys]
            batch = []
            for key, (kind, kind_b) in zip(keys, kinds):
                if kind != kind_b:
                    return Difference(index, [b"TYPE", key], kind, kind_b)
                read = {b"+string\r\n": [b"GET", key], b"+list\r\n": [b"LRANGE", key, b"0", b"-1"],
                        b"+hash\r\n": [b"HGETALL", key], b"+set\r\n": [b"SMEMBERS", key],
                        b"+zset\r\n": [b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]}.get(kind, [b"XRANGE", key, b"-", b"+"])
                batch += [[b"OBJECT", b"ENCODING", key], [b"PEXPIRETIME", key], read]
                if kind == b"+stream\r\n":
                    batch.append([b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"])
            data = b"".join(map(encode, batch))
            peer, basalt = self.open(0)
            peer.send(data)
            basalt.send(data)
            encoding = b""
            for command, a, b in zip(batch, peer.replies(len(batch)), basalt.replies(len(batch))):
                if command[0] == b"OBJECT":
                    encoding = a
                ordered = command[0] == b"HGETALL" and b"listpack" in encoding
                if a != b and (ordered or not compare.same(command, a, b)):
                    found = (Difference(index, command, a, b, "order of a listpack hash differs") if ordered
                             else self.differs(index, command, a, b))
                    if found:
                        found.note = f"final state of database {db.decode()} differs"
                        return found
        return None


def elements(raw):
    """The raw replies inside an array."""
    if raw[:1] not in b"*~" or raw[1:2] == b"-":
        return []
    out, at = [], raw.index(b"\r\n") + 2
    while at < len(raw):
        end = skip(raw, at)
        out.append(raw[at:end])
        at = end
    return out


def flat(reply):
    """All strings and numbers inside a reply."""
    kind, value = reply
    if not isinstance(value, list):
        return [value]
    return [leaf for item in value for leaf in flat(item)]


def as_list(value):
    """A reply that is one thing or a list, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]
