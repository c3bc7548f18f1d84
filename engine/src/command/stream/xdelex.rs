//! XDELEX and XACKDEL (Redis 8.2): deleting entries with regard to what groups know of them.
//!
//! `KEEPREF` leaves the groups' references, `DELREF` removes them, `ACKED` deletes only what
//! every group has read and acknowledged. The log gets XACK and XDEL, which every server reads.

use super::args::strict_id;
use super::groups::is_stream;
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::NotifyClass;
use crate::value::Stream;
use crate::value::stream::StreamId;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "xdelex",
        group: Group::Stream,
        since: "8.2.0",
        summary: "Deletes entries of a stream, and says what becomes of the groups' references to them.",
        complexity: "O(1) for each entry, and each group with DELREF and ACKED.",
        arity: -5,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::STREAM,
        keys: &[KeySpec::one(1, KeyFlags::RW.or(KeyFlags::DELETE))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "KEEPREF",
                        ..ArgSpec::new("keepref", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "DELREF",
                        ..ArgSpec::new("delref", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "ACKED",
                        ..ArgSpec::new("acked", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("condition", ArgType::OneOf)
            },
            ArgSpec {
                token: "IDS",
                args: &[
                    ArgSpec::new("numids", ArgType::Integer),
                    ArgSpec {
                        multiple: true,
                        ..ArgSpec::new("id", ArgType::String)
                    },
                ],
                ..ArgSpec::new("ids", ArgType::Block)
            },
        ],
        handler: xdelex,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "xackdel",
        group: Group::Stream,
        since: "8.2.0",
        summary: "Acknowledges entries for a group and deletes them.",
        complexity: "O(1) for each entry, and each group with DELREF and ACKED.",
        arity: -6,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::STREAM,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::UPDATE).or(KeyFlags::DELETE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("group", ArgType::String),
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "KEEPREF",
                        ..ArgSpec::new("keepref", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "DELREF",
                        ..ArgSpec::new("delref", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "ACKED",
                        ..ArgSpec::new("acked", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("condition", ArgType::OneOf)
            },
            ArgSpec {
                token: "IDS",
                args: &[
                    ArgSpec::new("numids", ArgType::Integer),
                    ArgSpec {
                        multiple: true,
                        ..ArgSpec::new("id", ArgType::String)
                    },
                ],
                ..ArgSpec::new("ids", ArgType::Block)
            },
        ],
        handler: xackdel,
        ..CommandSpec::BLANK
    },
];

/// What becomes of references in groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum References {
    Keep,
    Remove,
    Respect,
}

/// There is no such entry, or none pending.
const MISSING: i64 = -1;
const DELETED: i64 = 1;
/// There are references, or entries not read yet.
const KEPT: i64 = 2;

/// Reads options and IDs from word `at` on.
fn parse(args: Args<'_>, at: usize) -> Result<(References, Vec<StreamId>), ReplyError> {
    let (mut references, mut ids) = (None, None);
    let mut words = Cursor::new(args, at);
    while let Some(word) = words.next() {
        let choice = match word {
            word if args::is(word, "KEEPREF") => References::Keep,
            word if args::is(word, "DELREF") => References::Remove,
            word if args::is(word, "ACKED") => References::Respect,
            word if args::is(word, "IDS") && ids.is_none() => {
                ids = Some(parse_ids(&mut words)?);
                continue;
            }
            _ => return Err(ReplyError::SYNTAX),
        };
        if references.replace(choice).is_some() {
            return Err(ReplyError::SYNTAX);
        }
    }
    let ids = ids.ok_or(ReplyError::SYNTAX)?;
    Ok((references.unwrap_or(References::Keep), ids))
}

fn parse_ids(words: &mut Cursor<'_>) -> Result<Vec<StreamId>, ReplyError> {
    let number = args::int_in(
        words.required()?,
        1,
        i64::MAX,
        "Number of IDs must be a positive integer",
    )?;
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    if number > words.remaining() {
        return Err(ReplyError::err(
            "The `numids` parameter must match the number of arguments",
        ));
    }
    let mut ids = Vec::with_capacity(number);
    for _ in 0..number {
        ids.push(strict_id(words.required()?, 0)?);
    }
    Ok(ids)
}

