"""Commands that build every kind of value around every limit of the format.

`build(seed, version)` gives `(database, command)` pairs. Sizes stand around the limits of the
encodings (64, 128, 512), of RDB lengths (2^6, 2^14) and of RDB integers (8, 16, 32 bits).
"""

import random

YEAR_2100_MS = 4102444800000
COUNTS = [1, 2, 63, 64, 65, 127, 128, 129, 511, 512, 513]
LENGTHS = [0, 1, 11, 20, 21, 44, 45, 63, 64, 65, 255, 256, 4095, 4096, 16383, 16384, 65535, 65536]
INTS = sorted({sign * (2 ** bits + by) for bits in (0, 6, 7, 8, 12, 15, 16, 23, 24, 31, 32, 47, 62, 63)
               for by in (-1, 0, 1) for sign in (-1, 1)})
ODD_NUMBERS = ["", "0", "-0", "+1", "01", " 1", "1 ", "1.5", "1e3", "9223372036854775807",
               "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615"]
SCORES = ["0", "-0", "1", "-1", "0.5", "3.0000000000000004", "1e-320", "2.2250738585072014e-308", "1.7976931348623157e308",
          "-1e300", "inf", "-inf", "4503599627370497.5", "9007199254740993", "0.1", "127", "128", "32768", "2147483648"]
CONTROL = b"\x00\x01\xff\xc3\x80\r\n\t\"'\\ \xe2\x82\xac"

LIBRARY = """#!lua name=%s
redis.register_function('%s_echo', function(keys, args) return args[1] end)
redis.register_function{function_name='%s_read', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}
"""


