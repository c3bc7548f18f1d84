//! INCREX (Redis 8.8, Valkey 9.2): a counter with bounds and an expiry in one step, as rate limiters
//! need it. `NX` and `XX` are Valkey's.
//!
//! A sum beyond a bound is not stored, unless `SATURATE` asks for the bound itself. The result is
//! logged as SET with its absolute expiry, whatever the options were.

use basalt_formats::num::{LongDouble, format_long_double_human, parse_i64, parse_long_double};

use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass, StringEncoding, Ttl};

use super::options::{Expiry, TimeForm};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "increx",
    group: Group::String,
    since: "8.8.0",
    summary: "Adds to a number within bounds and sets its expiry, in one step.",
    complexity: "O(1)",
    arity: -2,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    acl: Acl::STRING,
    keys: &[KeySpec::one(
        1,
        KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
    )],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key", ArgType::Key)
        },
        ArgSpec::ABSENT_OR_PRESENT,
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    token: "BYFLOAT",
                    ..ArgSpec::new("float", ArgType::Double)
                },
                ArgSpec {
                    token: "BYINT",
                    ..ArgSpec::new("integer", ArgType::Integer)
                },
            ],
            ..ArgSpec::new("increment", ArgType::OneOf)
        },
        ArgSpec {
            token: "SATURATE",
            optional: true,
            ..ArgSpec::new("saturate", ArgType::PureToken)
        },
        ArgSpec {
            token: "LBOUND",
            optional: true,
            ..ArgSpec::new("lowerbound", ArgType::String)
        },
        ArgSpec {
            token: "UBOUND",
            optional: true,
            ..ArgSpec::new("upperbound", ArgType::String)
        },
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    token: "EX",
                    ..ArgSpec::new("seconds", ArgType::Integer)
                },
                ArgSpec {
                    token: "PX",
                    ..ArgSpec::new("milliseconds", ArgType::Integer)
                },
                ArgSpec {
                    token: "EXAT",
                    ..ArgSpec::new("unix-time-seconds", ArgType::UnixTime)
                },
                ArgSpec {
                    token: "PXAT",
                    ..ArgSpec::new("unix-time-milliseconds", ArgType::UnixTime)
                },
                ArgSpec {
                    token: "PERSIST",
                    ..ArgSpec::new("persist", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("expiration", ArgType::OneOf)
        },
        ArgSpec {
            token: "ENX",
            optional: true,
            ..ArgSpec::new("enx", ArgType::PureToken)
        },
    ],
    handler: increx,
    ..CommandSpec::BLANK
}];

/// What is added, with the bounds in the same kind of number.
#[derive(Clone, Copy)]
enum Step {
    Int {
        by: i64,
        low: i64,
        high: i64,
    },
    Float {
        by: LongDouble,
        low: LongDouble,
        high: LongDouble,
    },
}

/// A parsed request.
struct Request<'a> {
    /// `XX` (true) or `NX`: whether the key has to be there.
    exists: Option<bool>,
    step: Step,
    saturate: bool,
    expiry: Expiry<'a>,
    only_without_ttl: bool,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>) -> Result<Self, ReplyError> {
        let (mut int, mut float, mut low, mut high) = (None, None, None, None);
        let (mut saturate, mut enx, mut expiry) = (false, false, Expiry::Unsaid);
        let mut exists = None;
        let mut words = Cursor::new(args, 2);
        while let Some(word) = words.next() {
            let slot = match word {
                word if args::is(word, "BYINT") => &mut int,
                word if args::is(word, "BYFLOAT") => &mut float,
                word if args::is(word, "LBOUND") => &mut low,
                word if args::is(word, "UBOUND") => &mut high,
                word if args::is(word, "SATURATE") => {
                    saturate = true;
                    continue;
                }
                word if args::is(word, "ENX") => {
                    enx = true;
                    continue;
                }
                word if args::is(word, "NX") || args::is(word, "XX") => {
                    let wanted = args::is(word, "XX");
                    if exists.replace(wanted).is_some_and(|other| other != wanted) {
                        return Err(ReplyError::SYNTAX);
                    }
                    continue;
                }
                word => {
                    if expiry != Expiry::Unsaid {
                        return Err(ReplyError::SYNTAX);
                    }
                    expiry = match TimeForm::of(word) {
                        Some(form) => Expiry::Time(form, words.required()?),
                        None if args::is(word, "PERSIST") => Expiry::Persist,
                        None => return Err(ReplyError::SYNTAX),
                    };
                    continue;
                }
            };
            if slot.replace(words.required()?).is_some() {
                return Err(ReplyError::SYNTAX);
            }
        }
        let timed = matches!(expiry, Expiry::Time(..));
        if int.is_some() && float.is_some() || enx && !timed {
            return Err(ReplyError::SYNTAX);
        }
        Ok(Request {
            exists,
            step: Step::parse(int, float, low, high)?,
            saturate,
            expiry,
            only_without_ttl: enx,
        })
    }
}