/// What was changed, for the log.
#[derive(Default)]
struct Changes {
    /// Group and entry.
    acknowledged: Vec<(Vec<u8>, StreamId)>,
    deleted: Vec<StreamId>,
}

impl Changes {
    /// Removes the references of every group to an entry.
    fn release(&mut self, stream: &mut Stream, id: StreamId) {
        let names: Vec<Vec<u8>> = stream
            .groups
            .iter()
            .filter(|(_, group)| group.pending.get(id).is_some())
            .map(|(name, _)| name.to_vec())
            .collect();
        for name in names {
            self.acknowledge(stream, &name, id);
        }
    }

    /// Removes the reference of one group; whether there was one.
    fn acknowledge(&mut self, stream: &mut Stream, name: &[u8], id: StreamId) -> bool {
        let group = stream.groups.get_mut(name);
        let found = group.is_some_and(|group| group.pending.remove(id).is_some());
        if found {
            self.acknowledged.push((name.to_vec(), id));
        }
        found
    }

    fn delete(&mut self, stream: &mut Stream, id: StreamId, references: References) -> i64 {
        if references == References::Remove {
            self.release(stream, id);
        }
        if stream.get(id).is_none() {
            return MISSING;
        }
        if references == References::Respect {
            let done = |group: &crate::value::stream::Group| {
                group.last_id >= id && group.pending.get(id).is_none()
            };
            if stream.groups.is_empty() || !stream.groups.iter().all(|(_, group)| done(group)) {
                return KEPT;
            }
        }
        stream.delete(&[id]);
        self.deleted.push(id);
        DELETED
    }

    fn finish(&self, ctx: &mut Ctx<'_>, key: &[u8]) {
        if !self.deleted.is_empty() {
            ctx.ks.modified(key);
            ctx.ks.notify(NotifyClass::STREAM, "xdel", key);
        }
        ctx.ks.dirty += (self.deleted.len() + self.acknowledged.len()) as u64;
        if !ctx.engine().log.is_active() {
            return;
        }
        for (name, id) in &self.acknowledged {
            ctx.propagate(&[b"XACK", key, name, id.to_string().as_bytes()]);
        }
        if !self.deleted.is_empty() {
            let ids: Vec<String> = self.deleted.iter().map(StreamId::to_string).collect();
            let mut words: Vec<&[u8]> = vec![b"XDEL", key];
            words.extend(ids.iter().map(String::as_bytes));
            ctx.propagate(&words);
        }
    }
}

/// Runs `each` on the stream for every ID and replies with what it says.
fn run(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    ids: &[StreamId],
    mut each: impl FnMut(&mut Changes, &mut Stream, StreamId) -> i64,
) -> CmdResult {
    let known = is_stream(&mut ctx.ks, key)?;
    let stream = if known { ctx.ks.stream_mut(key)? } else { None };
    let mut changes = Changes::default();
    let replies: Vec<i64> = match stream {
        Some(stream) => ids
            .iter()
            .map(|id| each(&mut changes, stream, *id))
            .collect(),
        None => vec![MISSING; ids.len()],
    };
    ctx.out.array(replies.len());
    for reply in replies {
        ctx.out.int(reply);
    }
    changes.finish(ctx, key);
    Ok(())
}

fn xdelex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (references, ids) = parse(args, 2)?;
    run(ctx, args[1], &ids, |changes, stream, id| {
        changes.delete(stream, id, references)
    })
}