class Dataset:
    """Collects commands."""

    def __init__(self, seed, version):
        self.random = random.Random(seed)
        self.version = version
        self.db = 0
        self.commands = []

    def add(self, *words):
        """One command in the current database."""
        self.commands.append((self.db, [w if isinstance(w, bytes) else str(w).encode() for w in words]))

    def many(self, name, key, items, at_once=100):
        """One command for a run of items, in several parts."""
        for at in range(0, len(items), at_once):
            self.add(name, key, *items[at:at + at_once])

    def noise(self, length):
        """Bytes that do not compress."""
        return self.random.randbytes(length)

    def prose(self, length):
        """Bytes that do."""
        words = [b"basalt ", b"granite ", b"slate ", b"aaaaaaaa", b"1234 ", b"\x00\x00\x00"]
        return b"".join(self.random.choices(words, k=length // 3 + 1))[:length]

    def ints_of(self, bits, count):
        """Different integers that need so many bits."""
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        if count > (high - low) // 2:
            return list(range(low, high + 1))[:count]
        out = {low, high}
        while len(out) < count:
            out.add(self.random.randint(low, high))
        return sorted(out)[:count] if count < 3 else list(out)

    def strings(self):
        for length in LENGTHS:
            self.add("SET", f"str:noise:{length}", self.noise(length))
            self.add("SET", f"str:prose:{length}", self.prose(length))
            self.add("SET", f"str:same:{length}", b"x" * length)
        self.add("SET", "str:1m", self.noise(1 << 20))
        self.add("SET", "str:3m-prose", self.prose(3 << 20))
        for n in INTS:
            self.add("SET", f"int:{n}", n)
        for at, word in enumerate(ODD_NUMBERS):
            self.add("SET", f"odd:{at}", word)
        self.add("APPEND", "str:appended", "ab")
        self.add("APPEND", "str:appended", "cd")
        self.add("SETBIT", "str:bits", 100003, 1)
        self.add("PFADD", "hll:sparse", *range(10))
        self.many("PFADD", "hll:dense", list(range(5000)))
        self.add("GEOADD", "geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")

    def keys(self):
        for length in (0, 1, 63, 64, 16383, 16384, 70000):
            self.add("SET", b"k" * length, length)
            self.add("SET", self.noise(length), length)
        for n in (0, -1, 127, 128, 32768, 2147483647, 2147483648, -2147483649):
            self.add("SET", n, "key is an integer")
        self.add("SET", CONTROL, CONTROL)

    def lists(self):
        for count in COUNTS:
            self.many("RPUSH", f"list:int:{count}", [self.random.choice(INTS) for _ in range(count)])
            self.many("RPUSH", f"list:text:{count}", [self.prose(self.random.randint(0, 80)) for _ in range(count)])
        for length in (63, 64, 4095, 4096, 8191, 8192, 8193, 20000, 65536):
            self.add("RPUSH", f"list:len:{length}", b"a", self.noise(length), b"b", self.prose(length), b"c")
        self.many("RPUSH", "list:4000", [self.noise(self.random.randint(0, 40)) for _ in range(4000)])
        self.many("RPUSH", "list:trimmed", list(range(1000)))
        self.add("LTRIM", "list:trimmed", 3, 7)
        self.add("LINSERT", "list:int:65", "BEFORE", INTS[3], "in between")
        self.add("RPUSH", "list:cut", *range(600))
        self.add("LREM", "list:cut", 0, 300)
        self.add("LSET", "list:cut", 5, self.prose(9000))

    def sets(self):
        for count in COUNTS:
            for bits in (16, 32, 64):
                self.many("SADD", f"set:int{bits}:{count}", self.ints_of(bits, count))
            self.many("SADD", f"set:text:{count}", [f"m{n}" for n in range(count)])
            self.many("SADD", f"set:mixed:{count}", ["word", *range(count - 1)] if count > 1 else ["word"])
        for length in (63, 64, 65, 4096):
            self.add("SADD", f"set:len:{length}", self.prose(length), b"x")
        self.many("SADD", "set:3000", [self.noise(12) for _ in range(3000)])
        self.add("SADD", "set:widened", 1, 2, 3)
        self.add("SADD", "set:widened", 1 << 40)
        self.add("SREM", "set:widened", 1 << 40)
        self.add("SADD", "set:empty element", b"")

    def hashes(self):
        for count in COUNTS:
            self.many("HSET", f"hash:small:{count}", [w for n in range(count) for w in (f"f{n}", n)])
            self.many("HSET", f"hash:text:{count}", [w for n in range(count) for w in (self.noise(8), self.prose(30))])
        for length in (63, 64, 65, 4096, 70000):
            self.add("HSET", f"hash:field:{length}", b"f" * length, b"v")
            self.add("HSET", f"hash:value:{length}", b"f", self.prose(length), b"g", b"")
        for at, n in enumerate(INTS):
            self.add("HSET", "hash:ints", n, INTS[-1 - at])
        self.add("HSET", "hash:empty", b"", b"")
        self.many("HSET", "hash:3000", [w for n in range(3000) for w in (n, self.noise(10))])

    def zsets(self):
        for count in COUNTS:
            self.many("ZADD", f"zset:int:{count}", [w for n in range(count) for w in (n * 7 % count, f"m{n}")])
            self.many("ZADD", f"zset:odd:{count}",
                      [w for n in range(count) for w in (self.random.choice(SCORES), f"m{n}")])
            self.many("ZADD", f"zset:random:{count}",
                      [w for n in range(count) for w in (repr(self.random.uniform(-1e6, 1e6)), n)])
        self.many("ZADD", "zset:scores", [w for at, score in enumerate(SCORES) for w in (score, at)])
        for length in (63, 64, 65, 4096):
            self.add("ZADD", f"zset:len:{length}", 1, self.prose(length), 2, b"x")
        self.many("ZADD", "zset:3000", [w for n in range(3000) for w in (self.random.gauss(0, 1e9), self.noise(9))])

    def streams(self):
        self.add("XADD", "stream:emptied", "1-1", "a", "b")
        self.add("XDEL", "stream:emptied", "1-1")
        self.add("XGROUP", "CREATE", "stream:made", "g", "$", "MKSTREAM")
        for count in (1, 2, 99, 100, 101, 250):
            key = f"stream:{count}"
            for n in range(count):
                same = self.random.random() < 0.7
                names = ["a", "b"] if same else [f"f{n % 5}", *(["g"] if n % 3 else [])]
                values = [w for name in names for w in (name, self.random.choice([n, self.prose(n % 50), INTS[n % len(INTS)]]))]
                self.add("XADD", key, f"{1000 + n // 3}-{n % 3}", *values)
        self.add("XADD", "stream:ids", "0-1", "f", "v")
        self.add("XADD", "stream:ids", "18446744073709551615-18446744073709551614", "f", "v")
        self.add("XADD", "stream:wide", "5-5", "f", self.prose(20000))
        self.add("XADD", "stream:wide", "5-6", "f", self.noise(5000), b"", b"")
        for n in range(300):
            self.add("XADD", "stream:groups", f"{n + 1}-0", "n", n)
        self.add("XGROUP", "CREATE", "stream:groups", "one", "0")
        self.add("XGROUP", "CREATE", "stream:groups", "two", "50-0", "ENTRIESREAD", 50)
        self.add("XGROUP", "CREATE", "stream:groups", CONTROL, "$")
        self.add("XGROUP", "CREATECONSUMER", "stream:groups", "one", "idle")
        for consumer, count in (("alice", 120), ("bob", 7), ("carol", 1)):
            self.add("XREADGROUP", "GROUP", "one", consumer, "COUNT", count, "STREAMS", "stream:groups", ">")
        self.add("XREADGROUP", "GROUP", "two", "dave", "COUNT", 20, "NOACK", "STREAMS", "stream:groups", ">")
        self.add("XREADGROUP", "GROUP", "two", "dave", "COUNT", 20, "STREAMS", "stream:groups", ">")
        self.add("XACK", "stream:groups", "one", *[f"{n}-0" for n in range(3, 60, 3)])
        self.add("XCLAIM", "stream:groups", "one", "bob", 0, "4-0", "5-0", "TIME", 1700000000000, "RETRYCOUNT", 70000)
        for n in (4, 8, 77, 100, 101, 102, 299):
            self.add("XDEL", "stream:groups", f"{n}-0")
        self.add("XTRIM", "stream:100", "MAXLEN", 30)
        self.add("XTRIM", "stream:250", "MINID", "~", "1020")
        self.add("XDEL", "stream:250", "1083-0")
        if self.version >= (7, 0, 0):
            self.add("XSETID", "stream:2", "9999-1", "ENTRIESADDED", 100000, "MAXDELETEDID", "5000-0")

    def expiries(self, streams):
        for at, ms in enumerate((YEAR_2100_MS, YEAR_2100_MS + 1, YEAR_2100_MS + 999, 2 ** 45)):
            self.add("SET", f"expire:{at}", "x", "PXAT", ms)
            self.add("RPUSH", f"expire:list:{at}", "x")
            self.add("PEXPIREAT", f"expire:list:{at}", ms)
            if streams:
                self.add("XADD", f"expire:stream:{at}", "1-1", "x", "y")
                self.add("PEXPIREAT", f"expire:stream:{at}", ms + at)

    def other_databases(self):
        for db in (1, 7, 15):
            self.db = db
            self.add("SET", "same name", db)
            self.add("RPUSH", f"list {db}", db, db)
            self.add("SET", "later", db, "PXAT", YEAR_2100_MS + db)
        self.db = 9
        self.add("SET", "gone", 1)
        self.add("DEL", "gone")
        self.db = 0

    def functions(self):
        if self.version >= (7, 0, 0):
            for name in ("first", "second"):
                self.add("FUNCTION", "LOAD", LIBRARY % (name, name, name))

    def at_random(self, count, streams):
        """Values of every kind and random size."""
        pick = self.random
        for n in range(count):
            size = int(2 ** pick.uniform(0, 10))
            item = lambda: pick.choice([pick.choice(INTS), self.noise(pick.randint(0, 90)), self.prose(pick.randint(0, 200)), pick.randint(0, 300)])
            key = f"random:{n}"
            kind = pick.randrange(6 if streams else 5)
            if kind == 0:
                self.add("SET", key, item() if pick.random() < 0.5 else self.prose(size * 20))
            elif kind == 1:
                self.many("RPUSH", key, [item() for _ in range(size)])
            elif kind == 2:
                self.many("SADD", key, [pick.choice([pick.choice(INTS), pick.randint(0, 9999)]) if n % 2 else item() for _ in range(size)])
            elif kind == 3:
                self.many("HSET", key, [item() for _ in range(size * 2)])
            elif kind == 4:
                self.many("ZADD", key, [w for _ in range(size) for w in (pick.choice([pick.choice(SCORES), pick.randint(-99, 99)]), item())])
            else:
                for at in range(min(size, 150)):
                    self.add("XADD", key, f"{at // 2}-{at % 2 + 1}", item(), item())
            if pick.random() < 0.2:
                self.add("PEXPIREAT", key, YEAR_2100_MS + n)


def build(seed, version, functions=True, streams=True, at_random=150):
    """All commands, as pairs of database and words."""
    data = Dataset(seed, version)
    for part in (data.strings, data.keys, data.lists, data.sets, data.hashes, data.zsets, data.other_databases):
        part()
    data.expiries(streams)
    if streams:
        data.streams()
    if functions:
        data.functions()
    data.at_random(at_random, streams)
    return data.commands
