//! ACL while there is one user, `default`, who may do everything.

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};

use crate::client::Conn;

/// The container's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "acl",
    group: Group::Server,
    since: "6.0.0",
    summary: "Groups the commands about users and what they may do.",
    complexity: "That of the subcommand.",
    arity: -2,
    flags: Flags::SENTINEL,
    subcommands: &[
        CommandSpec {
            name: "cat",
            group: Group::Server,
            since: "6.0.0",
            summary: "Lists the command categories, or the commands in one of them.",
            complexity: "O(1), as there is a fixed number of both.",
            arity: -2,
            flags: Flags::NOSCRIPT
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::SENTINEL),
            args: &[ArgSpec {
                optional: true,
                ..ArgSpec::new("category", ArgType::String)
            }],
            handler: acl_cat,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "genpass",
            group: Group::Server,
            since: "6.0.0",
            summary: "Makes a random password.",
            complexity: "O(1)",
            arity: -2,
            flags: Flags::NOSCRIPT
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::SENTINEL),
            args: &[ArgSpec {
                optional: true,
                ..ArgSpec::new("bits", ArgType::Integer)
            }],
            handler: acl_genpass,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "help",
            group: Group::Server,
            since: "6.0.0",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
            handler: acl_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "list",
            group: Group::Server,
            since: "6.0.0",
            summary: "Writes all users as lines of an ACL file.",
            complexity: "O(N) for N users.",
            arity: 2,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::SENTINEL),
            handler: acl_list,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "users",
            group: Group::Server,
            since: "6.0.0",
            summary: "Lists the names of all users.",
            complexity: "O(N) for N users.",
            arity: 2,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::SENTINEL),
            handler: acl_users,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "whoami",
            group: Group::Server,
            since: "6.0.0",
            summary: "Names the user this connection is logged in as.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::NOSCRIPT
                .or(Flags::LOADING)
                .or(Flags::STALE)
                .or(Flags::SENTINEL),
            handler: acl_whoami,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
];

fn acl_cat(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let word = match words {
        [_, _] => {
            let all: Vec<&str> = Acl(u64::MAX).names().collect();
            ctx.out.array(all.len());
            all.iter().for_each(|name| ctx.out.bulk(name.as_bytes()));
            return Ok(());
        }
        [_, _, word] => *word,
        _ => return Err(super::subcommand_syntax(words)),
    };
    let Some(category) = std::str::from_utf8(word).ok().and_then(Acl::by_name) else {
        let shown = basalt_engine::shown(&word[..word.len().min(128)]);
        return Err(ReplyError::err(format_args!("Unknown category '{shown}'")));
    };
    let commands = ctx.engine().registry.all().iter();
    let commands: Vec<_> = commands
        .filter(|command| command.acl.has(category))
        .collect();
    ctx.out.array(commands.len());
    commands
        .iter()
        .for_each(|command| ctx.out.bulk(command.name.as_bytes()));
    Ok(())
}

/// Most bits of a generated password.
const GENPASS_MAX_BITS: usize = 4096;

fn acl_genpass(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let bits = match words {
        [_, _] => 256,
        [_, _, word] => args::int(word)?,
        _ => return Err(super::subcommand_syntax(words)),
    };
    let bits = usize::try_from(bits)
        .ok()
        .filter(|bits| (1..=GENPASS_MAX_BITS).contains(bits))
        .ok_or_else(|| {
            ReplyError::err(format_args!(
                "ACL GENPASS argument must be the number of bits for the output password, a positive number up to {GENPASS_MAX_BITS}"
            ))
        })?;
    let mut bytes = [0u8; GENPASS_MAX_BITS / 8];
    getrandom::fill(&mut bytes).map_err(|_| ReplyError::err("no random numbers"))?;
    let mut password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    password.truncate(bits.div_ceil(4));
    ctx.out.bulk(password.as_bytes());
    Ok(())
}

fn acl_list(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let password = match *Conn::of(ctx).server.password.lock() {
        None => "nopass".to_owned(),
        Some(hash) => {
            let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("#{digits}")
        }
    };
    // Redis writes what concerns all users first, then passwords, keys, channels, commands.
    let rules = match password.as_str() {
        "nopass" => "user default on nopass sanitize-payload ~* &* +@all".to_owned(),
        hash => format!("user default on sanitize-payload {hash} ~* &* +@all"),
    };
    ctx.out.array(1);
    ctx.out.bulk(rules.as_bytes());
    Ok(())
}

fn acl_users(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.array(1);
    ctx.out.bulk(b"default");
    Ok(())
}

fn acl_whoami(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let user = Conn::of(ctx).handle.labels.lock().user.clone();
    ctx.out.bulk(user.as_bytes());
    Ok(())
}

fn acl_help(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.help("acl", HELP);
    Ok(())
}
