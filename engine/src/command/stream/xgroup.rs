//! XGROUP: making, moving and removing consumer groups and their consumers.

use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};

use super::args as stream_args;
use super::groups::{no_group_for_key, subcommand_syntax};
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::error::ReplyError;
use crate::keyspace::{Kind, Look, NotifyClass};
use crate::value::stream::{self, StreamId};

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "xgroup",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Groups the commands about consumer groups.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            name: "create",
            group: Group::Stream,
            since: "5.0.0",
            summary: "Adds a consumer group to a stream.",
            complexity: "O(1)",
            arity: -5,
            flags: Flags::WRITE.or(Flags::DENYOOM),
            acl: Acl::STREAM,
            keys: &[KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT))],
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("group", ArgType::String),
                ArgSpec {
                    args: &[
                        ArgSpec::new("id", ArgType::String),
                        ArgSpec {
                            token: "$",
                            ..ArgSpec::new("new-id", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("id-selector", ArgType::OneOf)
                },
                ArgSpec {
                    token: "MKSTREAM",
                    optional: true,
                    ..ArgSpec::new("mkstream", ArgType::PureToken)
                },
                ArgSpec {
                    token: "ENTRIESREAD",
                    display: "entries-read",
                    optional: true,
                    ..ArgSpec::new("entriesread", ArgType::Integer)
                },
            ],
            history: &[("7.0.0", "New argument `entries_read`.")],
            handler: xgroup_create,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "createconsumer",
            group: Group::Stream,
            since: "6.2.0",
            summary: "Adds a consumer to a group.",
            complexity: "O(1)",
            arity: 5,
            flags: Flags::WRITE.or(Flags::DENYOOM),
            acl: Acl::STREAM,
            keys: &[KeySpec::one(2, KeyFlags::RW.or(KeyFlags::INSERT))],
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("group", ArgType::String),
                ArgSpec::new("consumer", ArgType::String),
            ],
            handler: xgroup_createconsumer,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "delconsumer",
            group: Group::Stream,
            since: "5.0.0",
            summary: "Removes a consumer and its pending entries from a group.",
            complexity: "O(1)",
            arity: 5,
            flags: Flags::WRITE,
            acl: Acl::STREAM,
            keys: &[KeySpec::one(2, KeyFlags::RW.or(KeyFlags::DELETE))],
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("group", ArgType::String),
                ArgSpec::new("consumer", ArgType::String),
            ],
            handler: xgroup_delconsumer,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "destroy",
            group: Group::Stream,
            since: "5.0.0",
            summary: "Takes a consumer group off a stream.",
            complexity: "O(N), N being the pending entries of the group.",
            arity: 4,
            flags: Flags::WRITE,
            acl: Acl::STREAM,
            keys: &[KeySpec::one(2, KeyFlags::RW.or(KeyFlags::DELETE))],
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("group", ArgType::String),
            ],
            handler: xgroup_destroy,
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
            handler: xgroup_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "setid",
            group: Group::Stream,
            since: "5.0.0",
            summary: "Changes the ID after which a group goes on reading.",
            complexity: "O(1)",
            arity: -5,
            flags: Flags::WRITE,
            acl: Acl::STREAM,
            keys: &[KeySpec::one(2, KeyFlags::RW.or(KeyFlags::UPDATE))],
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec::new("group", ArgType::String),
                ArgSpec {
                    args: &[
                        ArgSpec::new("id", ArgType::String),
                        ArgSpec {
                            token: "$",
                            ..ArgSpec::new("new-id", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("id-selector", ArgType::OneOf)
                },
                ArgSpec {
                    token: "ENTRIESREAD",
                    display: "entries-read",
                    optional: true,
                    ..ArgSpec::new("entriesread", ArgType::Integer)
                },
            ],
            history: &[("7.0.0", "New optional argument `entries_read`.")],
            handler: xgroup_setid,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
];

fn xgroup_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("xgroup", HELP);
    Ok(())
}

