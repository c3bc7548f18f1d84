//! LATENCY: spikes by event, and the distribution of durations by command.

use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::command::spec::{ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group};
use basalt_engine::command::{Command, Ctx};
use basalt_engine::{Aggregate, Reply, ReplyError, shown};

use super::sparkline;
use crate::client::Conn;
use crate::histogram::Histogram;
use crate::latency::Event;
use crate::server::{Server, unix_ms};

/// The container's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "latency",
    group: Group::Server,
    since: "2.8.13",
    summary: "Groups the commands about latency spikes.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            name: "doctor",
            group: Group::Server,
            since: "2.8.13",
            summary: "Explains the recorded latency spikes in plain words.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            tips: &[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ],
            handler: latency_doctor,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "graph",
            group: Group::Server,
            since: "2.8.13",
            summary: "Draws the spikes of one event with characters.",
            complexity: "O(1)",
            arity: 3,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            args: &[ArgSpec::new("event", ArgType::String)],
            tips: &[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ],
            handler: latency_graph,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "help",
            group: Group::Server,
            since: "2.8.13",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE),
            handler: latency_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "histogram",
            group: Group::Server,
            since: "7.0.0",
            summary: "Shows how the run times of commands are distributed.",
            complexity: "O(N) for N commands that have samples.",
            arity: -2,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            args: &[ArgSpec {
                optional: true,
                multiple: true,
                ..ArgSpec::new("command", ArgType::String)
            }],
            tips: &[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ],
            handler: latency_histogram,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "history",
            group: Group::Server,
            since: "2.8.13",
            summary: "Lists the times and sizes of the spikes of one event.",
            complexity: "O(1)",
            arity: 3,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            args: &[ArgSpec::new("event", ArgType::String)],
            tips: &[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ],
            handler: latency_history,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "latest",
            group: Group::Server,
            since: "2.8.13",
            summary: "Shows the latest spike of each event.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            tips: &[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ],
            handler: latency_latest,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "reset",
            group: Group::Server,
            since: "2.8.13",
            summary: "Forgets the spikes of some events, or of all.",
            complexity: "O(1)",
            arity: -2,
            flags: Flags::ADMIN
                .or(Flags::NOSCRIPT)
                .or(Flags::LOADING)
                .or(Flags::STALE),
            args: &[ArgSpec {
                optional: true,
                multiple: true,
                ..ArgSpec::new("event", ArgType::String)
            }],
            tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
            handler: latency_reset,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
];

fn event(ctx: &mut Ctx<'_>, name: &[u8]) -> Option<Event> {
    let name = std::str::from_utf8(name).ok()?;
    Conn::of(ctx).server.latency.get(name)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn latency_latest(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let events = Conn::of(ctx).server.latency.all();
    ctx.out.array(events.len());
    for (name, event) in &events {
        let (time, ms) = event.samples.back().copied().unwrap_or_default();
        ctx.out.array(4);
        ctx.out.bulk(name.as_bytes());
        ctx.out.int(time);
        ctx.out.int(signed(ms));
        ctx.out.int(signed(event.max));
    }
    Ok(())
}

fn latency_history(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let samples = event(ctx, args[2]).unwrap_or_default().samples;
    ctx.out.array(samples.len());
    for (time, ms) in samples {
        ctx.out.array(2);
        ctx.out.int(time);
        ctx.out.int(signed(ms));
    }
    Ok(())
}

fn latency_graph(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let name = shown(args[2]);
    let Some(event) = event(ctx, args[2]) else {
        return Err(ReplyError::err(format_args!(
            "No samples available for event '{name}'"
        )));
    };
    let now = unix_ms() / 1000;
    let samples: Vec<(u64, String)> = event
        .samples
        .iter()
        .map(|(time, ms)| (*ms, sparkline::age(now - time)))
        .collect();
    let values = samples.iter().map(|(ms, _)| *ms);
    let mut graph = format!(
        "{name} - high {} ms, low {} ms (all time high {} ms)\n{}\n",
        values.clone().max().unwrap_or(0),
        values.min().unwrap_or(0),
        event.max,
        "-".repeat(sparkline::COLUMNS)
    );
    sparkline::draw(&mut graph, &samples);
    ctx.out.verbatim("txt", graph.as_bytes());
    Ok(())
}

fn latency_reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let latency = &Conn::of(ctx).server.latency;
    let count = match &args[2..] {
        [] => latency.reset_all(),
        names => names
            .iter()
            .filter(|name| std::str::from_utf8(name).is_ok_and(|name| latency.reset(name)))
            .count(),
    };
    ctx.out.count(count);
    Ok(())
}

