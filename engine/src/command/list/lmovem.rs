//! LMOVEM and BLMOVEM (Redis 8.10): several elements from one list to another in one step.
//!
//! `OBO` pushes each element as it is popped; `BULK` keeps the order they had. They are logged as
//! a pop and a push, on one list as LMOVE or LSET, which every server reads.

use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::blocked::OnTimeout;
use crate::keyspace::{Kind, NotifyClass};
use crate::value::list::Side;

use super::lmove::{WHEREFROM, WHERETO, is_list};
use super::{parse_side, pop_event, push_event, removed};

/// How many elements, and in which order.
const HOW_MANY: ArgSpec = ArgSpec {
    optional: true,
    args: &[
        ArgSpec {
            args: &[
                ArgSpec {
                    token: "COUNT",
                    ..ArgSpec::new("count", ArgType::Integer)
                },
                ArgSpec {
                    token: "EXACTLY",
                    ..ArgSpec::new("exactly", ArgType::Integer)
                },
            ],
            ..ArgSpec::new("selector", ArgType::OneOf)
        },
        ArgSpec {
            args: &[
                ArgSpec {
                    token: "OBO",
                    ..ArgSpec::new("obo", ArgType::PureToken)
                },
                ArgSpec {
                    token: "BULK",
                    ..ArgSpec::new("bulk", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("ordering", ArgType::OneOf)
        },
    ],
    ..ArgSpec::new("how-many", ArgType::Block)
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "lmovem",
        group: Group::List,
        since: "8.10.0",
        summary: "Moves several elements from an end of one list to an end of another.",
        complexity: "O(N) for N elements moved.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::LIST,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("source", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            WHEREFROM,
            WHERETO,
            HOW_MANY,
        ],
        handler: lmovem,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "blmovem",
        group: Group::List,
        since: "8.10.0",
        summary: "Moves several elements from one list to another, waiting until there are enough.",
        complexity: "O(N) for N elements moved.",
        arity: -6,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::BLOCKING),
        acl: Acl::LIST,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("source", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            WHEREFROM,
            WHERETO,
            ArgSpec::new("timeout", ArgType::Double),
            HOW_MANY,
        ],
        handler: blmovem,
        ..CommandSpec::BLANK
    },
];

/// How many elements are moved, and how.
struct Batch {
    count: usize,
    /// All of them or none.
    exactly: bool,
    /// In the order they had.
    bulk: bool,
}

struct Request<'a> {
    source: &'a [u8],
    destination: &'a [u8],
    from: Side,
    to: Side,
    batch: Batch,
}

impl<'a> Request<'a> {
    /// Reads the keys and sides, and `COUNT|EXACTLY n OBO|BULK` from word `at` on.
    fn parse(args: Args<'a>, at: usize) -> Result<Self, ReplyError> {
        let mut batch = Batch {
            count: 1,
            exactly: false,
            bulk: false,
        };
        let (from, to) = (parse_side(args[3])?, parse_side(args[4])?);
        let mut words = Cursor::new(args, at);
        if words.remaining() > 0 {
            batch.exactly = words.take("EXACTLY");
            if !batch.exactly && !words.take("COUNT") {
                return Err(ReplyError::SYNTAX);
            }
            let count = args::int_in(
                words.required()?,
                1,
                i64::MAX,
                "count should be greater than 0",
            )?;
            batch.count = usize::try_from(count).unwrap_or(usize::MAX);
            batch.bulk = words.take("BULK");
            if !batch.bulk && !words.take("OBO") || words.remaining() > 0 {
                return Err(ReplyError::SYNTAX);
            }
        }
        Ok(Request {
            source: args[1],
            destination: args[2],
            from,
            to,
            batch,
        })
    }

