//! COMMAND DOCS: what a person wants to know of a command, from the registry.

use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult};
use basalt_engine::command::{Command, Ctx};
use basalt_engine::{Aggregate, Reply};

pub(super) fn command_docs(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let registry = ctx.engine().registry;
    if args.len() == 2 {
        ctx.out.map(registry.commands().count());
        registry
            .commands()
            .for_each(|command| named(ctx.out, command));
        return Ok(());
    }
    let header = ctx.out.deferred();
    let found = args[2..].iter().filter_map(|name| registry.find_full(name));
    let count = found.map(|command| named(ctx.out, command)).count();
    ctx.out.close(header, Aggregate::Map, count);
    Ok(())
}

fn named(out: &mut Reply, command: &Command) {
    out.bulk(command.name.as_bytes());
    document(out, command);
}

fn text(out: &mut Reply, name: &str, value: &str) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}

/// Pairs whose value is not empty.
fn texts(out: &mut Reply, pairs: &[(&str, &str)]) -> usize {
    let present = pairs.iter().filter(|(_, value)| !value.is_empty());
    present.map(|(name, value)| text(out, name, value)).count()
}

fn document(out: &mut Reply, command: &Command) {
    let spec = command.spec;
    let header = out.deferred();
    let mut pairs = texts(
        out,
        &[
            ("summary", spec.summary),
            ("since", spec.since),
            ("group", spec.group.name()),
            ("complexity", spec.complexity),
        ],
    );
    let deprecated = !spec.deprecated_since.is_empty();
    let flags = [(deprecated, "deprecated"), (spec.syscmd, "syscmd")];
    let flags: Vec<_> = flags.iter().filter(|(set, _)| *set).collect();
    if !flags.is_empty() {
        out.bulk(b"doc_flags");
        out.set(flags.len());
        flags.iter().for_each(|(_, name)| out.simple(name));
        pairs += 1;
    }
    pairs += texts(
        out,
        &[
            ("deprecated_since", spec.deprecated_since),
            ("replaced_by", spec.replaced_by),
        ],
    );
    if !spec.history.is_empty() {
        out.bulk(b"history");
        out.set(spec.history.len());
        for (version, change) in spec.history {
            out.array(2);
            out.bulk(version.as_bytes());
            out.bulk(change.as_bytes());
        }
        pairs += 1;
    }
    if !spec.args.is_empty() {
        out.bulk(b"arguments");
        arguments(out, spec.args);
        pairs += 1;
    }
    if !command.subcommands.is_empty() {
        out.bulk(b"subcommands");
        out.map(command.subcommands.len());
        command.subcommands.iter().for_each(|sub| named(out, sub));
        pairs += 1;
    }
    out.close(header, Aggregate::Map, pairs);
}

fn arguments(out: &mut Reply, args: &[ArgSpec]) {
    out.array(args.len());
    args.iter().for_each(|arg| argument(out, arg));
}

fn argument(out: &mut Reply, arg: &ArgSpec) {
    let nested = matches!(arg.kind, ArgType::OneOf | ArgType::Block);
    let header = out.deferred();
    text(out, "name", arg.name);
    text(out, "type", arg.kind.name());
    let mut pairs = 2;
    if !nested {
        let shown = if arg.display.is_empty() {
            arg.name
        } else {
            arg.display
        };
        text(out, "display_text", shown);
        pairs += 1;
    }
    if arg.key_spec != -1 {
        out.bulk(b"key_spec_index");
        out.int(arg.key_spec.into());
        pairs += 1;
    }
    if !arg.token.is_empty() {
        text(out, "token", arg.token);
        pairs += 1;
    }
    pairs += texts(
        out,
        &[
            ("since", arg.since),
            ("deprecated_since", arg.deprecated_since),
        ],
    );
    let flags = [
        (arg.optional, "optional"),
        (arg.multiple, "multiple"),
        (arg.multiple_token, "multiple_token"),
    ];
    let flags: Vec<_> = flags.iter().filter(|(set, _)| *set).collect();
    if !flags.is_empty() {
        out.bulk(b"flags");
        out.set(flags.len());
        flags.iter().for_each(|(_, name)| out.simple(name));
        pairs += 1;
    }
    if nested {
        out.bulk(b"arguments");
        arguments(out, arg.args);
        pairs += 1;
    }
    out.close(header, Aggregate::Map, pairs);
}
