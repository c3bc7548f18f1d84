//! XINFO: what there is to know of a stream, its groups and their consumers.

use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use super::groups::{no_group_for_key, subcommand_syntax};
use super::reply;
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::error::ReplyError;
use crate::reply::Reply;
use crate::value::Stream;
use crate::value::stream::{self, Consumer, Extent, StreamId};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xinfo",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Groups the commands that look at streams.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            name: "consumers",
            group: Group::Stream,
            since: "5.0.0",
            summary: "Describes the consumers of a group.",
            complexity: "O(1)",
            arity: 4,
            flags: Flags::READONLY,
            acl: Acl::STREAM,
            keys: &[KeySpec::one(2, KeyFlags::RO.or(KeyFlags::ACCESS))],
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("group", ArgType::String),
            ],
            tips: &["nondeterministic_output"],
            history: &[(
                "7.2.0",
                "New field `inactive`; `idle` now counts from the last attempt.",
            )],
            handler: xinfo_consumers,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "groups",
            group: Group::Stream,
            since: "5.0.0",
            summary: "Reports the state of each consumer group of a stream.",
            complexity: "O(1)",
            arity: 3,
            flags: Flags::READONLY,
            acl: Acl::STREAM,
            keys: &[KeySpec::one(2, KeyFlags::RO.or(KeyFlags::ACCESS))],
            args: &[ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            }],
            history: &[("7.0.0", "New fields `entries-read` and `lag`.")],
            handler: xinfo_groups,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "help",
            group: Group::Stream,
            since: "5.0.0",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE),
            acl: Acl::STREAM,
            handler: xinfo_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "stream",
            group: Group::Stream,
            since: "5.0.0",
            summary: "Describes a stream, with `FULL` down to groups and pending entries.",
            complexity: "O(1)",
            arity: -3,
            flags: Flags::READONLY,
            acl: Acl::STREAM,
            keys: &[KeySpec::one(2, KeyFlags::RO.or(KeyFlags::ACCESS))],
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec {
                    optional: true,
                    args: &[
                        ArgSpec {
                            token: "FULL",
                            ..ArgSpec::new("full", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "COUNT",
                            optional: true,
                            ..ArgSpec::new("count", ArgType::Integer)
                        },
                    ],
                    ..ArgSpec::new("full-block", ArgType::Block)
                },
            ],
            history: &[
                ("6.0.0", "New option `FULL`."),
                (
                    "7.0.0",
                    "New fields `max-deleted-entry-id`, `entries-added`, \
                    `recorded-first-entry-id`, `entries-read` and `lag`.",
                ),
                (
                    "7.2.0",
                    "New field `active-time`; `seen-time` now tells the last attempt.",
                ),
            ],
            handler: xinfo_stream,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
];
/// Entries and pending entries that FULL shows unless told otherwise.
const DEFAULT_COUNT: usize = 10;

fn xinfo_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("xinfo", HELP);
    Ok(())
}

fn existing<'k>(
    ctx: &'k mut Ctx<'_>,
    key: &[u8],
) -> Result<(&'k Stream, &'k mut Reply), ReplyError> {
    let stream = ctx.ks.stream(key)?.ok_or(ReplyError::NO_SUCH_KEY)?;
    Ok((stream, ctx.out))
}

fn xinfo_consumers(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name) = (args[2], args[3]);
    let now_ms = ctx.ks.now_ms;
    let (stream, out) = existing(ctx, key)?;
    let Some(group) = stream.groups.get(name) else {
        return Err(no_group_for_key(key, name));
    };
    out.array(group.pending.consumer_count());
    for consumer in group.pending.consumers() {
        let idle_ms = now_ms.saturating_sub(consumer.seen_time).max(0);
        let inactive_ms = consumer.active_time.map(|at| now_ms.saturating_sub(at));
        out.map(4);
        field(out, "name").bulk(consumer.name());
        field(out, "pending").count(consumer.pending().len());
        field(out, "idle").int(idle_ms);
        field(out, "inactive").int(inactive_ms.unwrap_or(-1));
    }
    Ok(())
}