    /// Moves and replies; false, with nothing replied, when there are too few elements.
    fn run(&self, ctx: &mut Ctx<'_>) -> Result<bool, ReplyError> {
        let (source, destination) = (self.source, self.destination);
        if !is_list(&mut ctx.ks, source)? {
            return Ok(false);
        }
        is_list(&mut ctx.ks, destination)?;
        let limits = ctx.ks.engine.settings.list_limits();
        let Some(list) = ctx.ks.list_mut(source)? else {
            return Ok(false);
        };
        if self.batch.exactly && list.len() < self.batch.count {
            return Ok(false);
        }
        let count = self.batch.count.min(list.len());
        let mut taken: Vec<Vec<u8>> = Vec::with_capacity(count);
        let pushed: Vec<Vec<u8>>;
        let emptied;
        if source == destination {
            list.pop_many(&limits, self.from, count, |entry| {
                entry.with_bytes(|bytes| taken.push(bytes.to_vec()));
            });
            pushed = self.in_push_order(taken);
            list.push(&limits, self.to, &pushed);
            emptied = false;
        } else {
            list.pop_many(&limits, self.from, count, |entry| {
                entry.with_bytes(|bytes| taken.push(bytes.to_vec()));
            });
            emptied = list.is_empty();
            pushed = self.in_push_order(taken);
            let list = ctx.ks.list_or_create(destination)?;
            list.push(&limits, self.to, &pushed);
            if list.len() > count {
                ctx.ks.signal_ready(destination);
            }
        }
        ctx.out.array(count);
        // Pushed at the front, the last one comes first.
        let mut reply = |element: &Vec<u8>| ctx.out.bulk(element);
        match self.to {
            Side::Left => pushed.iter().rev().for_each(&mut reply),
            Side::Right => pushed.iter().for_each(&mut reply),
        }
        ctx.ks.modified(destination);
        ctx.ks
            .notify(NotifyClass::LIST, push_event(self.to), destination);
        removed(&mut ctx.ks, source, pop_event(self.from), emptied, count);
        ctx.ks.modified(source);
        self.propagate(ctx, &pushed);
        Ok(true)
    }

    /// The elements, in the order they were popped, as they are pushed one after the other.
    fn in_push_order(&self, mut popped: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        if self.batch.bulk && self.from == self.to {
            popped.reverse();
        }
        popped
    }

    fn propagate(&self, ctx: &mut Ctx<'_>, pushed: &[Vec<u8>]) {
        if !ctx.engine().log.is_active() {
            return;
        }
        if self.source == self.destination {
            return self.propagate_within(ctx, pushed);
        }
        let count = pushed.len().to_string();
        let pop: &[u8] = match self.from {
            Side::Left => b"LPOP",
            Side::Right => b"RPOP",
        };
        let push: &[u8] = match self.to {
            Side::Left => b"LPUSH",
            Side::Right => b"RPUSH",
        };
        let mut words = vec![push, self.destination];
        words.extend(pushed.iter().map(Vec::as_slice));
        ctx.propagate(&[pop, self.source, count.as_bytes()]);
        ctx.propagate(&words);
    }

    /// On one list nothing may be popped whole: the key would go, and its expiry with it.
    fn propagate_within(&self, ctx: &mut Ctx<'_>, pushed: &[Vec<u8>]) {
        let key = self.source;
        if self.from != self.to {
            let (from, to): (&[u8], &[u8]) = match self.from {
                Side::Left => (b"LEFT", b"RIGHT"),
                Side::Right => (b"RIGHT", b"LEFT"),
            };
            for _ in pushed {
                ctx.propagate(&[b"LMOVE", key, key, from, to]);
            }
        } else if self.batch.bulk {
            ctx.propagate_nothing();
        } else {
            for (nth, element) in pushed.iter().rev().enumerate() {
                let at = match self.to {
                    Side::Left => format!("{nth}"),
                    Side::Right => format!("-{}", nth + 1),
                };
                ctx.propagate(&[b"LSET", key, at.as_bytes(), element]);
            }
        }
    }
}

fn lmovem(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let request = Request::parse(args, 5)?;
    if !request.run(ctx)? {
        if request.batch.exactly {
            ctx.out.null_array();
        } else {
            ctx.out.array(0);
        }
    }
    Ok(())
}

