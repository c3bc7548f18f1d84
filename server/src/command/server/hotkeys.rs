//! HOTKEYS of Redis 8.6: finding the keys that cost the most time and bytes.

use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group};
use basalt_engine::command::{Ctx, args};
use basalt_engine::{Reply, ReplyError};

use super::info::own_cpu;
use crate::client::Conn;
use crate::hotkeys::Wanted;

/// Keys reported unless said otherwise, and at most.
const DEFAULT_COUNT: usize = 10;
const MAX_COUNT: i64 = 64;
const MAX_DURATION_S: i64 = 1_000_000;

/// The container's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "hotkeys",
    group: Group::Server,
    since: "8.6.0",
    summary: "Groups the commands about keys that cost the most.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            name: "get",
            group: Group::Server,
            since: "8.6.0",
            summary: "Shows what the tracking of hot keys has found.",
            complexity: "O(K) for K keys returned.",
            arity: 2,
            flags: Flags::ADMIN.or(Flags::NOSCRIPT),
            handler: get,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "help",
            group: Group::Server,
            since: "8.6.1",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE),
            handler: help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "reset",
            group: Group::Server,
            since: "8.6.0",
            summary: "Forgets what the tracking of hot keys has found.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::ADMIN.or(Flags::NOSCRIPT),
            handler: reset,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "start",
            group: Group::Server,
            since: "8.6.0",
            summary: "Begins to track hot keys.",
            complexity: "O(1)",
            arity: -2,
            flags: Flags::ADMIN.or(Flags::NOSCRIPT),
            args: START_ARGS,
            handler: start,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "stop",
            group: Group::Server,
            since: "8.6.0",
            summary: "Ends the tracking of hot keys and keeps what it found.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::ADMIN.or(Flags::NOSCRIPT),
            handler: stop,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

const START_ARGS: &[ArgSpec] = &[
    ArgSpec {
        token: "METRICS",
        args: &[
            ArgSpec::new("count", ArgType::Integer),
            ArgSpec {
                token: "CPU",
                optional: true,
                ..ArgSpec::new("cpu", ArgType::PureToken)
            },
            ArgSpec {
                token: "NET",
                optional: true,
                ..ArgSpec::new("net", ArgType::PureToken)
            },
        ],
        ..ArgSpec::new("metrics", ArgType::Block)
    },
    ArgSpec {
        token: "COUNT",
        optional: true,
        ..ArgSpec::new("k", ArgType::Integer)
    },
    ArgSpec {
        token: "DURATION",
        optional: true,
        ..ArgSpec::new("seconds", ArgType::Integer)
    },
    ArgSpec {
        token: "SAMPLE",
        optional: true,
        ..ArgSpec::new("ratio", ArgType::Integer)
    },
    ArgSpec {
        token: "SLOTS",
        optional: true,
        args: &[
            ArgSpec::new("count", ArgType::Integer),
            ArgSpec {
                multiple: true,
                ..ArgSpec::new("slot", ArgType::Integer)
            },
        ],
        ..ArgSpec::new("slots", ArgType::Block)
    },
];

const HELP: &[&str] = &[
    "START METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>] [SAMPLE <ratio>]",
    "    Begin to find the keys that cost the most.",
    "    * METRICS: how many metrics follow: CPU for time, NET for bytes.",
    "    * COUNT: how many keys to report (1 to 64, 10 if not given).",
    "    * DURATION: end after so many seconds.",
    "    * SAMPLE: look at one of so many commands.",
    "STOP",
    "    End it, and keep what was found.",
    "GET",
    "    Show what was found.",
    "RESET",
    "    Forget what was found, once it has ended.",
];

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("hotkeys", HELP);
    Ok(())
}

