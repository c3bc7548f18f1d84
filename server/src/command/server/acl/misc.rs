//! ACL CAT, GENPASS, WHOAMI and HELP: what does not concern a user's rules.

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group,
};
use basalt_engine::command::{Ctx, args};

use super::PLAIN_FLAGS;
use crate::client::Conn;

/// `ACL CAT`.
pub(super) const CAT: CommandSpec = CommandSpec {
    name: "cat",
    group: Group::Server,
    since: "6.0.0",
    summary: "Lists the command categories, or the commands in one of them.",
    complexity: "O(1), as there is a fixed number of both.",
    arity: -2,
    flags: PLAIN_FLAGS,
    args: &[ArgSpec {
        optional: true,
        ..ArgSpec::new("category", ArgType::String)
    }],
    handler: acl_cat,
    ..CommandSpec::BLANK
};

/// `ACL GENPASS`.
pub(super) const GENPASS: CommandSpec = CommandSpec {
    name: "genpass",
    group: Group::Server,
    since: "6.0.0",
    summary: "Makes a random password.",
    complexity: "O(1)",
    arity: -2,
    flags: PLAIN_FLAGS,
    args: &[ArgSpec {
        optional: true,
        ..ArgSpec::new("bits", ArgType::Integer)
    }],
    handler: acl_genpass,
    ..CommandSpec::BLANK
};

/// `ACL WHOAMI`.
pub(super) const WHOAMI: CommandSpec = CommandSpec {
    name: "whoami",
    group: Group::Server,
    since: "6.0.0",
    summary: "Names the user this connection is logged in as.",
    complexity: "O(1)",
    arity: 2,
    flags: PLAIN_FLAGS,
    handler: acl_whoami,
    ..CommandSpec::BLANK
};

/// `ACL HELP`.
pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    group: Group::Server,
    since: "6.0.0",
    summary: "Lists the subcommands with a line on each.",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::SENTINEL),
    handler: acl_help,
    ..CommandSpec::BLANK
};

const HELP_LINES: &[&str] = &[
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
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
        _ => return Err(super::super::subcommand_syntax(words)),
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
        _ => return Err(super::super::subcommand_syntax(words)),
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

fn acl_whoami(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let account = Conn::of(ctx).account.clone();
    ctx.out.bulk(account.name());
    Ok(())
}

fn acl_help(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.help("acl", HELP_LINES);
    Ok(())
}
