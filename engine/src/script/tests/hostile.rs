//! Scripts that attack: the holes that Redis had, one test for each, and what could take the
//! process down.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::{ev, eval};
use crate::testing::Client;

/// The server is well: scripts run, and strings still have their methods.
fn is_well(c: &mut Client) {
    assert_eq!(
        eval(
            c,
            "return ('ok'):upper() .. #redis.call('set', 'k', 'v').ok",
            &[]
        ),
        "$3\r\nOK2\r\n"
    );
}

#[test]
fn unpack_takes_no_range_that_does_not_fit() {
    let mut c = Client::new();
    for range in [
        "-2, 2147483647",
        "-2147483648, 2147483647",
        "0, 2147483647",
        "1, 2147483648",
        "-2147483648, -1",
        "1, 8000",
        "-1e300, 1e300",
        "1, 1/0",
        "-1/0, 1",
        "-1/0, 1/0",
        "1, 4294967297",
        "-4294967296, 0",
        "2147483647, 2147483647",
        "-9223372036854775808, 9223372036854775807",
        "1, 2^53",
        "1, 2^63",
        "1, 2^64",
    ] {
        let reply = eval(&mut c, &format!("return unpack({{1,2,3}}, {range})"), &[]);
        assert!(
            reply.contains("too many results to unpack"),
            "{range}: {reply}"
        );
    }
    for range in ["2, 1", "5, -5", "1/0, 1", "3, 2", "2147483647, 0"] {
        let reply = eval(
            &mut c,
            &format!("return select('#', unpack({{1,2,3}}, {range}))"),
            &[],
        );
        assert_eq!(reply, ":0\r\n", "{range}");
    }
    assert_eq!(
        eval(&mut c, "return select('#', unpack({}, 1, 7000))", &[]),
        ":7000\r\n"
    );
    // Not a number compares with nothing: it must neither pass a check nor reach Lua.
    let reply = eval(&mut c, "return select('#', unpack({1}, 0/0, 0/0))", &[]);
    assert!(reply == ":0\r\n" || reply.contains("too many"), "{reply}");
    is_well(&mut c);
}

#[test]
fn nothing_is_left_behind_for_the_next_script() {
    let mut c = Client::new();
    for attack in [
        "getmetatable('').__index = function() return 'mine' end",
        "getmetatable('').__index.upper = nil",
        "getmetatable('').__add = function() return 'mine' end",
        "rawset(getmetatable(''), '__index', nil)",
        "setmetatable(getmetatable('').__index, nil)",
        "getmetatable('').__index = nil",
        "string.upper = nil",
        "rawset(string, 'upper', nil)",
        "redis.call = function() end",
        "_G.redis = nil",
        "_G._G = {}",
        "getfenv(0).redis = nil",
        "getfenv(1).redis = nil",
        "setfenv(0, {})",
        "debug.setmetatable('', nil)",
        "getmetatable(nil).x = 1",
        "getmetatable(1).x = 1",
        "getmetatable(true).x = 1",
        "getmetatable(function() end).x = 1",
        "getmetatable(coroutine.create(function() end)).x = 1",
        "getmetatable(_G).__index = {}",
        "getmetatable(_G).__newindex = nil",
        "setmetatable(_G, {__index = function() return 1 end})",
        "table.insert(string, 1)",
        "table.sort(_G)",
        "table.remove(redis, 1)",
        "for k in pairs(_G) do _G[k] = nil end",
        "for k in pairs(string) do rawset(string, k, nil) end",
        "getfenv(string.gsub).x = 1",
        "setfenv(string.gsub, {})",
        "getfenv(pcall).x = 1",
        "setfenv(2, {})",
        "local f = getfenv; f(3).redis = nil",
        "cjson.encode = nil",
        "bit.band = nil",
        "cmsgpack.pack = nil",
        "struct.pack = nil",
        "math.random = nil",
        "coroutine.wrap = nil",
        "local m = getmetatable(_G); for k in pairs(m) do m[k] = nil end",
        "local i = getmetatable('').__index; i.upper = nil",
    ] {
        let reply = eval(&mut c, attack, &[]);
        assert!(
            reply.starts_with("-ERR ") || reply == "$-1\r\n",
            "{attack}: {reply}"
        );
        // What an attack leaves would be seen by the next script, also inside pcall.
        eval(&mut c, &format!("pcall(function() {attack} end)"), &[]);
        is_well(&mut c);
    }
    assert_eq!(
        eval(
            &mut c,
            "return {type(cjson.encode), type(bit.band), type(cmsgpack.pack), type(struct.pack), type(math.random), type(coroutine.wrap), type(_G.redis)}",
            &[]
        ),
        "*7\r\n".to_owned() + &"$8\r\nfunction\r\n".repeat(6) + "$5\r\ntable\r\n"
    );
}