fn blmovem(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let request = Request::parse(args, 6)?;
    let deadline = args::timeout_deadline(args[5], ctx.ks.now_ms)?;
    if !request.run(ctx)? {
        ctx.block_on(
            &[request.source],
            Kind::List,
            deadline,
            OnTimeout::NullArray,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn list(c: &mut Client, key: &str) -> String {
        let reply = c.run(&format!("LRANGE {key} 0 -1"));
        words(&reply)
    }

    fn words(reply: &str) -> String {
        let lines = reply.lines().skip(1);
        lines.skip(1).step_by(2).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn orders_at_the_destination() {
        for (how, moved, destination) in [
            ("LEFT LEFT COUNT 2 OBO", "2 1", "2 1 x"),
            ("LEFT LEFT COUNT 2 BULK", "1 2", "1 2 x"),
            ("LEFT RIGHT COUNT 2 OBO", "1 2", "x 1 2"),
            ("LEFT RIGHT COUNT 2 BULK", "1 2", "x 1 2"),
            ("RIGHT LEFT COUNT 2 OBO", "3 4", "3 4 x"),
            ("RIGHT RIGHT COUNT 2 OBO", "4 3", "x 4 3"),
            ("RIGHT RIGHT EXACTLY 2 BULK", "3 4", "x 3 4"),
            ("RIGHT LEFT", "4", "4 x"),
            ("LEFT RIGHT COUNT 9 BULK", "1 2 3 4", "x 1 2 3 4"),
        ] {
            let mut c = Client::new();
            c.run("RPUSH s 1 2 3 4");
            c.run("RPUSH d x");
            let mut replayed = c.other();
            let log = c.record_log();
            assert_eq!(words(&c.run(&format!("LMOVEM s d {how}"))), moved, "{how}");
            assert_eq!(list(&mut c, "d"), destination, "{how}");
            let left = list(&mut c, "s");
            // What was logged has the same effect.
            let logged = log.take();
            c.run("DEL s d");
            c.run("RPUSH s 1 2 3 4");
            c.run("RPUSH d x");
            for line in logged {
                replayed.run(&line);
            }
            assert_eq!(list(&mut c, "d"), destination, "{how}, replayed");
            assert_eq!(list(&mut c, "s"), left, "{how}, replayed");
        }
    }

    #[test]
    fn on_one_list() {
        for (how, result) in [
            ("LEFT LEFT EXACTLY 2 OBO", "b a c"),
            ("LEFT LEFT EXACTLY 2 BULK", "a b c"),
            ("LEFT RIGHT COUNT 2 BULK", "c a b"),
            ("RIGHT RIGHT COUNT 3 OBO", "c b a"),
        ] {
            let mut c = Client::new();
            let log = c.record_log();
            c.run("RPUSH k a b c");
            c.run(&format!("LMOVEM k k {how}"));
            assert_eq!(list(&mut c, "k"), result, "{how}");
            c.run("DEL k");
            for line in log.take().iter().filter(|line| !line.starts_with("DEL")) {
                c.run(line);
            }
            assert_eq!(list(&mut c, "k"), result, "{how}, replayed");
        }
    }

    #[test]
    fn too_few() {
        let mut c = Client::new();
        assert_eq!(c.run("LMOVEM s d LEFT LEFT"), "*0\r\n");
        assert_eq!(c.run("LMOVEM s d LEFT LEFT COUNT 3 OBO"), "*0\r\n");
        assert_eq!(c.run("LMOVEM s d LEFT LEFT EXACTLY 1 OBO"), "*-1\r\n");
        c.run("RPUSH s 1 2");
        assert_eq!(c.run("LMOVEM s d LEFT LEFT EXACTLY 3 BULK"), "*-1\r\n");
        assert_eq!(c.run("EXISTS d"), ":0\r\n");
        assert_eq!(words(&c.run("LMOVEM s d LEFT LEFT EXACTLY 2 BULK")), "1 2");
        assert_eq!(c.run("EXISTS s d"), ":1\r\n");
    }

    #[test]
    fn refused_requests() {
        let mut c = Client::new();
        c.run("RPUSH s 1");
        c.run("SADD set x");
        let syntax = "-ERR syntax error\r\n";
        for (line, error) in [
            ("LMOVEM s d UP LEFT", syntax),
            ("LMOVEM s d LEFT LEFT COUNT 1", syntax),
            ("LMOVEM s d LEFT LEFT OBO", syntax),
            ("LMOVEM s d LEFT LEFT COUNT 1 OBO BULK", syntax),
            ("LMOVEM s d LEFT LEFT COUNT 1 EXACTLY 1 OBO", syntax),
            (
                "LMOVEM s d LEFT LEFT COUNT 0 OBO",
                "-ERR count should be greater than 0\r\n",
            ),
            (
                "BLMOVEM s d LEFT LEFT x COUNT 1 OBO",
                "-ERR timeout is not a float or out of range\r\n",
            ),
        ] {
            assert_eq!(c.run(line), error, "{line}");
        }
        assert!(c.run("LMOVEM set d LEFT LEFT").starts_with("-WRONGTYPE "));
        assert!(c.run("LMOVEM s set LEFT LEFT").starts_with("-WRONGTYPE "));
        assert_eq!(c.run("LLEN s"), ":1\r\n");
    }
}