fn xinfo_groups(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (stream, out) = existing(ctx, args[2])?;
    let extent = stream.extent();
    out.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        out.map(6);
        field(out, "name").bulk(name);
        field(out, "consumers").count(group.pending.consumer_count());
        field(out, "pending").count(group.pending.len());
        progress(out, group, extent);
    }
    Ok(())
}

fn xinfo_stream(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[2];
    // Redis looks the key up before it reads the options.
    let (stream, out) = existing(ctx, key)?;
    match full_count(args)? {
        None => {
            out.map(10);
            head(out, stream);
            field(out, "groups").count(stream.groups.len());
            for (name, entry) in [
                ("first-entry", stream.first()),
                ("last-entry", stream.last()),
            ] {
                field(out, name);
                match entry {
                    Some(entry) => reply::entry(out, &entry),
                    None => out.null(),
                }
            }
        }
        Some(count) => {
            out.map(9);
            head(out, stream);
            field(out, "entries");
            reply::entries(out, stream.range(StreamId::MIN, StreamId::MAX), count);
            field(out, "groups").array(stream.groups.len());
            for (name, group) in stream.groups.iter() {
                full_group(out, name, group, stream.extent(), count);
            }
        }
    }
    Ok(())
}

/// How much FULL is to show; `None` without it.
fn full_count(args: Args<'_>) -> Result<Option<usize>, ReplyError> {
    let syntax = || subcommand_syntax("XINFO", args[1]);
    let count = match args.get(3..) {
        None | Some([]) => return Ok(None),
        Some([full]) if args::is(full, "FULL") => return Ok(Some(DEFAULT_COUNT)),
        Some([full, word, count]) if args::is(full, "FULL") && args::is(word, "COUNT") => {
            args::int(count)?
        }
        Some(_) => return Err(syntax()),
    };
    Ok(Some(match count {
        0 => usize::MAX,
        count => usize::try_from(count).unwrap_or(DEFAULT_COUNT),
    }))
}

/// Writes the name of a field; its value comes next.
fn field<'r>(out: &'r mut Reply, name: &str) -> &'r mut Reply {
    out.bulk(name.as_bytes());
    out
}

fn head(out: &mut Reply, stream: &Stream) {
    let extent = stream.extent();
    let int = |n: u64| n.cast_signed();
    field(out, "length").int(int(extent.length));
    field(out, "radix-tree-keys").count(stream.node_count());
    field(out, "radix-tree-nodes").count(radix_nodes(stream.nodes().map(|(master, _)| master)));
    reply::id(field(out, "last-generated-id"), extent.last_id);
    reply::id(field(out, "max-deleted-entry-id"), extent.max_deleted_id);
    field(out, "entries-added").int(int(extent.entries_added));
    reply::id(field(out, "recorded-first-entry-id"), extent.first_id);
}

/// `last-delivered-id`, `entries-read` and `lag` of a group.
fn progress(out: &mut Reply, group: &stream::Group, extent: &Extent) {
    reply::id(field(out, "last-delivered-id"), group.last_id);
    for (name, value) in [
        ("entries-read", group.entries_read.map(u64::cast_signed)),
        ("lag", group.lag(extent)),
    ] {
        field(out, name);
        match value {
            Some(value) => out.int(value),
            None => out.null(),
        }
    }
}

fn full_group(out: &mut Reply, name: &[u8], group: &stream::Group, extent: &Extent, count: usize) {
    let pending = &group.pending;
    out.map(7);
    field(out, "name").bulk(name);
    progress(out, group, extent);
    field(out, "pel-count").count(pending.len());
    field(out, "pending").array(pending.len().min(count));
    for (id, nack) in pending.entries().iter().take(count) {
        out.array(4);
        reply::id(out, *id);
        out.bulk(pending.name(nack.consumer));
        out.int(nack.delivery_time);
        out.int(nack.delivery_count.cast_signed());
    }
    field(out, "consumers").array(pending.consumer_count());
    for consumer in pending.consumers() {
        full_consumer(out, consumer, pending, count);
    }
}

