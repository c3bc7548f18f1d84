"""Command templates with random parts.

A template is one line: `weight WORD <placeholder> (A|B <x>|~) (<f> <v>)+ WORD?`.
`<name>` draws from a generator below, `( | )` picks one alternative, `~` is nothing,
a `?` behind an item makes it optional and a `+` repeats it one to five times.
"""

import re

TOKEN = re.compile(r"[()|]|[?+](?=[\s)|]|$)|<[^>]+>|[^\s()|<>]+")


class Template:
    """A compiled template."""

    def __init__(self, line):
        weight, text = line.strip().split(None, 1)
        self.weight = float(weight)
        self.text = text
        self.name = text.split()[0]
        tokens = []
        for token in TOKEN.findall(text):
            if len(token) > 1 and token[-1] in "?+" and not token.startswith("<"):
                tokens += [token[:-1], token[-1]]
            else:
                tokens.append(token)
        self.tokens, self.at = tokens, 0
        self.tree = self._alternatives()

    def _alternatives(self):
        choices, sequence = [], []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token == ")":
                break
            self.at += 1
            if token == "|":
                choices.append(sequence)
                sequence = []
            elif token == "(":
                sequence.append(self._alternatives())
                self.at += 1
            elif token in "?+":
                sequence.append((token, sequence.pop()))
            elif token != "~":
                sequence.append(token)
        choices.append(sequence)
        return choices

    def draw(self, source):
        """A command."""
        out = []
        self._emit(self.tree, source, out)
        return out

    def _emit(self, choices, source, out):
        for item in source.rng.choice(choices):
            self._item(item, source, out)

    def _item(self, item, source, out):
        if isinstance(item, list):
            self._emit(item, source, out)
        elif isinstance(item, tuple):
            times = (source.rng.random() < 0.4) if item[0] == "?" else source.rng.choice((1, 1, 2, 3, 5))
            for _ in range(int(times)):
                self._item(item[1], source, out)
        elif item.startswith("<"):
            value = source.value(item[1:-1])
            out.extend(value if isinstance(value, tuple) else (value,))
        else:
            out.append(item.encode())


EDGE_INTEGERS = [b"0", b"1", b"-1", b"9223372036854775807", b"-9223372036854775808",
                 b"9223372036854775808", b"-9223372036854775809", b"18446744073709551615",
                 b"-0", b"+1", b"01", b" 1", b"1 ", b"1.0", b"", b"abc", b"0x10", b"1e3"]
EDGE_FLOATS = [b"inf", b"-inf", b"+inf", b"nan", b"1e400", b"-1e400", b"-0", b"0.0", b"1e-320",
               b"3.0e3", b"1.7976931348623157e308", b"5e-324", b".5", b"5.", b"0x1p3", b" 1.5",
               b"1.5 ", b"", b"abc", b"1e", b"infinity", b"9007199254740993", b"0.1", b"3"]
WORDS = [b"a", b"b", b"foo", b"bar", b"hello world", b"\x00\xff\r\n\x80", b"FOO", b"x" * 63,
         b"y" * 64, b"z" * 65, b"-1", b"0", b"10", b"3.14", b"1e5", b"127", b"128", b"-4097",
         b"32768", b"-8388609", b"2147483648", b"-9223372036854775808", b"9223372036854775807"]
PATTERNS = [b"*", b"s*", b"?1", b"[a-c]*", b"[^s]*", b"\\*", b"*1*", b"nomatch", b"", b"l?", b"[", b"f*", b"*[0-9]"]
KINDS = {"s": b"s", "l": b"l", "h": b"h", "t": b"t", "z": b"z"}
ODD_KEYS = [b"", b"\x00\x01\r\n", b"K" * 300, b"{tag}k", b"s 1"]


