"""Scripts and functions: EVAL and its kin, SCRIPT, FUNCTION, FCALL.

A script is put together from a call, a way to treat its result and a way to return it, so that
every conversion between Lua and RESP meets every other. What depends on the order of a table
with a random seed has one element only.
"""

import hashlib

# Lua values, in both directions of the conversion.
VALUES = [
    "nil", "true", "false", "0", "1", "-1", "3.999", "-3.999", "0/0", "1/0", "-1/0", "2^53", "2^53+1", "2^63", "-2^63", "2^64", "1e300", "1e15",
    "123456789012345678", "0.1", "1e-7", "100", "1e100", "'a'", "''", "'3.5'", "'10'", "'\\0x'", "'a\\r\\nb'", "'\\255\\254'", "string.rep('x', 300)",
    "{}", "{1}", "{1,2,3}", "{1,nil,3}", "{nil,2}", "{1,2,nil}", "{1,{2,{3,{}}}}", "{'a',1.5,true,false}", "{a=1}", "{1,2,a=3}", "{[0]=1,[1]=2}",
    "{[1]=1,[2]=2,[4]=4}", "{ok='FINE'}", "{ok='two words'}", "{ok='a\\r\\nb'}", "{ok=''}", "{ok='nul\\0in'}", "{ok=1}", "{ok={}}", "{err='MY problem'}",
    "{err='nocode'}", "{err=''}", "{err='ERR x\\r\\ny'}", "{err='nul\\0in'}", "{err='-MY x'}", "{ok='a',err='B b'}", "{ok='a',1,2}",
    "{double=3.5}", "{double=10}", "{double='3'}", "{double=1/0}", "{double=-1/0}", "{double=1e300}", "{double=0.1}", "{double=2^60}", "{map={a=1}}", "{map={}}",
    "{map={[1]=2}}", "{map={a={map={b={1,2}}}}}", "{map='x'}", "{set={a=true}}", "{set={}}", "{set={[1]=1}}", "{set={x=false}}", "{set={a={1}}}",
    "{big_number='123456789012345678901234567890'}", "{big_number='abc'}", "{big_number='1\\r\\n2'}", "{big_number=12}", "{big_number=''}",
    "{verbatim_string={format='txt',string='hello'}}", "{verbatim_string={format='markdown',string='x'}}", "{verbatim_string={format='m',string=''}}",
    "{verbatim_string={string='x'}}", "{verbatim_string='x'}", "{verbatim_string={format=1,string='x'}}", "function() end", "coroutine.create(function() end)",
    "redis.error_reply('MY text')", "redis.error_reply('-MY text')", "redis.error_reply('one')", "redis.error_reply('')", "redis.error_reply('-')",
    "redis.error_reply('- x')", "redis.error_reply('a\\r\\nb')", "redis.error_reply('  two  spaces ')", "redis.error_reply(1)", "redis.error_reply()", "redis.error_reply('a','b')",
    "redis.error_reply({})", "redis.status_reply('OK')", "redis.status_reply('')", "redis.status_reply(1)", "redis.status_reply()", "redis.status_reply('a\\nb')",
    "redis.sha1hex('')", "redis.sha1hex('abc')", "redis.sha1hex(1)", "redis.sha1hex(1.5)", "redis.sha1hex()", "redis.sha1hex('a','b')", "redis.sha1hex(nil)", "redis.sha1hex({})",
    "redis.REDIS_VERSION_NUM >= 0x00070000", "type(redis.REDIS_VERSION)", "redis.LOG_DEBUG", "redis.LOG_WARNING", "redis.REPL_ALL", "redis.REPL_NONE", "redis.REPL_SLAVE", "redis.REPL_REPLICA",
    "redis.REPL_AOF", "#KEYS", "#ARGV", "KEYS", "ARGV", "KEYS[1]", "ARGV[1]", "{KEYS[2],ARGV[2]}", "tonumber(ARGV[1])", "type(ARGV[1])", "tostring(nil)", "tostring(1e15)",
    "tostring(123456789012)", "tostring(0.1)", "tostring(1e100)", "tostring(2^53)", "tostring(-0)", "1e15+0.5", "10/3", "7%3", "-7%3", "2^0.5", "'10'+5", "10 ..''",
    "0x10", "1 == 1.0", "'a' < 'b'", "#'abc'", "not nil", "nil and 1", "false or 'x'",
]
# Library calls whose results and texts are compared. `pcall()` of Redis 7.2.4 calls what is on the stack by chance.
LUA = [
    "string.format('%d %s %5.2f %x %q %c %i %u %o %e %g', 5, 'x', 1.234, 255, 'a\"b\\n', 65, 3, 7, 8, 1e10, 0.1)", "string.format('%d', '10')", "string.format('%d')", "string.format('%y', 1)",
    "string.format('%s', {})  and 1", "string.format('%5s|%-5s|%.2s', 'ab', 'ab', 'abc')", "string.format('%100s', 'x')", "string.format('%200d', 1)", "string.rep('ab', 3)", "string.rep('x', -1)",
    "string.rep()", "('x'):rep(3)", "('x'):upper()", "string.sub('hello', 2, -2)", "string.sub('hello', -100, 100)", "string.find('hello', 'l')", "{string.find('hello', '(l)(l)')}", "string.find('a.b', '.', 1, true)",
    "{string.match('key=val', '(%w+)=(%w+)')}", "string.gsub('hello', 'l', 'L')", "{string.gsub('hello', '(l)', '<%1>')}", "string.gsub('hello', 'l', {l='1'})", "string.gsub('hello', '.', function(c) return c:byte() end)",
    "string.gsub('x', '%', 'a')", "string.gsub('x', 'x', '%2')", "string.find('x', '[a')", "string.find('x', '%')", "string.match('x', '(')", "string.gsub('abc', '', '-')", "string.byte('abc', 1, -1)",
    "{string.byte('abc', 1, -1)}", "string.char(65, 66)", "string.char(256)", "string.char(-1)", "string.len('a\\0b')", "string.reverse('abc')", "string.lower('ABC')", "#string.dump(function() end) > 0", "string.gmatch('a b', '%a')()",
    "table.concat({1,2,3}, ',')", "table.concat({1,{},3})", "table.concat({1,2}, ',', 1, 5)", "table.concat({}, 'x')", "table.concat()", "table.insert({}, 1)", "table.insert({}, 1, 2, 3)", "table.insert({})", "table.insert(1, 2)",
    "table.remove({})", "table.remove({1,2,3})", "table.remove({1,2,3}, 1)", "table.maxn({1,2,[10]=1})", "table.getn({1,2})", "(function() local t={3,1,2} table.sort(t) return t end)()", "(function() local t={3,1,2} table.sort(t, function(a,b) return a>b end) return t end)()",
    "(function() local t={3,'a',2} table.sort(t) return t end)()", "(function() local t={1,2,3} table.sort(t, function(a,b) return true end) return #t end)()", "table.setn({}, 1)", "table.foreach", "unpack({1,2,3})", "{unpack({1,2,3}, 2)}", "{unpack({1,2,3}, 2, 3)}", "unpack({}, 1, 1e8)",
    "unpack()", "unpack({1}, 'a')", "select('#', 1, nil, nil)", "{select(2, 'a', 'b', 'c')}", "select(-1, 'a', 'b')", "select(0)", "select('x')", "tonumber('0x1F')", "tonumber('1e1')", "tonumber('  5  ')", "tonumber('5x')",
    "tonumber('z', 36)", "tonumber('8', 8)", "tonumber('1', 99)", "tonumber()", "tonumber({})", "tostring()", "type()", "type(nil)", "math.floor(-1.5)", "math.ceil(1.2)", "math.abs(-3)", "math.max(1,5,3)", "math.max()", "math.min(2,1)",
    "math.fmod(7,3)", "math.fmod(-7,3)", "math.mod(7,3)", "math.modf(1.5)", "math.sqrt(16)", "math.pow(2,10)", "math.huge", "math.pi", "math.log(1)", "math.log10(100)", "math.exp(0)", "math.ldexp(1,4)", "{math.frexp(8)}", "math.floor('x')", "math.floor()",
    "math.random(0)", "math.random(5, 1)", "math.random(1,2,3)", "(function() math.randomseed(42) return {math.random(1000), math.random(1000), tostring(math.random())} end)()",
    "(function() math.randomseed(-1) return math.random(1e6) end)()", "math.randomseed()", "(function() math.randomseed(ARGV[1] and #ARGV[1] or 7) local t={} for i=1,20 do t[i]=math.random(100) end return t end)()", "next({})", "next({a=1})",
    "next({}, 'x')", "rawget({a=1}, 'a')", "rawequal(1, 1)", "rawset({}, 'a', 1).a", "rawget(1, 2)", "rawset({}, nil, 1)", "getmetatable({})", "setmetatable({}, {__index=function(t,k) return k end}).foo", "setmetatable(1, {})", "setmetatable({})",
    "setmetatable({}, {__tostring=function() return 'T' end}) and 1", "tostring(setmetatable({}, {__tostring=function() return 'T' end}))", "(setmetatable({}, {__call=function(self, x) return x end}))(5)", "setmetatable({}, {__add=function() return 7 end}) + 1",
    "setmetatable({}, {__len=function() return 9 end}) and 1", "#setmetatable({}, {__len=function() return 9 end})", "setmetatable({}, {__eq=function() return true end}) == {}", "setmetatable({}, {__concat=function() return 'C' end}) .. 'x'",
    "{ipairs({1})}", "(function() local n=0 for k,v in pairs({a=1,b=2,3}) do n=n+1 end return n end)()", "(function() local n=0 for i,v in ipairs({1,2,nil,4}) do n=n+i end return n end)()", "ipairs()", "pairs(nil)",
    "pcall(error, 'x')", "{pcall(error, 'x')}", "{pcall(error, {err='MY e'})}", "{pcall(error)}", "{pcall(function() error('x') end)}", "{pcall(function() error('x', 0) end)}", "{pcall(function() error('x', 2) end)}", "{pcall(function() error({1,2}) end)}",
    "{pcall(function() local x = nil; return x.y end)}", "{pcall(function() return 1 + {} end)}", "{pcall(function() return 'a' + 1 end)}", "{pcall(function() return {} < {} end)}", "{pcall(function() return 1 < 'x' end)}", "{pcall(function() return #5 end)}",
    "{pcall(function() undefinedfn() end)}", "{pcall(function() return 'a' .. {} end)}", "{pcall(function() local t = {} ; t[nil] = 1 end)}", "{pcall(1)}", "{pcall(redis.call)}", "{pcall(redis.call, 'nosuch')}", "{pcall(redis.call, 'get')}",
    "{xpcall(function() error('x') end, function(e) return 'H:' .. e end)}", "{xpcall(function() return 1, 2 end, function(e) return e end)}", "xpcall(function() end)", "assert(false)", "assert(false, 'msg')", "assert(nil, {err='MY a'})", "assert(1, 2)", "assert()",
    "{assert(1, 2, 3)}", "loadstring('return 1 + 1')()", "{loadstring('return +')}", "{loadstring('x = ')}", "loadstring('return ...')(5)", "loadstring(string.dump(function() return 1 end))", "{loadstring('\\27Lua')}", "load(function() return nil end)()", "{load(function() return {} end)}",
    "load('x')", "loadstring()", "loadstring({})", "{loadstring('error(\"in chunk\")', 'name')}  and 1", "{pcall(loadstring('error(\"in chunk\")', '@name'))}", "{pcall(loadstring('error(\"in chunk\")', '=name'))}", "{pcall(loadstring('error(\"in chunk\")'))}",
    "coroutine.wrap(function() return 5 end)()", "{coroutine.resume(coroutine.create(function(a) local b = coroutine.yield(a) return b end), 1)}", "coroutine.status(coroutine.create(function() end))", "{coroutine.resume(coroutine.create(function() error('in co') end))}",
    "coroutine.wrap(function() error('in wrap') end)()", "coroutine.yield()", "coroutine.running()", "coroutine.wrap()", "coroutine.resume(1)", "{coroutine.resume(coroutine.create(function() return redis.call('ping') end))}", "(function() local co = coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) return {co(),co(),co()} end)()",
    "getfenv() == _G", "getfenv(1) == _G", "getfenv(print or 1) ~= nil", "(function() local f = setfenv(function() return x end, {x=7}) return f() end)()", "setfenv(1, {})", "setfenv(99, {})", "setfenv(string.len, {})", "getfenv(99)", "gcinfo() > 0", "collectgarbage('count') > 0", "collectgarbage('foo')", "collectgarbage()",
    "type(collectgarbage('step'))", "collectgarbage('setpause', 100)", "type(_G)", "_VERSION", "_G._G == _G", "type(os.clock())", "os.time", "os", "io", "debug", "package", "require", "dofile", "loadfile", "print", "module", "getmetatable('').__index == string", "getmetatable('x')", "x", "_G.x", "_G['a b']", "_G[1]", "_G[{}]",
    "redis.x", "redis.foo()", "string.foo", "math.foo", "bit.foo", "table.foo", "KEYS.x", "type(redis.call)", "type(cjson)", "type(bit)", "type(struct)", "type(cmsgpack)", "redis.breakpoint()", "redis.debug('x')", "redis.replicate_commands()", "redis.set_repl(redis.REPL_ALL)", "redis.set_repl()", "redis.set_repl(99)", "redis.set_repl('x')",
    "redis.setresp(3)", "redis.setresp(2)", "redis.setresp()", "redis.setresp(4)", "redis.setresp('3')", "redis.setresp(2,3)", "redis.log(redis.LOG_DEBUG, 'x')", "redis.log()", "redis.log(1)", "redis.log('x', 'y')", "redis.log(10, 'y')", "redis.log(0, {}, 1)", "redis.acl_check_cmd('get', 'x')", "redis.acl_check_cmd('nosuch')", "redis.acl_check_cmd()",
    "redis.register_function('x', function() end)",
]
# What a script raises and nobody catches: Redis 7.2.4 closes the connection on tables without a text.
RAISED = ["'x'", "'x', 0", "'x', 2", "1", "1.5", "true", "''", "{err='MY e'}", "{err='e'}", "{err='MY e', x=1}", "redis.error_reply('MY e')", "redis.error_reply('e')", "redis.error_reply()", "'a\r\nb'"]
# What a script tries to change, and must not. Redis 7.2.4 lets it change the metatable of strings.
FORBIDDEN = [
    "x = 1", "_G.x = 1", "redis.x = 1", "redis.call = nil", "string.x = 1", "table.insert(redis, 1)", "table.insert(_G, 1)", "rawset(_G, 'x', 1)", "rawset(redis, 'x', 1)", "rawset(string, 'x', 1)", "setmetatable(_G, {})", "setmetatable(redis, nil)", "setmetatable(string, {})", "getmetatable(_G).__index = 1",
    "KEYS = 1", "function f() end", "math.random = nil", "cjson.encode = nil", "bit.x = 1", "table.remove(redis)", "table.sort(redis)", "_G['a'] = 2", "setfenv(redis.call, {})", "coroutine.x = 1", "table.x = 1", "getmetatable(_G).__metatable = 1",
]
# Commands, with keys of known types.
CALLS = [
    "'get','s1'", "'set','s1','v'", "'set','s1',10", "'set','s1',1.5", "'set','s1',1e20", "'set','s1',0.1", "'set','s1',-0", "'set','s1',2^53", "'set','s1',1/0", "'set','s1',0/0", "'set','s1',true", "'set','s1',nil", "'set','s1',{}", "'get',{}", "'get'", "'get','a','b'", "", "nil", "1", "'nosuch'", "'nosuch','x'", "'NoSuch CMD'", "'client','nosuch'", "'client','id','x'",
    "'GET','s1'", "'incr','s1'", "'incr','l1'", "'append','s1','x'", "'strlen','s1'", "'del','s1'", "'exists','s1','l1'", "'type','l1'", "'rpush','l1','a','b'", "'lrange','l1',0,-1", "'lrange','none',0,-1", "'lpop','l1'", "'lpop','none'", "'lpop','none',2", "'llen','s1'", "'lpos','l1','a'", "'blpop','none',0", "'blpop','l1',0", "'brpoplpush','none','l1',0", "'hset','h1','f',1", "'hget','h1','f'", "'hget','h1','none'",
    "'hgetall','h1'", "'hgetall','none'", "'hmget','h1','f','none'", "'hincrbyfloat','h1','f',0.1", "'hrandfield','none'", "'sadd','t1','m'", "'smembers','t1'", "'smembers','none'", "'sismember','t1','m'", "'smismember','t1','m','x'", "'spop','none'", "'zadd','z1',1.5,'a'", "'zadd','z1','nan','a'", "'zscore','z1','a'", "'zscore','z1','none'", "'zmscore','z1','a','x'", "'zrange','z1',0,-1,'withscores'", "'zincrby','z1',0.1,'a'", "'zrank','z1','a','withscore'", "'zpopmin','none'", "'zadd','z1','incr',1,'b'", "'zadd','z1','nx','incr',1,'a'",
    "'ping'", "'ping','x'", "'echo','hi'", "'select',1", "'select',99", "'dbsize'", "'multi'", "'exec'", "'watch','x'", "'subscribe','x'", "'publish','c','m'", "'spublish','c','m'", "'eval','return 1',0", "'script','flush'", "'function','flush'", "'config','get','maxmemory'", "'config','set','maxmemory',0", "'client','setname','x'", "'client','getname'", "'client','reply','off'", "'debug','sleep',0", "'monitor'", "'hello',3", "'auth','x'", "'quit'", "'reset'", "'shutdown'", "'save'", "'bgsave'", "'keys','nomatch*'", "'scan',0,'match','nomatch*','count',10000", "'sort','l1','alpha'", "'object','encoding','s1'", "'object','help','x'", "'wait',0,0", "'xadd','x1','1-1','f','v'", "'xadd','x1','0-1','f','v'",
    "'xrange','x1','-','+'", "'xlen','x1'", "'xread','block',0,'streams','none','$'", "'xgroup','create','x1','g','$'", "'expire','s1',1000", "'persist','s1'", "'getdel','none'", "'mget','s1','none','l1'", "'mset','s1','a','s2'", "'setrange','s1',0,'x'", "'lcs','s1','s2'", "'command','count','x'", "'lolwut','version',99,'x'", "'latency','history','x'", "'memory','usage','none'", "'info','x'", "'slowlog','len','x'", "'geoadd','o1','1','2','m'", "'geopos','o1','none'", "'pfadd','p1','a'", "'pfcount','p1'", "'bitcount','s1'", "'getbit','s1',0", "'swapdb',0,0", "'copy','none','x'", "'dump','none'", "'unlink','none'", "'flushdb','foo'", "'cluster','info'", "'failover'", "'role','x'", "'replicaof','no','one'", "'wait',1,1",
]
FLAGS = ["", " flags=no-writes", " flags=allow-oom", " flags=allow-stale", " flags=no-cluster", " flags=allow-cross-slot-keys", " flags=no-writes,allow-stale", " flags=", " flags=bogus", " flags=no-writes,bogus", " flags=no-writes flags=allow-oom", " name=x", " foo", " flags", " FLAGS=no-writes", "  flags=no-writes ", " \"flags=no-writes\"", " 'x", " flags=,no-writes", " flags=no-writes,"]
ENGINES = ["#!lua", "#!lua", "#!lua", "#!lua", "#!lua", "#!LUA", "#!js", "#!", "#! lua", "#", "#!lua\t"]