#[test]
fn there_is_no_way_out() {
    for name in [
        "package", "io", "debug", "require", "module", "dofile", "loadfile", "newproxy", "load_",
        "ffi", "jit",
    ] {
        let reply = ev(&format!("return {name}"));
        assert!(
            reply.contains("nonexistent global variable"),
            "{name}: {reply}"
        );
    }
    for field in ["execute", "getenv", "remove", "rename", "tmpname", "exit"] {
        let reply = ev(&format!("return os.{field}('id')"));
        assert!(reply.starts_with("-ERR "), "{field}: {reply}");
    }
    // Bytecode, whole or cut, from a script or as one.
    let mut c = Client::new();
    for script in [
        "return loadstring(string.dump(function() return 1 end))()",
        "return loadstring('\\27Lua\\81\\0\\1\\4\\8\\4\\8\\0')()",
        "return load(function() return string.dump(function() end) end)()",
        "return loadstring('\\27')()",
        "local n = 0; return load(function() n = n + 1; return n == 1 and '\\27' or n == 2 and 'Lua' or nil end)()",
        "\u{1b}Lua",
    ] {
        let reply = eval(&mut c, script, &[]);
        assert!(reply.starts_with("-ERR "), "{script}: {reply}");
    }
    is_well(&mut c);
}

#[test]
fn long_brackets_and_deep_syntax_are_errors() {
    let mut c = Client::new();
    let level = |n: usize| format!("return [{}[x", "=".repeat(n));
    for script in [
        level(10_000_000),
        format!("--[{}[", "=".repeat(1_000_000)),
        format!("return [{0}[x]{0}", "=".repeat(65_536)),
        format!("return {}", "{".repeat(100_000)),
        format!("return {}1", "(".repeat(100_000)),
        format!("return {}1", "not ".repeat(100_000)),
        "do ".repeat(100_000),
        "local function f() ".repeat(10_000),
        format!("return 1{}", "..1".repeat(100_000)),
        format!("local a{}", ",a".repeat(100_000)),
        format!("return {{{}}}", "1,".repeat(3_000_000) + "x"),
    ] {
        let reply = eval(&mut c, &script, &[]);
        assert!(
            reply.starts_with('-') || reply.starts_with("$-1"),
            "{}: {}",
            &script[..script.len().min(40)],
            &reply[..reply.len().min(200)]
        );
    }
    assert_eq!(
        eval(
            &mut c,
            &format!("return [{0}[x]{0}]", "=".repeat(10_000)),
            &[]
        ),
        "$1\r\nx\r\n"
    );
    is_well(&mut c);
}