class Source:
    """Draws the random parts. The same seed gives the same commands."""

    def __init__(self, rng, limit=64):
        self.rng = rng
        self.limit = limit
        self.draws = {name[5:]: getattr(self, name) for name in dir(self) if name.startswith("draw_")}

    def value(self, name):
        """A word for the placeholder `name`."""
        if name in KINDS:
            return self.key(name)
        return self.draws[name]()

    def key(self, kind):
        """A key that mostly holds the given type."""
        r = self.rng.random()
        if r < 0.93:
            return KINDS[kind] + b"%d" % self.rng.randrange(6)
        if r < 0.975:
            return self.draw_k()
        if r < 0.99:
            return b"missing"
        return self.rng.choice(ODD_KEYS)

    def draw_k(self):
        return self.rng.choice((b"s", b"l", b"h", b"t", b"z")) + b"%d" % self.rng.randrange(6)

    def draw_y(self):
        """A sorted set whose scores are all 0: only there are lexicographic ranges defined."""
        r = self.rng.random()
        return b"y%d" % self.rng.randrange(5) if r < 0.97 else b"nokey"

    def draw_v(self):
        r = self.rng.random()
        rng = self.rng
        if r < 0.30:
            return b"%d" % rng.randrange(-20, 20)
        if r < 0.55:
            return rng.choice(WORDS)
        if r < 0.65:
            return b"%d" % rng.randrange(-1 << 63, 1 << 63)
        if r < 0.72:
            return b"%.*g" % (rng.randrange(1, 18), rng.uniform(-1000, 1000))
        if r < 0.80:
            return bytes(rng.choice(b"abcdefgh") for _ in range(rng.randrange(0, 12)))
        if r < 0.88:
            return b"v" * (self.limit + rng.randrange(-1, 2))
        if r < 0.93:
            return rng.randbytes(rng.randrange(1, 30))
        if r < 0.95:
            return rng.choice(EDGE_INTEGERS)
        if r < 0.97:
            return rng.choice(EDGE_FLOATS)
        if r < 0.99:
            return b"w" * rng.choice((43, 44, 45, 127, 128, 254, 255, 256))
        return rng.choice(b"qrs").to_bytes(1, "big") * rng.choice((1000, 4095, 4096, 4097, 8200, 17000))

    def draw_f(self):
        r = self.rng.random()
        if r < 0.85:
            return b"f%d" % self.rng.randrange(14)
        return self.draw_v()

    def draw_m(self):
        r = self.rng.random()
        if r < 0.45:
            return b"%d" % self.rng.randrange(20)
        if r < 0.85:
            return b"m%d" % self.rng.randrange(14)
        return self.draw_v()

    def draw_im(self):
        """An integer member: keeps sets in the intset encoding."""
        return b"%d" % self.rng.choice((self.rng.randrange(20), self.rng.randrange(20), self.rng.randrange(-40000, 40000), self.rng.randrange(-1 << 40, 1 << 40)))

    def draw_i(self):
        return b"%d" % self.rng.randrange(-7, 8) if self.rng.random() < 0.93 else self.rng.choice(EDGE_INTEGERS)

    def draw_n(self):
        return b"%d" % self.rng.randrange(0, 8) if self.rng.random() < 0.95 else self.rng.choice(EDGE_INTEGERS)

    def draw_small(self):
        """A count without edges, for commands that loop that often."""
        return b"%d" % self.rng.randrange(-9, 10)

    def draw_incr(self):
        return self.rng.choice(EDGE_INTEGERS) if self.rng.random() < 0.15 else b"%d" % self.rng.randrange(-100, 100)

    def draw_fl(self):
        r = self.rng.random()
        if r < 0.15:
            return self.rng.choice(EDGE_FLOATS)
        if r < 0.5:
            return b"%d" % self.rng.randrange(-10, 10)
        if r < 0.8:
            return b"%.*g" % (self.rng.randrange(1, 18), self.rng.uniform(-100, 100))
        return repr(self.rng.uniform(-1, 1) * 10 ** self.rng.randrange(-20, 25)).encode()

    draw_score = draw_fl

    def draw_bound(self):
        r = self.rng.random()
        if r < 0.2:
            return self.rng.choice((b"-inf", b"+inf", b"inf", b"(inf", b"(-inf"))
        if r < 0.27:
            return self.rng.choice((b"(", b"abc", b"", b"nan", b"(nan", b"((1", b"[1", b"(abc"))
        return self.rng.choice((b"", b"(")) + b"%d" % self.rng.randrange(-10, 10)

    def draw_lex(self):
        r = self.rng.random()
        if r < 0.3:
            return self.rng.choice((b"-", b"+"))
        if r < 0.36:
            return self.rng.choice((b"(", b"[", b"abc", b"", b"-x", b"+x"))
        return self.rng.choice((b"[", b"(")) + self.draw_m()

    def draw_sec(self):
        r = self.rng.random()
        if r < 0.75:
            return b"%d" % self.rng.randrange(200, 100000)
        return self.rng.choice((b"0", b"-1", b"-100", b"9223372036854775807", b"9223372036854776", b"-9223372036854775808", b"abc", b"1.5", b"", b"9999999999999"))

    def draw_ms(self):
        return self.draw_sec() + b"000" if self.rng.random() < 0.9 else self.draw_sec().replace(b"200", b"0")

    def draw_at(self):
        return self.rng.choice((b"4102444800", b"4102444801", b"5000000000", b"1", b"0", b"-1", b"9223372036854775807", b"abc"))

    def draw_atms(self):
        return self.rng.choice((b"4102444800000", b"4102444800001", b"5000000000999", b"1000", b"1", b"0", b"-1", b"9223372036854775807", b"abc"))

    def draw_off(self):
        return self.rng.choice((b"0", b"1", b"3", b"10", b"63", b"64", b"300", b"-1", b"536870912", b"9223372036854775807", b"abc"))

    def draw_pat(self):
        return self.rng.choice(PATTERNS)

    def draw_db(self):
        return self.rng.choice((b"0", b"0", b"1", b"1", b"2", b"15", b"16", b"-1", b"abc", b"9223372036854775807"))

    def draw_numkeys(self):
        return self.rng.choice((b"1", b"2", b"2", b"2", b"3", b"0", b"-1", b"abc", b"9223372036854775807"))

    def draw_ch(self):
        return self.rng.choice((b"c1", b"c2", b"c3", b"", b"news.a", b"news.b", b"\x00\xff"))

    def draw_chp(self):
        return self.rng.choice((b"c*", b"news.*", b"*", b"?1", b"[cn]*", b"nomatch", b""))

    def draw_x(self):
        """A stream without groups. Those of `draw_xf` are in the far future."""
        r = self.rng.random()
        if r < 0.95:
            return b"x%d" % self.rng.randrange(4)
        return self.draw_k() if r < 0.98 else self.rng.choice(ODD_KEYS)

    def draw_xf(self):
        return b"xf"

    def draw_xnew(self):
        """The ID of an entry to add, mostly above those before; in the far future it is also
        what follows a `*`, whatever the clock says."""
        self.ticks = getattr(self, "ticks", 0) + self.rng.choice((0, 1, 1, 2))
        r = self.rng.random()
        if r < 0.6:
            return b"%d-%d" % (self.ticks, self.rng.randrange(5))
        if r < 0.8:
            return b"%d-*" % self.ticks
        if r < 0.96:
            return b"%d" % (self.ticks + 1)
        return self.draw_xedge()

    def draw_xfnew(self):
        self.ticks = getattr(self, "ticks", 0) + self.rng.randrange(3)
        return b"%d" % (4102444800000 + self.ticks) + self.rng.choice((b"", b"-*", b"-7", b"-18446744073709551615"))

    def draw_xid(self):
        """An ID near the newest."""
        if self.rng.random() < 0.94:
            ms = max(0, getattr(self, "ticks", 0) - int(self.rng.expovariate(0.06)))
            return b"%d" % ms + self.rng.choice((b"", b"-%d" % self.rng.randrange(5)))
        return self.draw_xedge()

    def draw_xedge(self):
        return self.rng.choice((b"-", b"+", b"$", b">", b"", b"abc", b"0-0", b"0", b"0-*", b"1-", b"-1", b"1--2", b"1-2-3", b" 1-1", b"01-02",
                                b"1-+1", b"1-1 ", b"1-1x", b"1 1", b"18446744073709551615-18446744073709551615", b"1--05", b"1-\x00",
                                b"18446744073709551615", b"18446744073709551616", b"99999999999999999999-0", b"*", b"-*", b"1-**", b"0" * 127 + b"-1"))

    def draw_xfrom(self):
        return b"-" if self.rng.random() < 0.3 else self.rng.choice((b"", b"", b"(")) + self.draw_xid()

    def draw_xto(self):
        return b"+" if self.rng.random() < 0.3 else self.rng.choice((b"", b"", b"(")) + self.draw_xid()

    def draw_about(self):
        """How exactly to trim."""
        return self.rng.choice((b"~", b"~", b"=", b"=="))

    def draw_g(self):
        """A stream with consumer groups."""
        r = self.rng.random()
        if r < 0.95:
            return b"g%d" % self.rng.randrange(3)
        return self.draw_k() if r < 0.98 else self.rng.choice(ODD_KEYS)

    def draw_grp(self):
        return self.rng.choice((b"ga", b"ga", b"ga", b"gb", b"gb", b"", b"G\x00\xff")) if self.rng.random() < 0.97 else b"nogroup"

    def draw_cons(self):
        return self.rng.choice((b"c1", b"c1", b"c2", b"c3", b"", b"C\r\n"))

    def draw_gnew(self):
        """The ID of an entry to add: each above the ones before."""
        self.entries = getattr(self, "entries", 0) + 1
        return b"%d-%d" % (self.entries // 3 + 1, self.entries % 3 + 1)

    def draw_gid(self):
        """An ID near the entries that are there."""
        r = self.rng.random()
        newest = getattr(self, "entries", 0) // 3 + 1
        if r < 0.9:
            return b"%d-%d" % (max(0, newest - self.rng.randrange(12)), self.rng.randrange(4))
        if r < 0.97:
            return self.rng.choice((b"0", b"0-0", b"%d" % newest, b"%d" % (newest + 5), b"1"))
        return self.rng.choice((b"-", b"+", b"$", b">", b"", b"abc", b"1-", b"-1", b"1-2-3", b"18446744073709551615-18446744073709551615",
                                b"18446744073709551615", b"18446744073709551616", b"1-*", b"*", b"01-1"))

    def draw_o(self):
        """A geo index."""
        return b"o%d" % self.rng.randrange(3) if self.rng.random() < 0.96 else self.draw_k()

    def draw_om(self):
        return b"place%d" % self.rng.randrange(30) if self.rng.random() < 0.97 else self.draw_v()

    def degrees(self, most):
        """Near a few centres, anywhere, or odd."""
        r = self.rng.random()
        if r < 0.6:
            centre = self.rng.choice((0, 13, -60, 80, most, -most))
            value = centre + self.rng.choice((0, 0, 1e-6, 0.001, 0.1, 1, 5)) * self.rng.uniform(-1, 1)
            return repr(max(-most, min(most, value))).encode()
        if r < 0.97:
            return b"%.*f" % (self.rng.randrange(8), self.rng.uniform(-most, most))
        return self.rng.choice(EDGE_FLOATS + [b"180", b"-180", b"85.05112878", b"-85.05112878", b"85.05112879", b"181"])

    def draw_lon(self):
        return self.degrees(180)

    def draw_lat(self):
        return self.degrees(85.05112878)

    def draw_pole(self):
        """Longitude and latitude at the edges of the map."""
        return (self.rng.choice((b"180", b"-180", b"0", b"179.9999999")),
                self.rng.choice((b"85.05112878", b"-85.05112878", b"85", b"0", b"-84.99")))

    def length(self):
        r = self.rng.random()
        if r < 0.9:
            return b"%.*g" % (self.rng.randrange(1, 12), 10 ** self.rng.uniform(-2, 5))
        return self.rng.choice(EDGE_FLOATS + [b"0", b"-1", b"1e9", b"20000", b"5000"])

    def unit(self):
        return self.rng.choice((b"m", b"km", b"km", b"km", b"ft", b"MI", b"x" if self.rng.random() < 0.05 else b"Km"))

    def draw_radius(self):
        return (self.length(), self.unit())

    def draw_shape(self):
        if self.rng.random() < 0.5:
            return (b"BYRADIUS",) + self.draw_radius()
        return (b"BYBOX", self.length(), self.length(), self.unit())

    def draw_from(self):
        if self.rng.random() < 0.5:
            return (b"FROMMEMBER", self.draw_om())
        return (b"FROMLONLAT", self.draw_lon(), self.draw_lat())

    def draw_p(self):
        """A HyperLogLog."""
        return b"p%d" % self.rng.randrange(4) if self.rng.random() < 0.96 else self.draw_k()

    def draw_el(self):
        """An element to count."""
        return b"%d" % self.rng.randrange(100000) if self.rng.random() < 0.9 else self.draw_v()

    def draw_hyll(self):
        """A string that is, or nearly is, a HyperLogLog."""
        rng = self.rng
        head = b"HYLL" + rng.choice((b"\x01", b"\x01", b"\x01", b"\x00", b"\x02")) + b"\0\0\0"
        head += rng.choice((bytes(8), b"\0" * 7 + b"\x80", rng.randbytes(8)))
        if rng.random() < 0.1:
            return head[:4] + b"\0" + head[5:] + rng.choice((bytes(12288), rng.randbytes(12288), b"\xff" * 12288))
        runs, left = b"", 16384
        while left > 0:
            r = rng.random()
            if r < 0.4:
                n = min(left, rng.randrange(1, 65))
                runs += bytes([n - 1])
            elif r < 0.7 and left > 1000:
                n = min(left, rng.randrange(1, 16385))
                runs += bytes([0x40 | (n - 1) >> 8, (n - 1) & 255])
            elif r < 0.9 or left < 1000:
                n = min(left, rng.randrange(1, 5))
                runs += bytes([0x80 | rng.randrange(32) << 2 | n - 1])
            else:
                runs += bytes([0x7f & (0x40 | (left - 1) >> 8), (left - 1) & 255])
                break
            left -= n
        if rng.random() < 0.5:
            at = rng.randrange(len(runs))
            runs = runs[:at] + rng.choice((b"", b"\x00", b"\x80", bytes([rng.randrange(64)]))) + runs[at + 1:]
            runs += b"\x00" if runs and 0x40 <= runs[-1] < 0x80 else b""
        return (head + runs)[:rng.choice((None, None, None, None, 15, 16))]

    def draw_new(self):
        return b">"

    def draw_gfrom(self):
        return b"-" if self.rng.random() < 0.5 else self.rng.choice((b"", b"", b"(")) + self.draw_gid()

    def draw_gto(self):
        return b"+" if self.rng.random() < 0.5 else self.rng.choice((b"", b"", b"(")) + self.draw_gid()

    def draw_e(self):
        return self.rng.choice(EDGE_INTEGERS + EDGE_FLOATS)

    def mutate(self, command):
        """Damages a command a little: wrong arity, swapped words, odd values."""
        rng = self.rng
        command = list(command)
        how = rng.randrange(4)
        if how == 0 and len(command) > 1:
            del command[rng.randrange(1, len(command))]
        elif how == 1:
            command.insert(rng.randrange(1, len(command) + 1), rng.choice((b"x", b"NX", b"WITHSCORES", b"GET", b"1", b"LIMIT", b"COUNT")))
        elif how == 2 and len(command) > 2:
            i, j = rng.randrange(1, len(command)), rng.randrange(1, len(command))
            command[i], command[j] = command[j], command[i]
        elif len(command) > 1:
            edge = rng.choice(EDGE_INTEGERS + EDGE_FLOATS)
            # Commands with a count that may repeat members would loop for ever.
            if b"RANDMEMBER" in command[0].upper() or b"RANDFIELD" in command[0].upper():
                edge = rng.choice((b"0", b"abc", b"", b"3"))
            command[rng.randrange(1, len(command))] = edge
        return command
