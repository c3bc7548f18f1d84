//! Scripts over an engine of their own.

mod beside;
mod hostile;

use crate::testing::Client;

fn eval(c: &mut Client, script: &str, rest: &[&str]) -> String {
    let mut words: Vec<&[u8]> = vec![b"EVAL", script.as_bytes()];
    if rest.is_empty() {
        words.push(b"0");
    }
    words.extend(rest.iter().map(|word| word.as_bytes()));
    String::from_utf8_lossy(&c.run_words(&words)).into_owned()
}

pub(super) fn ev(script: &str) -> String {
    eval(&mut Client::new(), script, &[])
}

#[test]
fn results_become_replies() {
    assert_eq!(ev("return 3.99"), ":3\r\n");
    assert_eq!(ev("return 'x'"), "$1\r\nx\r\n");
    assert_eq!(ev("return true"), ":1\r\n");
    assert_eq!(ev("return false"), "$-1\r\n");
    assert_eq!(ev("return"), "$-1\r\n");
    assert_eq!(
        ev("return {1,{'a',{ok='fine'}},{err='E x'},nil,4}"),
        "*3\r\n:1\r\n*2\r\n$1\r\na\r\n+fine\r\n-E x\r\n"
    );
    assert_eq!(ev("return {double=1.5}"), "$3\r\n1.5\r\n");
    assert_eq!(ev("return {map={a=1}}"), "*2\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(ev("return {err='MY error\\r\\nx'}"), "-MY error  x\r\n");
}

#[test]
fn keys_and_arguments_are_globals() {
    let mut c = Client::new();
    let script = "return {KEYS[1],KEYS[2],ARGV[1],#ARGV}";
    assert_eq!(
        eval(&mut c, script, &["2", "a", "b", "c"]),
        "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n:1\r\n"
    );
    assert_eq!(
        eval(&mut c, script, &["3", "a", "b"]),
        "-ERR Number of keys can't be greater than number of args\r\n"
    );
    assert_eq!(
        eval(&mut c, script, &["-1", "a"]),
        "-ERR Number of keys can't be negative\r\n"
    );
}

#[test]
fn commands_run_and_their_replies_come_back() {
    let mut c = Client::new();
    let script = "redis.call('set', KEYS[1], 10); local n = redis.call('incr', KEYS[1]); return {n, redis.call('get', KEYS[1]), redis.call('get', 'none'), redis.call('set','x',0.1)}";
    assert_eq!(
        eval(&mut c, script, &["1", "k"]),
        "*4\r\n:11\r\n$2\r\n11\r\n$-1\r\n+OK\r\n"
    );
    assert_eq!(c.run("GET x"), "$3\r\n0.1\r\n");
}

#[test]
fn arrays_become_tables() {
    let mut c = Client::new();
    c.run("RPUSH l a b c");
    c.run("GEOADD g 1 2 m");
    c.run("XADD x 1-1 f v");
    for (script, reply) in [
        (
            "return redis.call('lrange', 'l', 0, -1)",
            "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
        ),
        ("return #redis.call('lrange', 'none', 0, -1)", ":0\r\n"),
        (
            "return redis.call('mget', 'none', 'n')[2] == false",
            ":1\r\n",
        ),
        (
            "return redis.call('geopos', 'g', 'none', 'm')[1] == false",
            ":1\r\n",
        ),
        (
            "local x = redis.call('xrange', 'x', '-', '+') return x[1][1] .. x[1][2][2]",
            "$4\r\n1-1v\r\n",
        ),
        // With what is not made directly.
        (
            "redis.setresp(3) local d = redis.call('geopos', 'g', 'm')[1][1].double return d > 0.99 and d < 1.01",
            ":1\r\n",
        ),
    ] {
        assert_eq!(eval(&mut c, script, &[]), reply, "{script}");
    }
}

#[test]
fn errors_name_the_line_and_the_script() {
    assert_eq!(
        ev("return redis.call('nosuch')"),
        "-ERR Unknown Redis command called from script script: 4b2eb4d4d8e8b5e4bd3f2dbfdf1bd2ed3dd36f5b, on @user_script:1.\r\n"
            .replace("4b2eb4d4d8e8b5e4bd3f2dbfdf1bd2ed3dd36f5b", &sha("return redis.call('nosuch')"))
    );
    for (script, text) in [
        ("error('x')", "ERR user_script:1: x"),
        ("\n\nerror({err='My Err'})", "My Err"),
        (
            "foo.x = 1",
            "ERR user_script:1: Script attempted to access nonexistent global variable 'foo'",
        ),
        (
            "foo = 1",
            "ERR user_script:1: Attempt to modify a readonly table",
        ),
        (
            "local p = pairs(nil)",
            "ERR user_script:1: bad argument #1 to 'pairs' (table expected, got nil)",
        ),
        (
            "local a = nil; a.b()",
            "ERR user_script:1: attempt to index local 'a' (a nil value)",
        ),
        (
            "local p = ('x'):find('[')",
            "ERR user_script:1: malformed pattern (missing ']')",
        ),
        (
            "redis.call('set','a')",
            "ERR Wrong number of args calling Redis command from script",
        ),
        (
            "redis.call('multi')",
            "ERR This Redis command is not allowed from script",
        ),
        (
            "redis.call('lpush','l','a'); redis.call('get','l')",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ] {
        let line = if script.starts_with('\n') { 3 } else { 1 };
        assert_eq!(
            ev(script),
            format!(
                "-{text} script: {}, on @user_script:{line}.\r\n",
                sha(script)
            ),
            "{script}"
        );
    }
    assert_eq!(
        ev("for"),
        "-ERR Error compiling script (new function): user_script:1: '<name>' expected near '<eof>'\r\n"
    );
}

fn sha(script: &str) -> String {
    String::from_utf8_lossy(&super::redis::sha1_hex(script.as_bytes())).into_owned()
}

#[test]
fn pcall_gives_the_error() {
    assert_eq!(
        ev("local r = redis.pcall('nosuch'); return r.err"),
        "$44\r\nERR Unknown Redis command called from script\r\n"
    );
    assert_eq!(
        ev("local ok, e = pcall(redis.call, 'nosuch'); return {tostring(ok), e}"),
        "*2\r\n$5\r\nfalse\r\n$44\r\nERR Unknown Redis command called from script\r\n"
    );
}

#[test]
fn what_scripts_share_is_read_only() {
    let readonly = "Attempt to modify a readonly table";
    for script in [
        "redis.call = 1",
        "rawset(redis, 'call', 1)",
        "table.insert(redis, 1)",
        "setmetatable(_G, {})",
        "getmetatable(_G).__index = nil",
        "getmetatable('').__index = nil",
        "getmetatable('').__index.upper = nil",
        "string.upper = 1",
        "rawset(_G, 'x', 1)",
        "setfenv(0, {})",
    ] {
        let reply = ev(script);
        assert!(reply.contains(readonly), "{script}: {reply}");
    }
    assert_eq!(ev("return getmetatable(redis) == nil"), ":1\r\n");
}

#[test]
fn the_cache_serves_evalsha() {
    let mut c = Client::new();
    let sha = sha("return 7");
    let line = format!("EVALSHA {sha} 0");
    assert_eq!(
        c.run(&line),
        "-NOSCRIPT No matching script. Please use EVAL.\r\n"
    );
    let loaded = c.run_words(&[b"SCRIPT", b"LOAD", b"return 7"]);
    assert_eq!(loaded, format!("$40\r\n{sha}\r\n").into_bytes());
    assert_eq!(c.run(&line), ":7\r\n");
    assert_eq!(c.run(&line.to_uppercase()), ":7\r\n");
    assert_eq!(
        c.run(&format!("SCRIPT EXISTS {sha} x")),
        "*2\r\n:1\r\n:0\r\n"
    );
    assert_eq!(c.run("SCRIPT FLUSH"), "+OK\r\n");
    assert_eq!(c.run(&format!("SCRIPT EXISTS {sha}")), "*1\r\n:0\r\n");
}

#[test]
fn commands_do_not_wait() {
    let mut c = Client::new();
    assert_eq!(
        eval(
            &mut c,
            "return redis.pcall('xRead', 'BLOCK', 'x', 'STREAMS', 's', '$')",
            &[]
        ),
        "-ERR xRead command is not allowed with BLOCK option from scripts\r\n"
    );
    assert_eq!(
        eval(
            &mut c,
            "return redis.pcall('xreadgroup', 'GROUP', 'g', 'c', 'BLOCK', '0', 'STREAMS', 's', '>')",
            &[]
        ),
        "-ERR xreadgroup command is not allowed with BLOCK option from scripts\r\n"
    );
    // A script that fills what a client waits for is another's.
    let mut waiter = c.other();
    let waiting = waiter.block("XREAD BLOCK 0 STREAMS s $");
    assert_eq!(
        eval(
            &mut c,
            "return redis.call('xadd', 's', '1-1', 'f', 'v')",
            &[]
        ),
        "$3\r\n1-1\r\n"
    );
    assert!(waiting.reply().is_some_and(|reply| reply.contains("1-1")));
    assert_eq!(
        eval(
            &mut c,
            "redis.call('set', 'nan', 0/0) return redis.call('get', 'nan')",
            &[]
        ),
        "$4\r\n-nan\r\n"
    );
}

#[test]
fn effects_are_logged_as_one_transaction() {
    let mut c = Client::new();
    let log = c.record_log();
    eval(
        &mut c,
        "redis.call('set','a',1); redis.call('incr','a'); redis.call('get','a')",
        &[],
    );
    assert_eq!(log.take(), ["MULTI", "set a 1", "incr a", "EXEC"]);
    eval(&mut c, "redis.call('set','a',1)", &[]);
    assert_eq!(log.take(), ["set a 1"]);
    eval(
        &mut c,
        "redis.set_repl(redis.REPL_NONE) redis.call('set','a',1)",
        &[],
    );
    assert!(log.take().is_empty());
}

#[test]
fn read_only_scripts_do_not_write() {
    let mut c = Client::new();
    let text = "Write commands are not allowed from read-only scripts.";
    let words: &[&[u8]] = &[b"EVAL_RO", b"return redis.call('set','a','b')", b"0"];
    let reply = String::from_utf8_lossy(&c.run_words(words)).into_owned();
    assert!(reply.contains(text), "{reply}");
    let flagged = "#!lua flags=no-writes\nreturn redis.call('set','a','b')";
    assert!(eval(&mut c, flagged, &[]).contains(text));
    let writing = b"#!lua\nreturn 1";
    let reply = c.run_words(&[b"EVAL_RO", writing, b"0"]);
    assert_eq!(
        String::from_utf8_lossy(&reply),
        "-ERR Can not execute a script with write flag using *_ro command.\r\n"
    );
}

#[test]
fn functions_are_loaded_and_called() {
    let mut c = Client::new();
    let code = "#!lua name=lib\nlocal function get(keys, args) return redis.call('get', keys[1]) end\nredis.register_function('get', get)\nredis.register_function{function_name='put', callback=function(k, a) return redis.call('set', k[1], a[1]) end, description='d', flags={'allow-oom'}}\nredis.register_function{function_name='ro', callback=function(k) return redis.call('set', k[1], 1) end, flags={'no-writes'}}";
    let load =
        |c: &mut Client, words: &[&[u8]]| String::from_utf8_lossy(&c.run_words(words)).into_owned();
    assert_eq!(
        load(&mut c, &[b"FUNCTION", b"LOAD", code.as_bytes()]),
        "$3\r\nlib\r\n"
    );
    assert_eq!(
        load(&mut c, &[b"FUNCTION", b"LOAD", code.as_bytes()]),
        "-ERR Library 'lib' already exists\r\n"
    );
    assert_eq!(
        load(&mut c, &[b"FUNCTION", b"LOAD", b"REPLACE", code.as_bytes()]),
        "$3\r\nlib\r\n"
    );
    assert_eq!(c.run("FCALL put 1 k v"), "+OK\r\n");
    assert_eq!(c.run("FCALL GET 1 k"), "$1\r\nv\r\n");
    assert_eq!(
        c.run("FCALL_RO get 1 k"),
        "-ERR Can not execute a script with write flag using *_ro command.\r\n"
    );
    assert_eq!(
        c.run("FCALL ro 1 k"),
        "-ERR Write commands are not allowed from read-only scripts. script: ro, on @user_function:5.\r\n"
    );
    assert_eq!(c.run("FCALL none 0"), "-ERR Function not found\r\n");
    assert_eq!(c.run("FCALL get x"), "-ERR Bad number of keys provided\r\n");
    for (code, error) in [
        ("#!lua name=x\nlocal a = 1", "No functions registered"),
        (
            "#!lua name=x\nfor",
            "Error compiling function: user_function:2: '<name>' expected near '<eof>'",
        ),
        (
            "#!lua name=x\nredis.call('get','x')",
            "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'",
        ),
        (
            "#!lua name=x\nmath.abs(1)",
            "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'math'",
        ),
        (
            "#!lua name=x\nredis.register_function('get', function() end)",
            "Function get already exists",
        ),
        (
            "#!lua name=x\nredis.register_function('a-b', function() end)",
            "Error registering functions: ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            "#!lua name=x\nredis.register_function('a')",
            "Error registering functions: ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
    ] {
        assert_eq!(
            load(&mut c, &[b"FUNCTION", b"LOAD", code.as_bytes()]),
            format!("-ERR {error}\r\n")
        );
    }
    let dump = c.run_words(&[b"FUNCTION", b"DUMP"]);
    let payload = &dump[dump.iter().position(|&b| b == b'\n').expect("a line") + 1..dump.len() - 2];
    assert_eq!(c.run("FUNCTION FLUSH"), "+OK\r\n");
    assert_eq!(c.run("FCALL get 1 k"), "-ERR Function not found\r\n");
    assert_eq!(load(&mut c, &[b"FUNCTION", b"RESTORE", payload]), "+OK\r\n");
    assert_eq!(c.run("FCALL get 1 k"), "$1\r\nv\r\n");
    assert!(c.run("FUNCTION STATS").contains("functions_count\r\n:3"));
}