/// Reads the words after START.
fn parse(words: Args<'_>) -> Result<Wanted, ReplyError> {
    let mut cursor = args::Cursor::new(words, 2);
    if words.len() < 4 || !cursor.take("metrics") {
        return Err(ReplyError::err("METRICS parameter is required"));
    }
    let message = "METRICS count must be > 0 and <= 2";
    let metrics = args::int_in(cursor.required()?, 1, 2, message)?;
    let mut wanted = Wanted {
        cpu: false,
        net: false,
        count: DEFAULT_COUNT,
        duration_s: None,
        sample: 1,
    };
    for _ in 0..metrics {
        let Some(word) = cursor.next() else {
            return Err(ReplyError::err(
                "METRICS count does not match number of metric types provided",
            ));
        };
        // Metrics of later versions do no harm.
        for (name, metric) in [("CPU", &mut wanted.cpu), ("NET", &mut wanted.net)] {
            if args::is(word, name) && std::mem::replace(metric, true) {
                return Err(ReplyError::err(format_args!(
                    "METRICS {name} defined more than once!"
                )));
            }
        }
    }
    if !wanted.cpu && !wanted.net {
        return Err(ReplyError::err(
            "METRICS no valid metrics passed. Supported: CPU|NET",
        ));
    }
    let number = |word, max, message| {
        let number = args::int_in(word, 1, max, message)?;
        Ok::<_, ReplyError>(usize::try_from(number).unwrap_or(usize::MAX))
    };
    while let Some(option) = cursor.next() {
        let value = cursor.required()?;
        if args::is(option, "count") {
            wanted.count = number(value, MAX_COUNT, "COUNT must be between 1 and 64")?;
        } else if args::is(option, "duration") {
            let message = "DURATION must be between 1 and 1000000";
            wanted.duration_s = Some(args::int_in(value, 1, MAX_DURATION_S, message)?);
        } else if args::is(option, "sample") {
            wanted.sample = number(value, i32::MAX.into(), "SAMPLE ratio must be positive")?;
        } else if args::is(option, "slots") {
            return Err(ReplyError::err(
                "SLOTS parameter cannot be used in non-cluster mode",
            ));
        } else {
            return Err(ReplyError::SYNTAX);
        }
    }
    Ok(wanted)
}

fn start(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let hotkeys = &Conn::of(ctx).server.clone().hotkeys;
    let running = || ReplyError::err("hotkey tracking session already in progress");
    if hotkeys.is_active() && hotkeys.report(own_cpu).is_some_and(|report| report.active) {
        return Err(running());
    }
    let wanted = parse(words)?;
    if !hotkeys.start(wanted, own_cpu) {
        return Err(running());
    }
    ctx.out.ok();
    Ok(())
}

/// Stopping what does not run is answered with null.
fn stop(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if Conn::of(ctx).server.clone().hotkeys.stop(own_cpu) {
        ctx.out.ok();
    } else {
        ctx.out.null();
    }
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if !Conn::of(ctx).server.clone().hotkeys.reset(own_cpu) {
        return Err(ReplyError::err(
            "hotkey tracking session in progress, stop tracking first",
        ));
    }
    ctx.out.ok();
    Ok(())
}

fn get(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let report = Conn::of(ctx).server.clone().hotkeys.report(own_cpu);
    let out = &mut *ctx.out;
    let Some(report) = report else {
        out.null();
        return Ok(());
    };
    let Wanted { cpu, net, .. } = report.wanted;
    let integer = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let keys = |out: &mut Reply, name: &str, keys: &[(Vec<u8>, u64)]| {
        out.bulk(name.as_bytes());
        out.array(keys.len() * 2);
        for (key, amount) in keys {
            out.bulk(key);
            out.int(integer(*amount));
        }
    };
    out.array(1);
    out.map(7 + 3 * usize::from(cpu) + 2 * usize::from(net));
    for (name, value) in [
        ("tracking-active", i64::from(report.active)),
        ("sample-ratio", integer(report.wanted.sample as u64)),
    ] {
        out.bulk(name.as_bytes());
        out.int(value);
    }
    // Without a cluster all slots are this server's.
    out.bulk(b"selected-slots");
    out.array(1);
    out.array(2);
    out.int(0);
    out.int(16383);
    for (wanted, name, value) in [
        (true, "all-commands-all-slots-us", integer(report.micros)),
        (
            true,
            "net-bytes-all-commands-all-slots",
            integer(report.bytes),
        ),
        (true, "collection-start-time-unix-ms", report.began_ms),
        (true, "collection-duration-ms", report.duration_ms),
        (cpu, "total-cpu-time-user-ms", millis(report.cpu[1])),
        (cpu, "total-cpu-time-sys-ms", millis(report.cpu[0])),
        (net, "total-net-bytes", integer(report.bytes)),
    ] {
        if wanted {
            out.bulk(name.as_bytes());
            out.int(value);
        }
    }
    if cpu {
        keys(out, "by-cpu-time-us", &report.by_micros);
    }
    if net {
        keys(out, "by-net-bytes", &report.by_bytes);
    }
    Ok(())
}

fn millis(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