impl Step {
    fn parse(
        int: Option<&[u8]>,
        float: Option<&[u8]>,
        low: Option<&[u8]>,
        high: Option<&[u8]>,
    ) -> Result<Step, ReplyError> {
        let step = match float {
            Some(by) => Step::Float {
                by: finite(by)?,
                low: low.map_or(Ok(LongDouble::largest().negated()), finite)?,
                high: high.map_or(Ok(LongDouble::largest()), finite)?,
            },
            None => Step::Int {
                by: int.map_or(Ok(1), args::int)?,
                low: low.map_or(Ok(i64::MIN), args::int)?,
                high: high.map_or(Ok(i64::MAX), args::int)?,
            },
        };
        let ordered = match step {
            Step::Int { low, high, .. } => low <= high,
            Step::Float { low, high, .. } => low <= high,
        };
        if ordered {
            Ok(step)
        } else {
            Err(ReplyError::err("LBOUND can't be greater than UBOUND"))
        }
    }
}

fn finite(word: &[u8]) -> Result<LongDouble, ReplyError> {
    match parse_long_double(word) {
        Some(number) if number.is_infinite() => Err(ReplyError::NAN_OR_INF),
        Some(number) => Ok(number),
        None => Err(ReplyError::NOT_FLOAT),
    }
}

/// What a request comes to: the number to store (none if nothing changes), and the reply.
enum Outcome {
    Int { sum: i64, added: i64 },
    Float { sum: LongDouble, added: LongDouble },
}

/// The outcome where nothing is done.
fn unchanged(step: Step, present: Option<&[u8]>) -> Result<Outcome, ReplyError> {
    let nothing = match step {
        Step::Int { .. } => Step::Int {
            by: 0,
            low: i64::MIN,
            high: i64::MAX,
        },
        Step::Float { .. } => Step::Float {
            by: LongDouble::ZERO,
            low: LongDouble::largest().negated(),
            high: LongDouble::largest(),
        },
    };
    Ok(apply(nothing, false, present)?.0)
}

/// The outcome of a step on the present string; the bool tells whether it is carried out.
fn apply(
    step: Step,
    saturate: bool,
    present: Option<&[u8]>,
) -> Result<(Outcome, bool), ReplyError> {
    match step {
        Step::Int { by, low, high } => {
            let value = match present {
                Some(text) => parse_i64(text).ok_or(ReplyError::NOT_INTEGER)?,
                None => 0,
            };
            let exact = i128::from(value) + i128::from(by);
            let (least, most) = (i128::from(low), i128::from(high));
            let inside = (least..=most).contains(&exact);
            if !inside && !saturate {
                let (sum, added) = (value, 0);
                return Ok((Outcome::Int { sum, added }, false));
            }
            let sum = exact.clamp(least, most);
            let added = sum - i128::from(value);
            let narrow = |n: i128| i64::try_from(n).map_err(|_| ReplyError::OVERFLOW);
            Ok((
                Outcome::Int {
                    sum: narrow(sum)?,
                    added: narrow(added)?,
                },
                true,
            ))
        }
        Step::Float { by, low, high } => {
            let value = match present {
                Some(text) => parse_long_double(text).ok_or(ReplyError::NOT_FLOAT)?,
                None => LongDouble::ZERO,
            };
            let exact = value.checked_add(by);
            if let Some(sum) = exact.filter(|sum| low <= *sum && *sum <= high) {
                return Ok((Outcome::Float { sum, added: by }, true));
            }
            if !saturate {
                let (sum, added) = (value, LongDouble::ZERO);
                return Ok((Outcome::Float { sum, added }, false));
            }
            let below = match exact {
                Some(sum) => sum < low,
                None => by < LongDouble::ZERO,
            };
            let sum = if below { low } else { high };
            let added = sum
                .checked_add(value.negated())
                .ok_or(ReplyError::NAN_OR_INF)?;
            Ok((Outcome::Float { sum, added }, true))
        }
    }
}