#[test]
fn replies_keep_their_frame() {
    let mut c = Client::new();
    let nasty = [
        "a\\r\\n+OK\\r\\n",
        "\\0",
        "\\r",
        "\\n",
        "x\\0\\r\\n$3\\r\\nabc",
        "\\r\\n\\r\\n",
        "-ERR",
        "\\n*1\\r\\n",
    ];
    for text in nasty {
        for value in [
            format!("{{err='{text}'}}"),
            format!("{{ok='{text}'}}"),
            format!("redis.error_reply('{text}')"),
            format!("redis.status_reply('{text}')"),
            format!("redis.error_reply('MY {text}')"),
            format!("error('{text}')"),
            format!("error({{err='{text}'}})"),
            format!("redis.call('{text}')"),
            format!("redis.call('get', '{text}', 'x')"),
            format!("loadstring('{text}')()"),
            format!("{{big_number='{text}'}}"),
        ] {
            let reply = eval(&mut c, &format!("return {value}"), &[]);
            let body = reply
                .strip_suffix("\r\n")
                .unwrap_or_else(|| panic!("{value}: {reply:?}"));
            let body = match body.strip_prefix('$') {
                Some(bulk) => bulk.split_once("\r\n").map_or("", |(_, text)| text),
                None => {
                    assert!(!body.contains(['\r', '\n']), "{value}: {reply:?}");
                    continue;
                }
            };
            assert!(
                !reply.starts_with('*') && body.len() + 6 <= reply.len() + 2,
                "{value}: {reply:?}"
            );
        }
    }
    is_well(&mut c);
}

#[test]
fn memory_has_an_end() {
    let mut c = Client::new();
    c.engine()
        .scripts
        .memory_limit
        .store(32 << 20, Ordering::Relaxed);
    for bomb in [
        "local t = {} while true do t[#t+1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} while true do t[#t+1] = string.rep('x', 1000) .. #t end",
        "local t = {} pcall(function() while true do t[#t+1] = {} end end) while true do t[#t+1] = {} end",
        "return ('x'):rep(1e6):gsub('x', ('y'):rep(1000))",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
        "return table.concat({('x'):rep(2e7), ('y'):rep(2e7)})",
    ] {
        let reply = eval(&mut c, bomb, &[]);
        assert!(reply.starts_with('-'), "{bomb}: {reply:.100}");
        is_well(&mut c);
    }
}

/// CVE-2025-49844: the name of a chunk was freed while the chunk was parsed.
#[test]
fn chunks_are_parsed_beside_an_eager_collector() {
    let mut c = Client::new();
    let script = "collectgarbage('setpause', 1) local n = 0
        for i = 1, 30000 do
            local f = loadstring('local a = \"' .. i .. '\" return #a' .. (' '):rep(i % 40), '@' .. ('n'):rep(i % 70) .. i)
            n = n + f()
            if i % 7 == 0 then collectgarbage('step', 1000) end
            if i % 1000 == 0 then collectgarbage() end
        end return n";
    assert_eq!(eval(&mut c, script, &[]), ":138894\r\n");
    for n in 0..3000 {
        let script = format!(
            "collectgarbage('step', 100) return {n} -- {}",
            "x".repeat(n % 99)
        );
        assert_eq!(eval(&mut c, &script, &[]), format!(":{n}\r\n"));
    }
    is_well(&mut c);
}

/// CVE-2024-46981: finalisers ran when the state was already half gone.
#[test]
fn scripts_have_no_finalisers() {
    let mut c = Client::new();
    let script = "local ran = false
        for i = 1, 100 do setmetatable({}, {__gc = function() ran = true redis.call('set', 'gc', 1) end}) end
        collectgarbage() collectgarbage() return {tostring(ran), tostring(rawget(_G, 'newproxy'))}";
    assert_eq!(
        eval(&mut c, script, &[]),
        "*2\r\n$5\r\nfalse\r\n$3\r\nnil\r\n"
    );
    assert_eq!(c.run("SCRIPT FLUSH"), "+OK\r\n");
    assert_eq!(c.run("EXISTS gc"), ":0\r\n");
    is_well(&mut c);
}