fn xackdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (references, ids) = parse(args, 3)?;
    let name = args[2];
    run(ctx, args[1], &ids, |changes, stream, id| {
        if !changes.acknowledge(stream, name, id) {
            return MISSING;
        }
        changes.delete(stream, id, references)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// Entries 1-1 to 4-1; `g` has read all and acknowledged 1-1, `h` has read two.
    fn client() -> Client {
        let mut c = Client::with_events();
        for id in 1..=4 {
            c.run(&format!("XADD s {id}-1 f v"));
        }
        c.run("XGROUP CREATE s g 0");
        c.run("XGROUP CREATE s h 0");
        c.run("XREADGROUP GROUP g me STREAMS s >");
        c.run("XREADGROUP GROUP h me COUNT 2 STREAMS s >");
        c.run("XACK s g 1-1");
        c
    }

    fn pending(c: &mut Client, group: &str) -> i64 {
        let reply = c.run(&format!("XPENDING s {group}"));
        let count = reply.lines().nth(1).and_then(|line| line[1..].parse().ok());
        count.expect("a count")
    }

    #[test]
    fn what_becomes_of_references() {
        for (how, replies, g, h) in [
            ("", [1, 1, -1], 3, 2),
            ("KEEPREF", [1, 1, -1], 3, 2),
            ("DELREF", [1, 1, -1], 2, 0),
            ("ACKED", [2, 2, -1], 3, 2),
        ] {
            let mut c = client();
            let line = format!("XDELEX s {how} IDS 3 1-1 2-1 9-9").replace("  ", " ");
            let [a, b, missing] = replies;
            let reply = format!("*3\r\n:{a}\r\n:{b}\r\n:{missing}\r\n");
            assert_eq!(c.run(&line), reply, "{line}");
            assert_eq!(
                (pending(&mut c, "g"), pending(&mut c, "h")),
                (g, h),
                "{line}"
            );
        }
        let mut c = client();
        c.run("XACK s h 1-1");
        assert_eq!(c.run("XDELEX s IDS 2 1-1 3-1 ACKED"), "*2\r\n:1\r\n:2\r\n");
        // Dangling references go as well.
        c.run("XDEL s 2-1");
        assert_eq!(c.run("XDELEX s DELREF IDS 1 2-1"), "*1\r\n:-1\r\n");
        assert_eq!((pending(&mut c, "g"), pending(&mut c, "h")), (2, 0));
        assert_eq!(c.run("XDELEX none IDS 2 1 2"), "*2\r\n:-1\r\n:-1\r\n");
    }

    #[test]
    fn acknowledging_and_deleting() {
        let mut c = client();
        let log = c.record_log();
        c.events();
        assert_eq!(
            c.run("XACKDEL s g ACKED IDS 3 1-1 2-1 3-1"),
            "*3\r\n:-1\r\n:2\r\n:2\r\n"
        );
        assert_eq!(c.run("XLEN s"), ":4\r\n");
        assert_eq!(c.run("XACKDEL s h ACKED IDS 1 2-1"), "*1\r\n:1\r\n");
        assert_eq!(c.run("XACKDEL s h DELREF IDS 1 1-1"), "*1\r\n:1\r\n");
        assert_eq!(c.run("XACKDEL s none IDS 1 4-1"), "*1\r\n:-1\r\n");
        assert_eq!(c.run("XLEN s"), ":2\r\n");
        assert_eq!(c.events(), ["xdel s", "xdel s"]);
        assert_eq!(
            log.take(),
            [
                "MULTI",
                "XACK s g 2-1",
                "XACK s g 3-1",
                "EXEC",
                "MULTI",
                "XACK s h 2-1",
                "XDEL s 2-1",
                "EXEC",
                "MULTI",
                "XACK s h 1-1",
                "XDEL s 1-1",
                "EXEC",
            ]
        );
    }

    #[test]
    fn refused_requests() {
        let mut c = client();
        let number = "Number of IDs must be a positive integer";
        let few = "The `numids` parameter must match the number of arguments";
        for (line, error) in [
            ("XDELEX s KEEPREF DELREF IDS 1 1-1", "syntax error"),
            ("XDELEX s IDS 1 1-1 2-1", "syntax error"),
            ("XDELEX s KEEPREF ACKED 1 1-1", "syntax error"),
            ("XDELEX s IDS 0 1-1", number),
            ("XDELEX s IDS x 1-1", number),
            ("XDELEX s IDS 9223372036854775807 1-1", few),
            (
                "XDELEX s IDS 1 x",
                "Invalid stream ID specified as stream command argument",
            ),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
        c.run("SET k v");
        assert!(c.run("XDELEX k IDS 1 1-1").starts_with("-WRONGTYPE "));
    }
}