fn increx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let request = Request::parse(args)?;
    let deadline = match request.expiry {
        Expiry::Time(form, word) => Some(form.deadline(word, ctx.ks.now_ms, ctx.name())?),
        _ => None,
    };
    let found = ctx.ks.string_as(key, Look::WRITE)?;
    let present = found.map(|found| found.bytes);
    let until = found.and_then(|found| found.header.expire_ms);
    let (outcome, carried_out) = if request
        .exists
        .is_none_or(|exists| exists == found.is_some())
    {
        apply(request.step, request.saturate, present)?
    } else {
        (unchanged(request.step, present)?, false)
    };
    if carried_out {
        let expire_ms = match request.expiry {
            Expiry::Persist => None,
            Expiry::Time(..) if request.only_without_ttl && until.is_some() => until,
            Expiry::Time(..) => deadline,
            Expiry::Unsaid | Expiry::Keep => until,
        };
        store(ctx, key, &outcome, (until, expire_ms));
    }
    ctx.out.array(2);
    match outcome {
        Outcome::Int { sum, added } => {
            ctx.out.int(sum);
            ctx.out.int(added);
        }
        Outcome::Float { sum, added } => {
            for number in [sum, added] {
                ctx.out
                    .double_text(&String::from_utf8_lossy(&human(number)));
            }
        }
    }
    Ok(())
}

fn human(number: LongDouble) -> Vec<u8> {
    let mut text = Vec::with_capacity(24);
    format_long_double_human(number, &mut text);
    text
}