/// CVE-2025-67733: what a script puts into an error or a status must not end its line.
#[test]
fn no_text_leaves_its_line() {
    let mut c = Client::new();
    let mut state = 20_261_122_u64;
    for _ in 0..2000 {
        let text: Vec<u8> = (0..12)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let nasty = b"\r\n\0+-$*:_#,(=%~>|!0123";
                nasty[(state >> 40) as usize % nasty.len()]
            })
            .collect();
        for script in [
            &b"return {err = ARGV[1]}"[..],
            b"return {ok = ARGV[1]}",
            b"return redis.error_reply(ARGV[1])",
            b"return redis.status_reply(ARGV[1])",
            b"error(ARGV[1])",
            b"return redis.call(ARGV[1])",
        ] {
            let reply = c.run_words(&[b"EVAL", script, b"0", &text]);
            let body = reply.strip_suffix(b"\r\n").expect("an end");
            assert!(
                matches!(reply[0], b'+' | b'-') && !body.contains(&b'\r') && !body.contains(&b'\n'),
                "{text:?}: {reply:?}"
            );
        }
    }
    is_well(&mut c);
}

/// The host can hold a few thousand values of Lua at a time; nothing may need one for each of
/// what a script can have many of.
#[test]
fn there_may_be_many_of_everything() {
    let mut c = Client::new();
    for n in 0..9000 {
        assert_eq!(
            eval(&mut c, &format!("return {n}"), &[]),
            format!(":{n}\r\n")
        );
    }
    assert_eq!(c.engine().scripts.cached().0, 9000);
    let sha = crate::script::redis::sha1_hex(b"return 0");
    assert_eq!(c.run_words(&[b"EVALSHA", &sha, b"0"]), b":0\r\n");

    let mut library = b"#!lua name=many\n".to_vec();
    library.extend_from_slice(
        b"for i = 1, 9000 do redis.register_function('f' .. i, function() return i end) end",
    );
    // The library sees no `tostring`, but needs none either.
    assert_eq!(
        c.run_words(&[b"FUNCTION", b"LOAD", &library]),
        b"$4\r\nmany\r\n"
    );
    assert_eq!(c.run("FCALL f8999 0"), ":8999\r\n");

    let script = "local t = {} for i = 1, 9000 do t['k' .. i] = 'v' .. i end return {map = t}";
    let reply = eval(&mut c, script, &[]);
    assert!(reply.starts_with("*18000\r\n") && reply.contains("$5\r\nk9000\r\n$5\r\nv9000\r\n"));
    let script = "local t = {} for i = 1, 9000 do t['k' .. i] = true end return {set = t}";
    assert!(eval(&mut c, script, &[]).starts_with("*9000\r\n"));

    let script = "for i = 1, 9000 do redis.call('hset', KEYS[1], 'f' .. i, i) end
        redis.setresp(3) return redis.call('hgetall', KEYS[1])";
    assert!(eval(&mut c, script, &["1", "h"]).starts_with("*18000\r\n"));

    let script = "local t = {} for i = 1, 7900 do t[i] = 'v' .. i end return redis.call('rpush', KEYS[1], unpack(t))";
    assert_eq!(eval(&mut c, script, &["1", "l"]), ":7900\r\n");
    is_well(&mut c);
}

/// Scripts that were only run make room when there are too many, and those last used stay.
#[test]
fn scripts_that_are_never_loaded_do_not_fill_the_memory() {
    let mut c = Client::new();
    let limit = 4 << 20;
    c.engine()
        .scripts
        .memory_limit
        .store(limit, Ordering::Relaxed);
    let loaded = c.run_words(&[b"SCRIPT", b"LOAD", b"return 'loaded'"]);
    let used = "return 'used'";
    for n in 0..4000 {
        assert_eq!(
            eval(&mut c, &format!("local a, b = {n}, 'x{n}' return a"), &[]),
            format!(":{n}\r\n")
        );
        if n % 100 == 0 {
            assert_eq!(eval(&mut c, used, &[]), "$4\r\nused\r\n");
        }
    }
    let scripts = &c.engine().scripts;
    assert!(scripts.evicted() > 1000, "{}", scripts.evicted());
    assert!(scripts.cached().0 < 2500 && scripts.vm_bytes().0 < limit);
    let sha = |script: &str| crate::script::redis::sha1_hex(script.as_bytes());
    assert!(scripts.exists(&sha(used)));
    assert!(!scripts.exists(&sha("local a, b = 7, 'x7' return a")));
    assert!(scripts.exists(&loaded[5..45]));
    is_well(&mut c);
}

