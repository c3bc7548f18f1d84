//! ZSCAN.

use basalt_formats::glob::glob_match;
use basalt_formats::num;

use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::reply::Reply;
use crate::value::Zset;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "zscan",
    group: Group::SortedSet,
    since: "2.8.0",
    summary: "Walks through the members of a sorted set a few at a time, guided by a cursor.",
    complexity: "O(1) a call; O(N) for the whole walk, N being the number of members.",
    arity: -3,
    flags: Flags::READONLY,
    acl: Acl::SORTEDSET,
    keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::new("cursor", ArgType::Integer),
        ArgSpec {
            token: "MATCH",
            optional: true,
            ..ArgSpec::new("pattern", ArgType::Pattern)
        },
        ArgSpec {
            token: "COUNT",
            optional: true,
            ..ArgSpec::new("count", ArgType::Integer)
        },
        ArgSpec {
            token: "NOSCORES",
            optional: true,
            ..ArgSpec::new("noscores", ArgType::PureToken)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[("8.0.0", "New option `NOSCORES`.")],
    handler: zscan,
    ..CommandSpec::BLANK
}];

struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    scores: bool,
}

impl<'a> Options<'a> {
    fn parse(words: &mut Cursor<'a>) -> Result<Options<'a>, ReplyError> {
        let mut options = Options {
            pattern: None,
            count: 10,
            scores: true,
        };
        while let Some(word) = words.next() {
            if args::is(word, "count") && words.remaining() > 0 {
                let count = args::int(words.required()?)?;
                options.count = usize::try_from(count)
                    .ok()
                    .filter(|&n| n > 0)
                    .ok_or(ReplyError::SYNTAX)?;
            } else if args::is(word, "match") && words.remaining() > 0 {
                options.pattern = Some(words.required()?).filter(|&pattern| pattern != b"*");
            } else if args::is(word, "noscores") {
                options.scores = false;
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(options)
    }
}

fn zscan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let cursor = parse_cursor(args[2])?;
    let out = &mut *ctx.out;
    let Some(zset) = ctx.ks.zset(args[1])? else {
        out.array(2);
        out.bulk(b"0");
        out.array(0);
        return Ok(());
    };
    let options = Options::parse(&mut Cursor::new(args, 3))?;
    // Redis prints the score of a small set as stored and that of a big one
    // with all its digits.
    let format_score = match zset {
        Zset::Packed(_) => num::format_f64,
        Zset::Tree(_) => num::format_f64_g17,
    };
    let mut page = Reply::new(2);
    let mut shown = 0;
    let mut score_text = Vec::with_capacity(num::MAX_F64_CHARS);
    let next = zset.scan(cursor, options.count, &mut |member, score| {
        let wanted = options
            .pattern
            .is_none_or(|pattern| glob_match(pattern, member, false));
        if !wanted {
            return;
        }
        page.bulk(member);
        shown += 1;
        if options.scores {
            score_text.clear();
            format_score(score, &mut score_text);
            page.bulk(&score_text);
            shown += 1;
        }
    });
    out.array(2);
    out.bulk(itoa::Buffer::new().format(next).as_bytes());
    out.array(shown);
    out.buf.extend_from_slice(&page.buf);
    Ok(())
}

/// A cursor as C's `strtoul` reads it to the end of the text: an empty one is
/// 0, a sign is allowed and a NUL byte ends it.
fn parse_cursor(word: &[u8]) -> Result<u64, ReplyError> {
    let text = word.split(|&b| b == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ReplyError::INVALID_CURSOR);
    }
    let value: u64 = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(ReplyError::INVALID_CURSOR)?;
    Ok(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;

    #[test]
    fn small_sets_are_shown_whole() {
        let mut c = Client::new();
        c.run("ZADD z 0.1 a 2 b");
        let all = "*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$3\r\n0.1\r\n$1\r\nb\r\n$1\r\n2\r\n";
        assert_eq!(c.run("ZSCAN z 0"), all);
        c.session.resp = 3;
        assert_eq!(c.run("ZSCAN z 17 COUNT 1 MATCH *"), all);
        assert_eq!(
            c.run("ZSCAN z 0 match b* noscores"),
            "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n"
        );
        assert_eq!(c.run("ZSCAN none 0 foo"), "*2\r\n$1\r\n0\r\n*0\r\n");
    }

    #[test]
    fn big_sets_are_shown_in_steps_with_every_digit() {
        let mut c = Client::new();
        for i in 0..1000 {
            c.run(&format!("ZADD z 0.1 m{i}"));
        }
        let (mut cursor, mut seen) = (String::from("0"), Vec::new());
        loop {
            let reply = c.run(&format!("ZSCAN z {cursor} COUNT 50"));
            let mut lines = reply.split("\r\n").skip(2);
            cursor = lines.next().expect("cursor").to_owned();
            let shown: Vec<String> = lines
                .filter(|line| line.starts_with('m'))
                .map(str::to_owned)
                .collect();
            assert!(shown.len() < 100, "{}", shown.len());
            assert!(reply.contains("\r\n0.10000000000000001\r\n"));
            seen.extend(shown);
            if cursor == "0" {
                break;
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }

    #[test]
    fn errors_come_in_order() {
        let mut c = Client::new();
        c.run("SET s x");
        c.run("ZADD z 1 a");
        assert_eq!(c.run("ZSCAN s x"), "-ERR invalid cursor\r\n");
        assert!(c.run("ZSCAN s 0 foo").starts_with("-WRONGTYPE"));
        assert_eq!(c.run("ZSCAN z 0 foo"), "-ERR syntax error\r\n");
        assert_eq!(c.run("ZSCAN z 0 COUNT 0"), "-ERR syntax error\r\n");
        assert_eq!(c.run("ZSCAN z 0 COUNT"), "-ERR syntax error\r\n");
        assert_eq!(
            c.run("ZSCAN z 0 COUNT x"),
            "-ERR value is not an integer or out of range\r\n"
        );
    }

    #[test]
    fn cursors_are_what_strtoul_reads() {
        for (text, cursor) in [
            ("", 0),
            ("12", 12),
            ("+5", 5),
            ("-1", u64::MAX),
            ("18446744073709551615", u64::MAX),
            ("7\0x", 7),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), Ok(cursor), "{text:?}");
        }
        for text in [" 1", "1 ", "x", "+", "-", "18446744073709551616", "0x1"] {
            assert!(parse_cursor(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