class Scripts:
    """Draws commands."""

    def __init__(self, rng):
        self.rng = rng
        self.known = []

    def call(self):
        """A call of a command."""
        return f"redis.{self.rng.choice(('call', 'call', 'pcall'))}({self.rng.choice(CALLS)})"

    def expression(self):
        """Anything with a value."""
        r = self.rng.random()
        if r < 0.35:
            return self.call()
        if r < 0.65:
            return self.rng.choice(VALUES)
        if r < 0.95:
            return self.rng.choice(LUA)
        return "{" + self.expression() + "," + self.expression() + "}"

    def body(self):
        """A script without its first line."""
        rng = self.rng
        value = self.expression()
        r = rng.random()
        if r < 0.42:
            text = "return " + value
        elif r < 0.50:
            text = f"local r = {value}; if type(r) == 'table' and r['err'] then return {{r['err'], type(r['err'])}} end return r"
        elif r < 0.57:
            text = f"return {{pcall(function() return {value} end)}}"
        elif r < 0.61:
            text = f"local ok, e = pcall(function() return {value} end); return {{tostring(ok), type(e), type(e) == 'string' and e or 'other'}}"
        elif r < 0.65:
            text = f"return {{xpcall(function() return {value} end, function(e) return type(e) == 'table' and e.err or e end)}}"
        elif r < 0.70:
            text = f"error({rng.choice(RAISED)})"
        elif r < 0.74:
            text = f"local t = {value}\nlocal out = {{}}\nif type(t) == 'table' then for i, v in ipairs(t) do out[#out+1] = type(v) end else out[1] = type(t) end\nreturn out"
        elif r < 0.84:
            text = f"redis.setresp({rng.choice((2, 3, 3, 3))}) return {value}"
        elif r < 0.89:
            text = f"redis.setresp(3) local r = {value}\nlocal function show(v) if type(v) ~= 'table' then return type(v) .. ':' .. tostring(v) end " \
                   "for _, n in ipairs({'ok','err','double','big_number'}) do if v[n] ~= nil then return n .. '=' .. tostring(v[n]) end end " \
                   "for _, n in ipairs({'map','set'}) do if v[n] then return n .. '(' .. tostring(next(v[n])) .. ')' end end " \
                   "local o = {} for i, x in ipairs(v) do o[i] = show(x) end return '[' .. table.concat(o, ',') .. ']' end\n" \
                   "if type(r) == 'function' or type(r) == 'thread' then return 0 end return show(r)"
        elif r < 0.94:
            text = f"local ok, e = pcall(function() {rng.choice(FORBIDDEN)} end) return {{tostring(ok), type(e) == 'table' and e.err or tostring(e)}}"
        elif r < 0.96:
            text = rng.choice(FORBIDDEN)
        elif r < 0.98:
            text = rng.choice(("return", "", "return 1 2", "return (", "x =", "for", "return 'a", "return [[a", "goto x", "return 0x", "a.b:c = 1", "break", "return ...", "local a <const> = 1", "--", "--[[", "return 1 --[==[ x ]==]", "return '\\400'", "\27Lua", "local function f() return f() end", "return 'x\\\ny'", "repeat until true return 5", "if 1 then", "end", "return return"))
        else:
            text = f"local out = {{}}\nfor i = 1, 3 do\n  out[i] = {value}\nend\nreturn out"
        if rng.random() < 0.15:
            text = "\n" * rng.randrange(1, 4) + text
        return text

    def script(self):
        """A script."""
        text = self.body()
        if self.rng.random() < 0.2:
            text = self.rng.choice(ENGINES) + self.rng.choice(FLAGS) + self.rng.choice(("\n", "\n", "\n", "\n", "\n", "\r\n", "")) + text
        return text.encode("latin-1")

    def tail(self):
        """Number of keys, keys and arguments."""
        r = self.rng.random()
        if r < 0.6:
            return [b"2", b"s1", b"l1", b"arg", b"5"]
        if r < 0.9:
            return self.rng.choice(([b"0"], [b"1", b"s1"], [b"0", b"7"], [b"1", b"s1", b"\x00\xff\r\n", b""]))
        return self.rng.choice(([b"-1"], [b"3", b"a"], [b"abc"], [b"1"], [b"9223372036854775807", b"a"], [b"1.0", b"a"], [b""], [b" 1", b"a"], []))

    def data(self):
        """Something for scripts to find."""
        return self.rng.choice(([b"SET", b"s1", b"val"], [b"SET", b"s1", b"10"], [b"RPUSH", b"l1", b"a"], [b"DEL", b"l1"], [b"DEL", b"s1", b"l1", b"h1", b"t1", b"z1", b"x1"],
                                [b"HSET", b"h1", b"f", b"1"], [b"SADD", b"t1", b"m"], [b"ZADD", b"z1", b"1.5", b"a"], [b"DEL", b"h1"], [b"DEL", b"x1"]))

    def command(self):
        """One command of any kind."""
        rng = self.rng
        r = rng.random()
        if r < 0.10:
            return self.data()
        if r < 0.66:
            text = self.script()
            self.known.append(text)
            name = rng.choice((b"EVAL",) * 6 + (b"EVAL_RO", b"eval"))
            return [name, text] + self.tail()
        if r < 0.74 and self.known:
            sha = hashlib.sha1(rng.choice(self.known[-20:])).hexdigest().encode()
            sha = rng.choice((sha, sha, sha, sha.upper(), sha[:39], b"x" * 40, b""))
            return [rng.choice((b"EVALSHA", b"EVALSHA", b"EVALSHA_RO")), sha] + self.tail()
        if r < 0.80:
            sha = hashlib.sha1(rng.choice(self.known[-20:] or [b"x"])).hexdigest().encode()
            text = self.script()
            return rng.choice(([b"SCRIPT", b"LOAD", text], [b"SCRIPT", b"EXISTS", sha, b"zz"], [b"SCRIPT", b"EXISTS"], [b"SCRIPT", b"FLUSH", b"x"], [b"SCRIPT", b"FLUSH", b"SYNC"],
                               [b"SCRIPT", b"FLUSH", b"ASYNC", b"x"], [b"SCRIPT", b"KILL"], [b"SCRIPT", b"FOO"], [b"SCRIPT"], [b"SCRIPT", b"EXISTS", sha.upper()],
                               [b"SCRIPT", b"LOAD"], [b"SCRIPT", b"LOAD", b"return", b"x"]))
        if r < 0.90:
            return [rng.choice((b"FCALL", b"FCALL", b"FCALL", b"FCALL_RO")), rng.choice((b"f1", b"f2", b"F1", b"g1", b"nosuch", b"", b"ro"))] + self.tail()
        return self.function()

    def library(self):
        """Code of a library."""
        rng = self.rng
        name = rng.choice(("lib1", "lib1", "lib2", "Lib3", "", "a-b"))
        first = rng.choice([f"#!lua name={name}\n"] * 12 + [f"#!lua name={name}", f"#!js name={name}\n", "#!lua\n", f"#!lua name={name} name=x\n", f"#!lua name={name} foo=1\n", f"#!LUA NAME={name}\n", "", f"#!lua name=\"{name}\"\n", f"#!lua name={name} x\n"])
        function = rng.choice(("f1", "f2", "f1", "g1", "bad-name", ""))
        value = self.expression()
        # Redis puts a table of its own before the globals of library functions (docs/compatibility.md).
        while "getfenv" in value and "_G" in value:
            value = self.expression()
        callback = f"function(keys, args) return {value} end"
        text = rng.choice([
            f"redis.register_function('{function}', {callback})",
            f"redis.register_function('{function}', {callback})",
            f"redis.register_function('{function}', {callback})",
            f"redis.register_function('{function}', function(keys, args) return {{keys, args, #keys}} end)",
            f"redis.register_function{{function_name='{function}', callback={callback}}}",
            f"redis.register_function{{function_name='{function}', callback={callback}, flags={{'no-writes'}}, description='says'}}",
            f"redis.register_function{{function_name='ro', callback={callback}, flags={{'no-writes'}}}}",
            f"redis.register_function{{function_name='{function}', callback={callback}, flags={{'allow-oom','allow-stale'}}}}",
            f"redis.register_function{{function_name='{function}', callback={callback}, flags={{'bogus'}}}}",
            f"redis.register_function{{function_name='{function}', callback={callback}, flags='no-writes'}}",
            f"redis.register_function{{function_name='{function}', callback={callback}, foo=1}}",
            f"redis.register_function{{function_name='{function}'}}", f"redis.register_function{{callback={callback}}}", "redis.register_function()", "redis.register_function(1)", "redis.register_function('f1')", "redis.register_function('f1', 1)",
            "redis.register_function(function() end, 'f1')", "redis.register_function('f1', function() end, {}, 1)", "redis.register_function{function_name={}, callback=function() end}", "redis.register_function{function_name='f1', callback=1}", "redis.register_function{[1]='f1', callback=function() end}",
            "redis.register_function{function_name='f1', callback=function() end, description={}}", "redis.register_function{1}",
            "redis.register_function('f1', function() return 1 end)\nredis.register_function('f2', function() return 2 end)",
            # Redis 7.2.4 ends at two names that differ in case only, so those are left out.
            "redis.register_function('f1', function() return 1 end)\nredis.register_function('f1', function() return 2 end)",
            "local n = 0\nredis.register_function('f1', function() n = n + 1 return n end)", "redis.register_function('f1', function() x = 1 end)", "redis.register_function('f1', function() return redis.register_function('a', function() end) end)",
            "return 1", "", "redis.call('ping')", "redis.setresp(3)", "x = 1", "return x", "error('load')", "redis.log(redis.LOG_DEBUG, 'x') redis.register_function('f1', function() return redis.LOG_DEBUG end)", "return redis.REDIS_VERSION_NUM", "syntax error here",
            "redis.register_function('f1', function() return type(_G) end)", "redis.register_function('f1', function() return KEYS end)", "redis.register_function('f1', redis.call)", "redis.register_function('f1', string.upper)", "local s = string.upper('x') redis.register_function('f1', function() return s end)",
            "math.random()", "table.insert({}, 1)", "pcall(error, 'x') redis.register_function('f1', function() return 3 end)", "redis.register_function('f1', function(...) return select('#', ...) end)",
        ])
        return (first + text).encode("latin-1")

    def function(self):
        """FUNCTION."""
        rng = self.rng
        r = rng.random()
        if r < 0.55:
            return [b"FUNCTION", b"LOAD"] + rng.choice(([], [b"REPLACE"], [b"REPLACE"], [b"replace"], [b"foo"])) + [self.library()]
        if r < 0.70:
            return [b"FUNCTION", b"LIST"] + rng.choice(([], [b"WITHCODE"], [b"LIBRARYNAME", b"lib*"], [b"LIBRARYNAME", b"LIB1", b"WITHCODE"], [b"LIBRARYNAME"], [b"foo"], [b"WITHCODE", b"WITHCODE"], [b"LIBRARYNAME", b"a", b"LIBRARYNAME", b"b"]))
        if r < 0.80:
            return [b"FUNCTION", b"DELETE"] + rng.choice(([b"lib1"], [b"lib2"], [b"LIB1"], [b"nosuch"], [], [b"a", b"b"]))
        if r < 0.86:
            return [b"@FDUMP", rng.choice((b"FLUSH", b"REPLACE", b"APPEND", b"flush", b"foo"))]
        return rng.choice(([b"FUNCTION", b"STATS"], [b"FUNCTION", b"FLUSH"], [b"FUNCTION", b"FLUSH", b"ASYNC"], [b"FUNCTION", b"FLUSH", b"foo"], [b"FUNCTION", b"FLUSH", b"SYNC", b"x"], [b"FUNCTION", b"KILL"], [b"FUNCTION", b"FOO"], [b"FUNCTION"],
                           [b"FUNCTION", b"RESTORE", b"x"], [b"FUNCTION", b"RESTORE", b""], [b"FUNCTION", b"RESTORE", b"abcdefghijkl", b"FLUSH"], [b"FUNCTION", b"RESTORE"], [b"FUNCTION", b"LOAD"], [b"FUNCTION", b"DUMP", b"x"], [b"FUNCTION", b"STATS", b"x"]))


def epoch(rng, count):
    """Items of one epoch; scripts and functions are forgotten at its end, as is the database that
    a script selected."""
    scripts = Scripts(rng)
    items = [scripts.command() for _ in range(count)]
    return [[b"FUNCTION", b"FLUSH"]] + items + [[b"SCRIPT", b"FLUSH"], [b"FUNCTION", b"FLUSH"], [b"SELECT", b"0"]]