/// On a stack of the size that the server gives to scripts.
#[test]
fn recursion_has_an_end() {
    let thread = thread::Builder::new().stack_size(8 << 20);
    let ended = thread.spawn(recursions).expect("a thread").join();
    ended.expect("no panic");
}

fn recursions() {
    let mut c = Client::new();
    for script in [
        "local function f() return 1 + f() end return f()",
        "local function f() local co = coroutine.wrap(f) return co() end return f()",
        "local function f(s) return s:gsub('.', f) end return f('x')",
        "local t = {} setmetatable(t, {__index = function(t, k) return t[k + 1] end}) return t[1]",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
        "local function f(a, b) table.sort({1, 2, 3}, f) return false end table.sort({1, 2, 3}, f)",
        "local function f(e) return f(e) .. 'x' end return xpcall(function() error('x') end, f) and 1",
        "local function f() return pcall(f) end return f()",
        "local function f() local ok, e = pcall(f) return e end return f()",
        "local function f() return xpcall(f, f) end return f()",
        "local function f() return loadstring('return ...')(pcall(f)) end return f()",
        "local t = {} t[1] = t return t",
        "local t = {} t.map = t return t",
        "local t = {} t[1] = t t[2] = t return t",
        "local t = {} for i = 1, 20000 do t = {map = {a = t}} end return t",
        "local t = {} for i = 1, 20000 do t = {set = {[t] = true}} end return t",
        "local t = {} for i = 1, 100000 do t = {t} end return t",
        "local t = {} for i = 1, 100000 do t = {t} end return cjson.encode(t)",
        "local t = {} for i = 1, 100000 do t = {t} end return cmsgpack.pack(t)",
        "return cjson.decode(('['):rep(100000))",
        "return cmsgpack.unpack(('\\145'):rep(100000))",
        "return ('x'):find(('(' ):rep(1000))",
        "return loadstring(('('):rep(100000))",
        "local function f() return setfenv(1, setmetatable({}, {__index = f})) end return type(f())",
        "return tostring(setmetatable({}, {__tostring = function(t) return tostring(t) end}))",
    ] {
        let reply = eval(&mut c, script, &[]);
        assert!(!reply.is_empty(), "{script}");
        is_well(&mut c);
    }
}

#[test]
fn what_is_killed_ends_whatever_it_does() {
    let mut c = Client::new();
    for script in [
        "while true do end",
        "pcall(function() while true do end end) return 'caught'",
        "while true do pcall(function() while true do end end) end",
        "return {pcall(pcall, function() while true do end end)}",
        "xpcall(function() while true do end end, function() while true do end end) return 'caught'",
        "xpcall(function() while true do end end, function(e) return e end) return 'caught'",
        "coroutine.resume(coroutine.create(function() while true do end end)) return 'caught'",
        "local f = coroutine.wrap(function() while true do end end) pcall(f) return 'caught'",
        "local f = coroutine.wrap(function() pcall(function() while true do end end) while true do coroutine.yield() end end) while true do f() end",
        "local t = setmetatable({}, {__index = function() while true do end end}) pcall(function() return t.x end) return 'caught'",
        "table.sort({1, 2, 3}, function() while true do end end)",
        "return ('x'):gsub('.', function() while true do end end)",
        "while true do redis.call('get', 'x') end",
        "while true do redis.pcall('nosuch') end",
        "local n = 0 while true do n = n + 1 pcall(error, n) end",
        "load(function() while true do end end) return 'caught'",
        "while true do loadstring('return 1')() end",
    ] {
        let running = c.engine().scripts.running.clone();
        let killer = thread::spawn(move || {
            for _ in 0..20_000 {
                if running.is_running() && running.kill(true).is_ok() {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let reply = eval(&mut c, script, &[]);
        killer.join().expect("no panic");
        assert!(
            reply.starts_with("-ERR ")
                && reply.contains("Script killed by user with SCRIPT KILL..."),
            "{script}: {reply}"
        );
        is_well(&mut c);
    }
}
