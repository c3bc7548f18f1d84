"""EVAL commands about the libraries of scripts: cjson, cmsgpack, struct and bit.

Values are written as Lua literals, texts to decode come as arguments, so that the scripts with
arguments are few. What a script decodes it describes itself, in the order of its tables.
"""

import struct

# Describes any number of values; nil and the kinds of numbers are told apart. Keys that are tables
# come in the order of their addresses: `all` sorts them, `steady` tells whether there are any.
SHOW = """local function show(v)
  local t = type(v)
  if t == 'table' then
    local out = {}
    local sorted
    for k, x in pairs(v) do
      out[#out+1] = show(k) .. '=' .. show(x)
      sorted = sorted or type(k) == 'table'
    end
    if sorted then table.sort(out) end
    return '{' .. table.concat(out, ',') .. '}'
  elseif t == 'number' then return string.format('%.17g', v)
  elseif t == 'string' then return string.format('%q', v) end
  return tostring(v)
end
local function all(...)
  local out = {}
  for i = 1, select('#', ...) do out[i] = show((select(i, ...))) end
  return select('#', ...) .. ':' .. table.concat(out, ' ')
end
"""

STEADY = """local function steady(v)
  if type(v) ~= 'table' then return true end
  for k, x in pairs(v) do if type(k) == 'table' or not steady(x) then return false end end
  return true
end
local t = cmsgpack.unpack(ARGV[1])
if not steady(t) then return 'tables as keys' end
"""

NUMBERS = ["0", "1", "-1", "1.5", "-2.25", "0.1", "127", "128", "255", "256", "-32", "-33", "-128", "-129", "65535",
           "65536", "-32768", "-32769", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295",
           "4294967296", "9007199254740992", "9007199254740993", "9223372036854775807", "9223372036854775808",
           "-9223372036854775808", "18446744073709551615", "18446744073709551616", "1e15", "123456789012345", "1e14",
           "99999999999999", "1e100", "-1e300", "1e308", "5e-324", "1e-5", "0.0001", "3.4028234e38", "3.5e38", "1/3", "2/3",
           "(0/0)", "-(0/0)", "(1/0)", "(-1/0)", "(0*-1)", "1e-310", "0.30000000000000004", "16777217", "0x7fffffff"]
STRINGS = [b"", b"a", b"key", b"hello world", b"/slash\\back", b'"quoted"', b"\x00", b"nul\x00inside", b"\x7f\x1f\x1b",
           b"\b\t\n\x0b\x0c\r", "h\u00e9\u20ac\U0001f600".encode(), b"\xff\xfe\x80", b"\xed\xa0\x80", b"1", b"10", b"-0x10",
           b"1e3", b"x" * 31, b"y" * 32, b"z" * 255, b"w" * 256, b"v" * 65536, b"inf", b" 7 ", b"\xc3"]
SHORT = [text for text in STRINGS if len(text) < 100]
JSON = [b"null", b"true", b"false", b"[]", b"{}", b"0", b"-0", b"1.5e3", b'"\\ud83d\\ude00"', b'"\\u00e9\\u0000\\u20ac"',
        b'"\\ud83d"', b'"\\ude00"', b'"\\ud83d\\u0041"', b'"\\ud83dx"', b'"\\u12"', b'"\\uzzzz"', b'"\\x"', b'"\\', b'"abc', b"nan",
        b"-nan", b"NaN", b"inf", b"-Infinity", b"+1", b"+", b"-", b"0x1F", b"0x1.8p1", b"-0x10", b"0x", b"01", b"-01", b"1.", b".5",
        b"-.5", b"1e", b"1e400", b"-1e400", b"1e-400", b"nulll", b"nul", b"tru", b"True", b"falsey", b"i", b"N", b"t", b"[1,]", b"[,1]",
        b"[1 2]", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1 "b":2}', b"{1:2}", b"[1}", b'{"a":1]', b"]", b"}", b":", b",", b"",
        b" ", b"  1  ", b"1 2", b"[[[]]]", b'{"a":{"b":[{}]}}', b"1\x00junk", b"\x00", b"a\x00", b"\x001", b'"a\x00b"', b"[1\x00]", b"'a'",
        b"//", b"[1]x", b"\xef\xbb\xbf1", b'{"a":1,"a":2}', b"[null,1,null]", b'{"":""}', b"\t\n\r[\t1\n,\r2 ]", b"\x0b1", b'{"1":1,"x":null}',
        b"nan(1)", b"nan(0x1F)", b"-nan(010)", b"nan(08)", b"nan()", b"nan(99999999999999999999)", b"infinit", b"[+1,0x2,nan]", b"123456789012345678901234567890", b"0.1e-5", b"1E+2", b"\"\\/\\b\\f\\n\\r\\t\\\"\\\\\""]


