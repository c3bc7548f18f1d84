"""The values that are put in the place of an argument, and the calls that come of a template."""

import re
import shlex

I32, U32, I64, U64 = 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1


def _beside(*numbers):
    return [str(n + d) for n in numbers for d in (-1, 0, 1)]


# Bounds of the integer types and one beside, seconds that overflow as milliseconds or
# microseconds, numbers that are none or are written in ways only some parsers take.
EDGES = [value.encode("latin-1") for value in [
    "0", "-0", "1", "-1", "2", "-2", "16", "63", "64", "65", "100", "128", "1048000", "8384000",
    *_beside(I32, -I32 - 1, U32, I64, -I64 - 1, U64),
    *_beside(I64 // 1000, -(I64 // 1000), I64 // 1000000, I64 // 2, -(I64 // 2), 2**53),
    "1e400", "-1e400", "1e308", "1.7976931348623157e308", "1e-400", "4.9e-324", "1e3", "1e", "nan", "-nan", "NaN", "inf", "-inf", "+inf",
    "infinity", "", " ", " 1", "1 ", "0x10", "0x", "-0x1p4", "+1", "+", "-", "1.0", "1.", ".5", ".", "01", "-01", "00", "1_0", "1,5",
    "1b", "1kb", "1G", "1tb", "20000000000gb", "50%", "1\x00", "1\n", "\r\n", "\xff", "9" * 40, "-" + "9" * 40, "9" * 400, "0." + "1" * 400, "0" * 400 + "1", "1" + "0" * 400 + ".0", "x" * 300,
]]
# Beside keys of other types.
FEW = [b"0", b"-1", b"9223372036854775807", b"nope"]

TYPES = ["str", "int", "list", "hash", "set", "zset", "stream", "none"]
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|inf)")
INSIDE = re.compile(r"[(\[#ui]?-?\d+(\.\d+)?b?|\d+-(\d+|\*)")
PART = re.compile(r"\d+(\.\d+)?")


class Template:
    """A line of templates.txt."""

    def __init__(self, line, containers):
        marks, self.text = re.fullmatch(r"((?:[!~M] )*)(.*)", line).groups()
        self.solo, self.kind_only, self.multi = "!" in marks, "~" in marks, "M" in marks
        self.words = shlex.split(self.text)
        two = len(self.words) > 1 and self.words[0].lower() in containers
        self.name = "|".join(word.lower() for word in self.words[:1 + two])
        self.first = 1 + two
        # What follows each call.
        self.after = []
        # Positions of keys, which are swept over types instead.
        self.keys = [i for i, word in enumerate(self.words) if i and re.fullmatch("k:[a-z]+", word)]

    def base(self):
        """The call as it stands."""
        return [(word[1:] if word.startswith("=") and len(word) > 1 else word).encode("latin-1") for word in self.words]

    def cases(self, random, pairs):
        """Calls; the first is the base, the last have edge values at two or more positions."""
        base = self.base()
        yield base
        free = [i for i, word in enumerate(self.words) if i and i not in self.keys and not (word.startswith("=") and len(word) > 1)]
        for at in free:
            word = self.words[at]
            number = NUMBER.fullmatch(word)
            for value in EDGES:
                yield base[:at] + [value] + base[at + 1:]
            if not number and INSIDE.fullmatch(word):
                for part in PART.finditer(word):
                    before, after = word[:part.start()].encode(), word[part.end():].encode()
                    for value in EDGES:
                        yield base[:at] + [before + value + after] + base[at + 1:]
        numbers = [at for at in free if NUMBER.fullmatch(self.words[at])]
        for at in self.keys:
            for kind in TYPES:
                key = f"k:{kind}"
                if key == self.words[at]:
                    continue
                other = base[:at] + [key.encode()] + base[at + 1:]
                yield other
                for place in numbers:
                    for value in FEW:
                        yield other[:place] + [value] + other[place + 1:]
        if len(base) > self.first and self.words[-1] != "=WRITE":
            yield base[:-1]
        yield base + [b"0"]
        yield base + [b"nan", b"-1"]
        for _ in range(pairs if len(numbers) > 1 else 0):
            call = list(base)
            for at in random.sample(numbers, random.randint(2, len(numbers))):
                call[at] = random.choice(EDGES)
            yield call


def directives(values, known, containers):
    """CONFIG SET of every directive of `values`, each put back to its value behind the call; the peer knows `known`."""
    for name, value in sorted(values.items()):
        template = Template(f"CONFIG SET ={name} 1", containers)
        template.solo = name not in known
        template.after = [[b"CONFIG", b"GET", name.encode()], [b"CONFIG", b"SET", name.encode(), value]]
        yield template


def templates(path, containers):
    """All lines."""
    with open(path, encoding="utf-8") as file:
        return [Template(line.strip(), containers) for line in file if line.strip() and not line.startswith("# ")]