/// Stores the sum; `(before, after)` are the key's expiries.
fn store(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    outcome: &Outcome,
    (before, after): (Option<i64>, Option<i64>),
) {
    let (text, encoding, event) = match outcome {
        Outcome::Int { sum, .. } => (
            itoa::Buffer::new().format(*sum).as_bytes().to_vec(),
            StringEncoding::Auto,
            "incrby",
        ),
        Outcome::Float { sum, .. } => (human(*sum), StringEncoding::Length, "incrbyfloat"),
    };
    let ttl = after.map_or(Ttl::Clear, Ttl::At);
    ctx.ks.set_string(key, &text, encoding, ttl);
    ctx.ks.modified(key);
    ctx.ks.notify(NotifyClass::STRING, event, key);
    match (before, after) {
        (before, Some(at)) if before != Some(at) => {
            ctx.ks.notify(NotifyClass::GENERIC, "expire", key);
        }
        (Some(_), None) => ctx.ks.notify(NotifyClass::GENERIC, "persist", key),
        _ => {}
    }
    ctx.ks.dirty += 1;
    if ctx.engine().log.is_active() {
        match after {
            Some(at) => {
                let at = itoa::Buffer::new().format(at).to_owned();
                ctx.propagate(&[b"SET", key, &text, b"PXAT", at.as_bytes()]);
            }
            None => ctx.propagate(&[b"SET", key, &text]),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn ints(sum: i64, added: i64) -> String {
        format!("*2\r\n:{sum}\r\n:{added}\r\n")
    }

    #[test]
    fn counts_within_bounds() {
        let mut c = Client::new();
        assert_eq!(c.run("INCREX k"), ints(1, 1));
        assert_eq!(c.run("INCREX k BYINT -10"), ints(-9, -10));
        c.run("SET k 99");
        assert_eq!(c.run("INCREX k BYINT 5 UBOUND 100"), ints(99, 0));
        assert_eq!(c.run("INCREX k BYINT 5 UBOUND 100 SATURATE"), ints(100, 1));
        assert_eq!(c.run("INCREX k UBOUND 50 SATURATE"), ints(50, -50));
        assert_eq!(c.run("INCREX k BYINT -99 LBOUND 0"), ints(50, 0));
        assert_eq!(c.run("INCREX new UBOUND -1"), ints(0, 0));
        assert_eq!(c.run("EXISTS new"), ":0\r\n");
        c.run("SET k 9223372036854775807");
        let most = i64::MAX;
        assert_eq!(c.run("INCREX k"), ints(most, 0));
        assert_eq!(c.run("INCREX k BYINT 7 SATURATE"), ints(most, 0));
        assert_eq!(
            c.run("INCREX k UBOUND -9 LBOUND -9 SATURATE"),
            "-ERR increment or decrement would overflow\r\n"
        );
    }

    #[test]
    fn floats_are_doubles_in_resp3() {
        let mut c = Client::new();
        c.run("SET k 1.5");
        assert_eq!(
            c.run("INCREX k BYFLOAT 0.25"),
            "*2\r\n$4\r\n1.75\r\n$4\r\n0.25\r\n"
        );
        c.session.resp = 3;
        assert_eq!(
            c.run("INCREX k BYFLOAT 5 UBOUND 2.5"),
            "*2\r\n,1.75\r\n,0\r\n"
        );
        assert_eq!(
            c.run("INCREX k BYFLOAT 5 UBOUND 2.5 SATURATE"),
            "*2\r\n,2.5\r\n,0.75\r\n"
        );
        assert_eq!(
            c.run("INCREX k"),
            "-ERR value is not an integer or out of range\r\n"
        );
    }

    #[test]
    fn expiry() {
        let mut c = Client::new();
        let log = c.record_log();
        c.run("INCREX k EX 100 ENX");
        assert_eq!(c.run("PTTL k"), ":100000\r\n");
        c.run("INCREX k EX 10 ENX");
        assert_eq!(c.run("PTTL k"), ":100000\r\n");
        c.run("INCREX k");
        c.run("INCREX k PX 10");
        assert_eq!(c.run("PTTL k"), ":10\r\n");
        c.run("INCREX k UBOUND 1 EX 5");
        c.run("INCREX k PERSIST");
        assert_eq!(c.run("PTTL k"), ":-1\r\n");
        assert_eq!(
            log.take(),
            [
                "SET k 1 PXAT 1700000100000",
                "SET k 2 PXAT 1700000100000",
                "SET k 3 PXAT 1700000100000",
                "SET k 4 PXAT 1700000000010",
                "SET k 5",
            ]
        );
    }

    #[test]
    fn conditions() {
        let mut c = Client::new();
        let log = c.record_log();
        assert_eq!(c.run("INCREX k XX EX 100"), ints(0, 0));
        assert_eq!(
            c.run("INCREX k XX BYFLOAT 1.5"),
            "*2\r\n$1\r\n0\r\n$1\r\n0\r\n"
        );
        assert_eq!(c.run("EXISTS k"), ":0\r\n");
        assert_eq!(c.run("INCREX k NX BYINT 3"), ints(3, 3));
        assert_eq!(c.run("INCREX k EX 9 NX LBOUND 5 SATURATE"), ints(3, 0));
        assert_eq!(
            c.run("INCREX k NX BYFLOAT 0.5"),
            "*2\r\n$1\r\n3\r\n$1\r\n0\r\n"
        );
        assert_eq!(c.run("INCREX k XX"), ints(4, 1));
        assert_eq!(c.run("TTL k"), ":-1\r\n");
        assert_eq!(log.take(), ["SET k 3", "SET k 4"]);
    }

    #[test]
    fn refused_requests() {
        let mut c = Client::new();
        c.run("SADD s x");
        assert!(c.run("INCREX s").starts_with("-WRONGTYPE "));
        for (line, error) in [
            ("INCREX k BYINT 1 BYFLOAT 1", "syntax error"),
            ("INCREX k BYINT", "syntax error"),
            ("INCREX k EX 1 PX 1", "syntax error"),
            ("INCREX k EX 1 PERSIST", "syntax error"),
            ("INCREX k ENX", "syntax error"),
            ("INCREX k NX XX", "syntax error"),
            ("INCREX k PERSIST ENX", "syntax error"),
            ("INCREX k KEEPTTL", "syntax error"),
            (
                "INCREX k BYINT 1.5",
                "value is not an integer or out of range",
            ),
            (
                "INCREX k BYINT 1 UBOUND 1.5",
                "value is not an integer or out of range",
            ),
            ("INCREX k BYFLOAT x", "value is not a valid float"),
            (
                "INCREX k BYFLOAT inf",
                "increment would produce NaN or Infinity",
            ),
            (
                "INCREX k LBOUND 2 UBOUND 1",
                "LBOUND can't be greater than UBOUND",
            ),
            ("INCREX k EX 0", "invalid expire time in 'increx' command"),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
        assert_eq!(c.run("EXISTS k"), ":0\r\n");
    }
}