def literal(text):
    """Bytes as a Lua string."""
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03d}" for b in text) + '"'


class Corpus:
    """Draws commands."""

    def __init__(self, rng):
        self.rng = rng
        # Values that the command may still hold.
        self.left = 0

    def text(self):
        rng = self.rng
        if rng.random() < 0.5:
            return rng.choice(SHORT if rng.random() < 0.95 else STRINGS)
        return bytes(rng.randrange(256) for _ in range(rng.randrange(12)))

    def number(self):
        rng = self.rng
        r = rng.random()
        if r < 0.6:
            return rng.choice(NUMBERS)
        if r < 0.8:
            return str(rng.randrange(-1 << rng.randrange(1, 64), 1 << rng.randrange(1, 64)))
        return repr(rng.uniform(-1, 1) * 10.0 ** rng.randrange(-20, 20))

    def key(self):
        rng = self.rng
        if rng.random() < 0.7:
            # Redis hashes all of a long string, Lua a part: the order of tables is another.
            return literal(self.text()[:31])
        return rng.choice(["1", "2", "3", "5", "11", "21", "0", "-1", "1.5", "4294967296", "1e300", "true", "false", "(1/0)"])

    def value(self, depth=0):
        """Any value as a Lua expression."""
        rng = self.rng
        r = rng.random()
        self.left -= 1
        if r < 0.2 or depth > 4 or self.left < 0:
            return self.number()
        if r < 0.4:
            return literal(self.text())
        if r < 0.48:
            return rng.choice(["true", "false", "nil", "cjson.null"] * 3 + ["tostring", "function() end"])
        if r < 0.5:
            return f"{{[{{}}]={self.value(depth + 1)}}}"
        items = []
        count = rng.choice((0, 1, 1, 2, 3, 5, 8, 17))
        if r < 0.7:
            items = [self.value(depth + 1) for _ in range(count)]
        else:
            for _ in range(count):
                key = self.key()
                items.append((self.value(depth + 1) if rng.random() < 0.2 else f"[{key}]={self.value(depth + 1)}"))
        return "{" + ",".join(items) + "}"

    def json(self, depth=0):
        """A text that is JSON, or nearly."""
        rng = self.rng
        r = rng.random()
        self.left -= 1
        if r < 0.4 or depth > 5 or self.left < 0:
            return rng.choice(JSON) if rng.random() < (0.5, 0.2, 0.1, 0.05, 0.05, 0.05, 0.05)[depth] else rng.choice(JSON[:10])
        space = rng.choice((b"", b"", b"", b" ", b"\n\t"))
        count = rng.choice((0, 1, 2, 3, 6, 12))
        if r < 0.75:
            return b"[" + (b"," + space).join(self.json(depth + 1) for _ in range(count)) + b"]"
        names = [b'"' + bytes(rng.choice(b"abcxyz019_") for _ in range(rng.randrange(1, 6))) + b'"' for _ in range(count)]
        return b"{" + (space + b",").join(n + b":" + space + self.json(depth + 1) for n in names) + b"}"

    def msgpack(self, depth=0):
        """Bytes in the MessagePack format, in any of a value's forms."""
        rng = self.rng
        pick = rng.randrange(24)
        if pick < 4:
            return bytes([rng.choice((0, 1, 0x7f, 0xe0, 0xff, 0xc0, 0xc2, 0xc3))])
        if pick < 12:
            kind, size = rng.choice(((0xcc, 1), (0xcd, 2), (0xce, 4), (0xcf, 8), (0xd0, 1), (0xd1, 2), (0xd2, 4), (0xd3, 8)))
            return bytes([kind]) + rng.choice((b"\xff" * size, b"\x80" + bytes(size - 1), b"\x7f" * size, rng.randbytes(size)))
        if pick == 12:
            return b"\xca" + struct.pack(">f", rng.choice((0.5, -1.25, float("inf"), float("nan"), 3e38, 1e-45)))
        if pick == 13:
            return b"\xcb" + struct.pack(">d", rng.choice((0.5, -1e300, float("-inf"), float("nan"), 5e-324, -0.0, 3.0)))
        if pick < 17:
            data = self.text()[:300]
            form = rng.randrange(4)
            if form == 0:
                return bytes([0xa0 | min(len(data), 31)]) + data[:31]
            size = (0, 1, 2, 4)[form]
            return bytes([0xd8 + form]) + min(len(data), 255).to_bytes(size, "big") + data[:255]
        if pick == 17:
            return bytes([rng.choice((0xc1, 0xc4, 0xc7, 0xd4, 0xd8, 0xc9))])
        self.left -= 1
        if depth > 4 or self.left < 0:
            return b"\x05"
        count = rng.choice((0, 1, 2, 3, 5, 16))
        is_map = pick > 20
        form = rng.randrange(3)
        size = (0, 2, 4)[form]
        head = bytes([(0x80 if is_map else 0x90) | min(count, 15)]) if not form else bytes([(0xdd if is_map else 0xdb) + form])
        count = min(count, 15) if not form else count
        return head + (count.to_bytes(size, "big") if form else b"") + b"".join(
            self.msgpack(depth + 1) for _ in range(count * (2 if is_map else 1)))

    def damaged(self, data):
        """The same with something wrong, now and then."""
        rng = self.rng
        if not data or rng.random() < 0.55:
            return data
        at = rng.randrange(len(data))
        return rng.choice((data[:at], data[at:], data[:at] + bytes([rng.randrange(256)]) + data[at + 1:], data + data[:at],
                           data[:at] + b"\x00" + data[at:], data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1:]))

    def format(self):
        """A format of `struct`."""
        rng = self.rng
        out = ""
        for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 6, 10))):
            out += rng.choice("bBhHlLTfdxsiIc<>! bBhHlLiIcs" if rng.random() < 0.97 else "zq?\\@kX\x00")
            if out[-1] in "iIc!" and rng.random() < 0.75:
                out += rng.choice(("0", "1", "2", "3", "4", "5", "7", "8", "8", "12", "16", "32", "33", "4", "2147483647", "2147483648",
                                   "99999999999") if rng.random() < 0.3 else ("0", "1", "2", "3", "4", "8", "16"))
        return out

    def argument(self):
        """An argument, of the wrong type now and then."""
        return self.rng.choice((self.number, self.number, lambda: literal(self.text()), lambda: "nil", lambda: "{}", lambda: "true",
                                lambda: "cjson.null", lambda: '"12"'))()

    def call(self, expression, function, arguments):
        """A script that calls a function in one of the ways that errors tell apart."""
        rng = self.rng
        r, comma = rng.random(), "," if arguments else ""
        if r < 0.55:
            return f"return {expression(f'{function}({arguments})')}"
        if r < 0.7:
            return f"return {expression(f'pcall({function}{comma}{arguments})')}"
        if r < 0.78:
            return f"local f = {function}\n\nlocal a = {{f({arguments})}}\nreturn {expression('unpack(a)')}"
        if r < 0.84:
            module, _, name = function.partition(".")
            return f"local r = {module}:{name}({arguments}) return {expression('r')}"
        if r < 0.9:
            resumed = expression(f"coroutine.resume(co{comma}{arguments})")
            return f"local co = coroutine.create(function(...) return {function}(...) end) return {resumed}"
        if r < 0.95:
            return f"local ok, e = pcall(function() return {function}({arguments}) end) return {expression('ok, e')}"
        return f"return {expression(f'xpcall(function() return {function}({arguments}) end, function(e) return 1, e end)')}"

    def command(self):
        """One EVAL."""
        rng = self.rng
        pick = rng.choices((self.encode, self.decode, self.settings, self.deep, self.pack, self.unpack, self.structs, self.bits, self.odd),
                           (20, 20, 8, 4, 14, 20, 20, 10, 2))[0]
        self.left = rng.choice((3, 10, 30))
        script, *argv = pick()
        return [b"EVAL", script.encode("latin-1"), b"0", *argv]

    @staticmethod
    def shown(expression):
        return f"all({expression})"

    @staticmethod
    def plain(expression):
        return f"{{{expression}}}"

    def encode(self):
        r = self.rng.random()
        if r < 0.8:
            return [self.call(self.plain, "cjson.encode", self.value())]
        if r < 0.9:
            return [SHOW + f"return all(cjson.decode(cjson.encode({self.value()})))"]
        return [self.call(self.plain, "cjson.encode", ",".join(self.value(4) for _ in range(self.rng.randrange(3))))]

    def decode(self):
        text = self.damaged(self.json())
        script = self.rng.choice((
            "return all(cjson.decode(ARGV[1]))", "return all(pcall(cjson.decode, ARGV[1]))", "return cjson.encode(cjson.decode(ARGV[1]))",
            "local t = cjson.decode(ARGV[1])\nreturn all(t)", "return all(cjson.decode(ARGV[1] .. ARGV[1]))",
            "local c = cjson.new() c.decode_invalid_numbers(false) return all(c.decode(ARGV[1]))",
            "local c = cjson.new() c.decode_max_depth(2) return all(c.decode(ARGV[1]))",
            "return cmsgpack.pack(cjson.decode(ARGV[1]))"))
        return [SHOW + script, text]

    def settings(self):
        rng = self.rng
        if rng.random() < 0.3:
            # An instance of its own, where any setting may stay.
            setting = rng.choice(("encode_sparse_array(true)", "encode_sparse_array(true,1,0)", "encode_sparse_array('on',3)",
                                  "encode_sparse_array(false,2,2)", "encode_number_precision(3)", "encode_number_precision(1)",
                                  "encode_invalid_numbers(true)", "encode_invalid_numbers('null')", "encode_invalid_numbers('on')",
                                  "encode_max_depth(2)", "encode_keep_buffer(false)"))
            return [f"local c = cjson.new() c.{setting} return c.encode({self.value()})"]
        name = rng.choice(("encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision",
                           "encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers"))
        choices = ("true", "false", "nil", "'on'", "'off'", "'null'", "''", "0", "1", "2", "14", "15", "-1", "1000", "2147483647",
                   "2147483648", "4294967297", "3.9", "'7'", "'x'", "{}", "(0/0)", "cjson.null", "'on\\000'")
        arguments = ",".join(rng.choice(choices) for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 4))))
        if rng.random() < 0.5:
            return [SHOW + f"local c = cjson.new() return all(pcall(c.{name}, {arguments or 'nil'}))"]
        return [SHOW + self.call(self.shown, "cjson." + name, arguments) if rng.random() < 0.2 else
                SHOW + f"local c = cjson.new() return all(c.{name}({arguments}))"]

    def deep(self):
        rng = self.rng
        near = rng.choice((1, 2, 14, 15, 16, 17, 18, 998, 999, 1000, 1001, 1500))
        far = rng.choice((2660, 2667, 3995, 3997, 3998, 3999, 4000, 4001, 7990, 7994, 7995, 7996, 7997, 7998, 7999, 8000, 8001))
        # Basalt gives back a few results less than Redis, which stops between 7997 and 7999.
        many = rng.choice((100, 3000, 7900, 7980, 8000, 8001, 9000))
        form = rng.choice(("{t}", "{a=t}", "{1,t}", "{t,x=1}", "{[2]=t}"))
        nest = f"local t = 1 for i = 1, {near} do t = {form} end "
        return [rng.choice((
            nest + "return cjson.encode(t)", nest + "return cmsgpack.pack(t)",
            nest.replace(str(near), str(far)) + "local c = cjson.new() c.encode_max_depth(100000) return #c.encode(t)",
            nest.replace(str(near), str(far)) + "return #cmsgpack.pack(t)",
            f"local t = cjson.decode(string.rep('[', {near}) .. string.rep(']', {near})) return cjson.encode(t)",
            f"local t = cjson.decode(string.rep('{{\"a\":', {near}) .. '1' .. string.rep('}}', {near})) return cjson.encode(t)",
            f"local c = cjson.new() c.decode_max_depth(100000) local t = c.decode(string.rep('[', {far}) .. string.rep(']', {far})) return type(t)",
            f"local c = cjson.new() c.decode_max_depth(100000) local t = c.decode(string.rep('{{\"a\":', {far}) .. '1' .. string.rep('}}', {far})) return type(t)",
            f"local t = cmsgpack.unpack(string.rep('\\145', {far}) .. '\\1') return type(t)",
            f"local t = cmsgpack.unpack(string.rep('\\129\\1', {far}) .. '\\1') return type(t)",
            f"local t = cmsgpack.unpack(string.rep('\\129', {near}) .. string.rep('\\1', {near + 1})) local n = 0 while type(t) == 'table' do t = next(t) n = n + 1 end return n",
            f"return select('#', cmsgpack.unpack(string.rep('\\1', {many})))",
            f"return select('#', cmsgpack.unpack_limit(string.rep('\\1', {many}), 100000, 1))",
            f"return select('#', struct.unpack(string.rep('b', {many}), string.rep('x', {many})))",
            "local t = {} t.t = t return cjson.encode(t)", "local t = {} t[1] = t return cmsgpack.pack(t)"))]

    def pack(self):
        rng = self.rng
        arguments = ",".join(self.value(rng.randrange(4)) for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3))))
        if rng.random() < 0.3:
            return [SHOW + f"return all(cmsgpack.unpack(cmsgpack.pack({arguments})))"]
        return [self.call(self.plain, "cmsgpack.pack", arguments)]

    def unpack(self):
        rng = self.rng
        data = self.damaged(b"".join(self.msgpack() for _ in range(rng.choice((1, 1, 1, 2, 3, 5)))))
        if rng.random() < 0.15:
            return [STEADY + rng.choice(("return cmsgpack.pack(t)", "return cjson.encode(t)")), data]
        if rng.random() < 0.1:
            data = rng.randbytes(rng.randrange(20))
        numbers = [str(rng.choice((0, 0, 1, 2, 3, -1, len(data), len(data) + 1, 1000, "nil", "'1'", "'x'", "{}", 1.9, -0.5, 1e300)))
                   for _ in range(2)]
        script = rng.choice((
            "all(cmsgpack.unpack(ARGV[1]))", "all(pcall(cmsgpack.unpack, ARGV[1]))", "all(cmsgpack.unpack_one(ARGV[1]))",
            "all(cmsgpack.unpack(ARGV[1], 1, 2))",
            "all(cmsgpack.unpack_one(ARGV[1], %s))" % numbers[0], "all(pcall(cmsgpack.unpack_one, ARGV[1], %s))" % numbers[0],
            "all(cmsgpack.unpack_limit(ARGV[1], %s))" % numbers[0], "all(cmsgpack.unpack_limit(ARGV[1], %s, %s))" % tuple(numbers),
            "all(cmsgpack.unpack(cjson.null))", "all(cmsgpack.unpack())", "all(cmsgpack.unpack_one())", "all(cmsgpack.unpack_limit())",
            "all(cmsgpack.unpack(12))"))
        return [SHOW + "return " + script, data]

    def structs(self):
        rng = self.rng
        form = self.format()
        text = literal(form.encode("latin-1"))
        r = rng.random()
        wanted = sum(c in "bBhHlLTfdsiIc" for c in form)
        arguments = "".join("," + (literal(self.text()) if c in "cs" else self.number()) if rng.random() < 0.96 else "," + self.argument()
                            for c in form if c in "bBhHlLTfdsiIc")
        if r < 0.45:
            return [self.call(self.plain, "struct.pack", text + arguments)]
        if r < 0.6:
            return [SHOW + f"return all(struct.unpack({text}, struct.pack({text}{arguments})))"]
        if r < 0.9:
            at = rng.choice(("", "", "", ",1", ",2", ",5", ",0", ",-1", ",100", ",nil", ",'x'", ",1.5", ",-9223372036854775808"))
            data = self.damaged(rng.choice((rng.randbytes(rng.randrange(wanted * 9 + 1)), bytes(rng.choice((0, 1, 2, 3, 65, 255)) for _ in range(40)))))
            return [SHOW + f"return all(struct.unpack({text}, ARGV[1]{at}))", data]
        return [SHOW + self.call(self.shown, "struct.size", text if rng.random() < 0.9 else self.argument())]

    def bits(self):
        rng = self.rng
        name = rng.choice(("tobit", "tohex", "bnot", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "bswap"))
        count = rng.choice((0, 1, 1, 2, 2, 2, 3, 4))
        arguments = [self.number() if rng.random() < 0.85 else self.argument() for _ in range(count)]
        if name == "tohex" and count > 1:
            # Redis 7.2.4 reads past its buffer for the smallest of all.
            arguments[1] = rng.choice(("0", "1", "2", "7", "8", "9", "-1", "-3", "-8", "-9", "nil", "'4'", "{}", "2147483647", "4.5", "5.5", "1e3"))
        return [SHOW + self.call(self.shown, "bit." + name, ",".join(arguments))]

    def odd(self):
        return [SHOW + self.rng.choice((
            "return {cjson._NAME, cjson._VERSION, tostring(cjson.null), type(cjson.null), cmsgpack._NAME, cmsgpack._VERSION, cmsgpack._COPYRIGHT, cmsgpack._DESCRIPTION}",
            "cjson.x = 1", "bit.band = nil", "struct.y = {}", "cmsgpack.pack = 1", "local c = cjson.new() c.x = 1 return {c.x, c._NAME, type(c.encode)}",
            "return {type(cjson.encode), type(bit.band), type(struct.pack), type(cmsgpack.unpack)}",
            "local n = {} for _, t in ipairs({cjson, bit, struct, cmsgpack}) do for k, v in pairs(t) do n[#n+1] = k .. type(v) end end table.sort(n) return n",
            "return cjson.null == cjson.decode('null')", "return {cjson.decode('[null]')[1], cjson.null}", "return cjson.encode(KEYS) .. cjson.encode(ARGV)",
            "return cjson.encode(redis.call('ping'))", "return cjson.nope", "return cjson.encode(setmetatable({1}, {__index = {2, 3}}))",
            "return cmsgpack.pack(setmetatable({}, {__index = {2, 3}}))", "return cjson.encode({[1]=1,[2]=2,[25]=3})", "return cjson.encode({[2147483648]=1})",
            "return cjson.encode({1,2,[4294967297]=3})", "return cjson.encode({[0.5]=1})", "return cjson.encode({[(1/0)]=1})"))]


def epoch(rng, count):
    """Items of one epoch; the scripts of one epoch are forgotten at its end."""
    corpus = Corpus(rng)
    return [corpus.command() for _ in range(count)] + [[b"SCRIPT", b"FLUSH"]]