fn full_consumer(out: &mut Reply, consumer: &Consumer, pending: &stream::Pending, count: usize) {
    let ids = consumer.pending();
    out.map(5);
    field(out, "name").bulk(consumer.name());
    field(out, "seen-time").int(consumer.seen_time);
    field(out, "active-time").int(consumer.active_time.unwrap_or(-1));
    field(out, "pel-count").count(ids.len());
    field(out, "pending").array(ids.len().min(count));
    for id in ids.keys().take(count) {
        let nack = pending.get(*id);
        out.array(3);
        reply::id(out, *id);
        out.int(nack.map_or(0, |nack| nack.delivery_time));
        out.int(nack.map_or(0, |nack| nack.delivery_count.cast_signed()));
    }
}

/// How many nodes Redis's radix tree has with these keys, in ascending order. O(keys).
///
/// A node for each key ends its path, one stands at each place where paths part, and one for
/// each run of bytes between such places that is not empty; a tree without keys has its root.
fn radix_nodes(ids: impl Iterator<Item = StreamId>) -> usize {
    const KEY: usize = size_of::<StreamId>();
    let mut nodes = 0;
    // The places, counted in bytes from the root, where the path of the newest key parted.
    let mut parts: Vec<usize> = Vec::new();
    let mut previous: Option<[u8; KEY]> = None;
    // A run from behind a place (or from the root) to a depth.
    let run = |from: Option<usize>, to: usize| usize::from(to > from.map_or(0, |at| at + 1));
    for id in ids {
        let key = id.to_bytes();
        if let Some(previous) = previous {
            let same = key.iter().zip(&previous).take_while(|(a, b)| a == b);
            let at = same.count();
            let mut deepest = parts.last().copied();
            nodes += 1 + run(deepest.max(Some(at)), KEY);
            while let Some(part) = deepest.filter(|part| *part > at) {
                parts.pop();
                deepest = parts.last().copied();
                nodes += 1 + run(deepest.max(Some(at)), part);
            }
            if deepest != Some(at) {
                parts.push(at);
            }
        }
        previous = Some(key);
    }
    if previous.is_none() {
        return 1;
    }
    nodes += 1 + run(parts.last().copied(), KEY);
    while let Some(part) = parts.pop() {
        nodes += 1 + run(parts.last().copied(), part);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The same count from a tree of single bytes, whose runs are found by walking it.
    fn by_walking(ids: &[StreamId]) -> usize {
        #[derive(Default)]
        struct Node(HashMap<u8, Node>);
        fn walk(node: &Node) -> usize {
            match node.0.len() {
                0 => 1,
                1 => {
                    let mut end = node;
                    while end.0.len() == 1 {
                        end = end.0.values().next().expect("one");
                    }
                    1 + walk(end)
                }
                _ => 1 + node.0.values().map(walk).sum::<usize>(),
            }
        }
        let mut root = Node::default();
        for id in ids {
            let bytes = id.to_bytes();
            let mut node = &mut root;
            for byte in bytes {
                node = node.0.entry(byte).or_default();
            }
        }
        walk(&root)
    }

    #[test]
    fn nodes_of_the_radix_tree_are_counted_without_it() {
        assert_eq!(radix_nodes([].into_iter()), 1);
        assert_eq!(radix_nodes([StreamId::new(1, 1)].into_iter()), 2);
        let mut state = 1u64;
        for count in [2, 3, 7, 50, 700] {
            for spread in [1, 3, 300, 70_000, u64::MAX] {
                let mut ids: Vec<_> = (0..count)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(99);
                        StreamId::new((state >> 20) % spread, (state >> 9) % 5)
                    })
                    .collect();
                ids.sort_unstable();
                ids.dedup();
                let expected = by_walking(&ids);
                assert_eq!(radix_nodes(ids.into_iter()), expected, "{count} {spread}");
            }
        }
    }
}
