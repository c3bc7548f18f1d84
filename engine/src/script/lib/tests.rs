//! The libraries as scripts see them: replies of a real server, and hostile input.

mod bit;
mod cjson;
mod cmsgpack;
mod structs;

use crate::testing::Client;

fn eval(c: &mut Client, script: &str) -> String {
    let reply = c.run_words(&[b"EVAL", script.as_bytes(), b"0"]);
    reply.iter().copied().map(char::from).collect()
}

fn check(replies: &[(&str, &[u8])]) {
    let mut c = Client::new();
    for (script, expected) in replies {
        let sha = super::super::redis::sha1_hex(script.as_bytes());
        let sha = std::str::from_utf8(&sha).unwrap();
        let expected: String = expected.iter().copied().map(char::from).collect();
        assert_eq!(
            eval(&mut c, script),
            expected.replace("SHA", sha),
            "{script}"
        );
    }
}

#[test]
fn bit_answers_as_redis() {
    check(bit::REPLIES);
}

#[test]
fn cjson_answers_as_redis() {
    check(cjson::REPLIES);
}

#[test]
fn cmsgpack_answers_as_redis() {
    check(cmsgpack::REPLIES);
}

#[test]
fn struct_answers_as_redis() {
    check(structs::REPLIES);
}

/// CVE-2024-31449: the number of digits that has no positive counterpart overran a buffer.
#[test]
fn digits_of_tohex_are_bounded() {
    let script = "return {bit.tohex(65535, -2147483648), bit.tohex(65535, 2147483647)}";
    assert_eq!(
        eval(&mut Client::new(), script),
        "*2\r\n$8\r\n0000FFFF\r\n$8\r\n0000ffff\r\n"
    );
}

/// A small script may ask for more output than there is memory: tables shared many times over,
/// and arrays of which almost nothing exists (CVE-2022-24834 was about their sizes).
#[test]
fn output_is_bounded() {
    for script in [
        "local t = {string.rep('x', 1000000)} for i = 1, 15 do t = {t,t,t,t,t,t,t,t,t} end return #cjson.encode(t)",
        "local t = {string.rep('x', 1000000)} for i = 1, 14 do t = {t,t,t,t,t,t,t,t,t} end return #cmsgpack.pack(t)",
        "local c = cjson.new() c.encode_sparse_array(false, 0) return #c.encode({[2147483647] = 1})",
    ] {
        let reply = eval(&mut Client::new(), script);
        assert!(reply.starts_with("-ERR not enough memory"), "{reply}");
    }
}

/// CVE-2018-11218, CVE-2018-11219 and CVE-2020-14147: sizes and offsets at the ends of their
/// types.
#[test]
fn sizes_at_the_ends_of_their_types() {
    let mut c = Client::new();
    for text in [
        "b",
        "i8",
        "c0",
        "bc0",
        "s",
        "!8d",
        "c2147483647",
        "i32",
        "x",
        "",
    ] {
        for offset in [
            "0",
            "-1",
            "-9223372036854775808",
            "9223372036854775807",
            "2147483648",
            "4294967297",
            "1/0",
            "0/0",
        ] {
            let script = format!("return {{pcall(struct.unpack, '{text}', 'abcdefgh', {offset})}}");
            let reply = eval(&mut c, &script);
            assert!(reply.starts_with('*'), "{script}: {reply}");
            let script =
                format!("return {{pcall(cmsgpack.unpack_limit, 'abcdefgh', {offset}, {offset})}}");
            let reply = eval(&mut c, &script);
            assert!(reply.starts_with('*'), "{script}: {reply}");
        }
    }
}

/// Settings stay for the scripts that follow, as in Redis.
#[test]
fn settings_last() {
    let mut c = Client::new();
    assert_eq!(eval(&mut c, "return cjson.encode_max_depth(1)"), ":1\r\n");
    let reply = eval(&mut c, "return cjson.encode({{}})");
    assert!(reply.contains("excessive nesting (2)"), "{reply}");
    assert_eq!(
        eval(&mut c, "return cjson.new().encode({{}})"),
        "$4\r\n[{}]\r\n"
    );
}