/// Options of CREATE and SETID.
#[derive(Default)]
struct Options {
    mkstream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, may_create: bool) -> Result<Options, ReplyError> {
        let mut options = Options::default();
        let mut words = args::Cursor::new(args, 5);
        while words.remaining() > 0 {
            if may_create && words.take("MKSTREAM") {
                options.mkstream = true;
            } else if words.remaining() > 1 && words.take("ENTRIESREAD") {
                options.entries_read = match args::int(words.required()?)? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| {
                        ReplyError::err("value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            } else {
                return Err(subcommand_syntax("XGROUP", args[1]));
            }
        }
        Ok(options)
    }
}

/// The last ID of the stream of a key; `None` if there is no key.
fn last_id(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Option<StreamId>, ReplyError> {
    match ctx.ks.look(key, Look::WRITE) {
        None => Ok(None),
        Some(found) if found.header.kind != Kind::Stream => Err(ReplyError::WRONG_TYPE),
        Some(_) => Ok(ctx.ks.stream_mut(key)?.map(|stream| stream.last_id())),
    }
}

/// As [`last_id`], for what needs the key to exist.
fn last_id_of_existing(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<StreamId, ReplyError> {
    last_id(ctx, key)?.ok_or_else(|| {
        ReplyError::err(
            "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want \
             to use the MKSTREAM option to create an empty stream automatically.",
        )
    })
}

fn xgroup_create(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name, id) = (args[2], args[3], args[4]);
    let options = Options::parse(args, true)?;
    let last = if options.mkstream {
        last_id(ctx, key)?
    } else {
        Some(last_id_of_existing(ctx, key)?)
    };
    if args.len() > 8 {
        return Err(subcommand_syntax("XGROUP", args[1]));
    }
    let id = match id {
        b"$" => last.unwrap_or(StreamId::MIN),
        id => stream_args::strict_id(id, 0)?,
    };
    let stream = ctx.ks.stream_or_create(key)?;
    let group = stream::Group::new(id, options.entries_read);
    let added = stream.groups.add(name, group);
    if last.is_none() {
        ctx.ks.modified(key);
    }
    if !added {
        return Err(ReplyError::raw(
            "BUSYGROUP Consumer Group name already exists",
        ));
    }
    ctx.out.ok();
    ctx.ks.dirty += 1;
    ctx.ks.notify(NotifyClass::STREAM, "xgroup-create", key);
    Ok(())
}

fn xgroup_setid(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name, id) = (args[2], args[3], args[4]);
    let options = Options::parse(args, false)?;
    let last = last_id_of_existing(ctx, key)?;
    let Some(group) = existing_group(ctx, key, name)? else {
        return Err(no_group_for_key(key, name));
    };
    if args.len() != 5 && args.len() != 7 {
        return Err(subcommand_syntax("XGROUP", args[1]));
    }
    group.last_id = match id {
        b"$" => last,
        id => stream_args::id(id, 0)?,
    };
    group.entries_read = options.entries_read;
    ctx.out.ok();
    ctx.ks.dirty += 1;
    ctx.ks.notify(NotifyClass::STREAM, "xgroup-setid", key);
    Ok(())
}

/// A group of a stream that was looked up already.
fn existing_group<'k>(
    ctx: &'k mut Ctx<'_>,
    key: &[u8],
    name: &[u8],
) -> Result<Option<&'k mut stream::Group>, ReplyError> {
    let stream = ctx.ks.stream_mut(key)?;
    Ok(stream.and_then(|stream| stream.groups.get_mut(name)))
}

fn xgroup_destroy(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name) = (args[2], args[3]);
    last_id_of_existing(ctx, key)?;
    let stream = ctx.ks.stream_mut(key)?;
    let gone = stream.and_then(|stream| stream.groups.remove(name));
    ctx.out.int(i64::from(gone.is_some()));
    if gone.is_some() {
        ctx.ks.dirty += 1;
        ctx.ks.notify(NotifyClass::STREAM, "xgroup-destroy", key);
        // Those who wait to read for the group must learn that it is gone.
        ctx.ks.signal_ready(key);
    }
    Ok(())
}

fn xgroup_createconsumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name) = (args[2], args[3]);
    last_id_of_existing(ctx, key)?;
    let now_ms = ctx.ks.now_ms;
    let Some(group) = existing_group(ctx, key, name)? else {
        return Err(no_group_for_key(key, name));
    };
    let added = group.pending.add_consumer(args[4], now_ms).is_some();
    if added {
        ctx.ks.dirty += 1;
        ctx.ks
            .notify(NotifyClass::STREAM, "xgroup-createconsumer", key);
    }
    ctx.out.int(i64::from(added));
    Ok(())
}

fn xgroup_delconsumer(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (key, name) = (args[2], args[3]);
    last_id_of_existing(ctx, key)?;
    let Some(group) = existing_group(ctx, key, name)? else {
        return Err(no_group_for_key(key, name));
    };
    let pending = group.pending.remove_consumer(args[4]);
    if pending.is_some() {
        ctx.ks.dirty += 1;
        ctx.ks
            .notify(NotifyClass::STREAM, "xgroup-delconsumer", key);
    }
    ctx.out.count(pending.unwrap_or(0));
    Ok(())
}