fn latency_histogram(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let server = Conn::of(ctx).server.clone();
    let registry = server.engine.registry;
    let header = ctx.out.deferred();
    let mut count = 0;
    let mut add = |command: &Command| {
        if let Some(histogram) = server.stats.histogram(command.id) {
            ctx.out.bulk(command.name.as_bytes());
            distribution(ctx.out, &histogram);
            count += 1;
        }
    };
    if args.len() == 2 {
        registry.all().iter().for_each(|command| add(command));
    } else {
        for command in args[2..].iter().filter_map(|name| registry.find_full(name)) {
            add(command);
            command.subcommands.iter().for_each(|sub| add(sub));
        }
    }
    ctx.out.close(header, Aggregate::Map, count);
    Ok(())
}

fn distribution(out: &mut Reply, histogram: &Histogram) {
    out.map(2);
    out.bulk(b"calls");
    out.int(signed(histogram.total()));
    out.bulk(b"histogram_usec");
    let steps = histogram.cumulative_us();
    out.map(steps.len());
    for (us, calls) in steps {
        out.int(signed(us));
        out.int(signed(calls));
    }
}

/// What an event says about its spikes: average, mean deviation, seconds between two.
fn analysis(event: &Event, now: i64) -> (u64, u64, f64) {
    let count = event.samples.len().max(1) as u64;
    let average = event.samples.iter().map(|(_, ms)| ms).sum::<u64>() / count;
    let deviation = event.samples.iter().map(|(_, ms)| ms.abs_diff(average));
    let first = event.samples.front().map_or(now, |(time, _)| *time);
    let period = (now - first).max(1) as f64 / count as f64;
    (average, deviation.sum::<u64>() / count, period)
}

fn report(server: &Server) -> String {
    let events = server.latency.all();
    let threshold_ms = server.hot.latency_ms.load(Relaxed);
    if events.is_empty() && threshold_ms == 0 {
        return "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n".into();
    }
    if events.is_empty() {
        return format!("No latency spike of {threshold_ms} ms or more has been seen.\n");
    }
    let now = unix_ms() / 1000;
    let mut text = String::from("Latency spikes were seen:\n\n");
    for (number, (name, event)) in events.iter().enumerate() {
        let (average, deviation, period) = analysis(event, now);
        text.push_str(&format!(
            "{}. {name}: {} latency spikes (average {average}ms, mean deviation {deviation}ms, period {period:.2} sec). Worst all time event {}ms.\n",
            number + 1,
            event.samples.len(),
            event.max
        ));
    }
    let slow_us = server.hot.slowlog_us.load(Relaxed);
    let mut advice: Vec<String> = Vec::new();
    if events.contains_key("command") {
        let log = format!("CONFIG SET slowlog-log-slower-than {}", threshold_ms * 1000);
        if slow_us < 0 {
            advice.push(format!("The slow log is off; turn it on with {log}."));
        } else if slow_us / 1000 > threshold_ms {
            advice.push(format!(
                "The slow log misses some of these spikes; lower its limit with {log}."
            ));
        }
        advice.push("Look for the commands behind the spikes with SLOWLOG GET.".into());
        advice.push(
            "Big values make single commands slow: split them, and free them with UNLINK.".into(),
        );
    }
    if events.contains_key("fast-command") {
        advice.push("Commands that need almost no time were slow: the machine gave the server too little of its processors. Look for other load, or for a virtual machine that is throttled.".into());
    }
    text.push_str("\nWhat may help:\n\n");
    if advice.is_empty() {
        text.push_str("- Nothing is known about the causes of these events.\n");
    }
    advice
        .iter()
        .for_each(|line| text.push_str(&format!("- {line}\n")));
    text
}

fn latency_doctor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let text = report(&Conn::of(ctx).server);
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

fn latency_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.out.help("latency", HELP);
    Ok(())
}
