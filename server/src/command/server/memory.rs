//! MEMORY: what keys, clients and the allocator take.

use basalt_engine::command::spec::{
    ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use basalt_engine::command::{Ctx, args};
use basalt_engine::{Reply, ReplyError};

use super::info::memory::Overhead;
use crate::client::Conn;
use crate::memory;

/// The container's row.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "memory",
    group: Group::Server,
    since: "4.0.0",
    summary: "Groups the commands about memory use.",
    complexity: "That of the subcommand.",
    arity: -2,
    subcommands: &[
        CommandSpec {
            name: "doctor",
            group: Group::Server,
            since: "4.0.0",
            summary: "Explains in plain words what is unusual about memory use.",
            complexity: "O(1)",
            arity: 2,
            tips: &[
                "nondeterministic_output",
                "request_policy:all_shards",
                "response_policy:special",
            ],
            handler: memory_doctor,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "help",
            group: Group::Server,
            since: "4.0.0",
            summary: "Lists the subcommands with a line on each.",
            complexity: "O(1)",
            arity: 2,
            flags: Flags::LOADING.or(Flags::STALE),
            handler: memory_help,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "malloc-stats",
            group: Group::Server,
            since: "4.0.0",
            summary: "Shows the allocator's own statistics.",
            complexity: "Grows with the memory allocated and may take long.",
            arity: 2,
            flags: Flags::LOADING,
            tips: &[
                "nondeterministic_output",
                "request_policy:all_shards",
                "response_policy:special",
            ],
            handler: memory_malloc_stats,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "purge",
            group: Group::Server,
            since: "4.0.0",
            summary: "Has the allocator give unused pages back to the system.",
            complexity: "Grows with the memory allocated and may take long.",
            arity: 2,
            flags: Flags::LOADING,
            tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
            handler: memory_purge,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "stats",
            group: Group::Server,
            since: "4.0.0",
            summary: "Breaks down what memory is used for.",
            complexity: "O(1)",
            arity: 2,
            tips: &[
                "nondeterministic_output",
                "request_policy:all_shards",
                "response_policy:special",
            ],
            handler: memory_stats,
            ..CommandSpec::BLANK
        },
        CommandSpec {
            name: "usage",
            group: Group::Server,
            since: "4.0.0",
            summary: "Estimates the bytes a key and its value take.",
            complexity: "O(N) for N elements sampled.",
            arity: -3,
            flags: Flags::READONLY,
            keys: &[KeySpec::one(2, KeyFlags::RO)],
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec {
                    token: "SAMPLES",
                    optional: true,
                    ..ArgSpec::new("count", ArgType::Integer)
                },
            ],
            handler: memory_usage,
            ..CommandSpec::BLANK
        },
    ],
    ..CommandSpec::BLANK
}];

const HELP: &[&str] = &[
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
];

/// Bytes of a page's record around key and value, on average.
const RECORD_BYTES: usize = 8;

/// Every value knows its size, so SAMPLES is only checked.
fn memory_usage(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let mut cursor = args::Cursor::new(words, 3);
    while let Some(word) = cursor.next() {
        if !args::is(word, "samples") {
            return Err(ReplyError::SYNTAX);
        }
        if args::int(cursor.required()?)? < 0 {
            return Err(ReplyError::SYNTAX);
        }
    }
    let key = words[2];
    match ctx.ks.glance(key) {
        None => ctx.out.null(),
        Some(found) => {
            let value = match found.value {
                Some(value) => size_of_val(value) + value.heap_bytes(),
                None => found.bytes.len(),
            };
            ctx.out
                .count(RECORD_BYTES + found.header.encoded_len() + key.len() + value);
        }
    }
    Ok(())
}

fn number(out: &mut Reply, name: &str, value: u64) {
    out.bulk(name.as_bytes());
    out.int(i64::try_from(value).unwrap_or(i64::MAX));
}

fn share(out: &mut Reply, name: &str, value: f64) {
    out.bulk(name.as_bytes());
    out.double(value);
}

fn memory_stats(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let overhead = Overhead::of(&Conn::of(ctx).server);
    let usage = overhead.usage;
    let out = &mut *ctx.out;
    out.map(27 + overhead.tables.len());
    for (name, value) in [
        ("peak.allocated", overhead.peak),
        ("total.allocated", usage.allocated),
        ("startup.allocated", overhead.startup),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", overhead.clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
    ] {
        number(out, name, value);
    }
    for (db, bytes) in &overhead.tables {
        out.bulk(format!("db.{db}").as_bytes());
        out.map(3);
        number(out, "overhead.hashtable.main", *bytes);
        // Expiry times are kept with the keys, and keys by slot.
        number(out, "overhead.hashtable.expires", 0);
        number(out, "overhead.hashtable.slot-to-keys", 0);
    }
    number(out, "overhead.total", overhead.total);
    number(out, "keys.count", overhead.keys);
    number(out, "keys.bytes-per-key", overhead.bytes_per_key());
    number(out, "dataset.bytes", overhead.dataset());
    share(out, "dataset.percentage", overhead.dataset_percent());
    share(out, "peak.percentage", overhead.peak_percent());
    number(out, "allocator.allocated", usage.allocated);
    number(out, "allocator.active", usage.active);
    number(out, "allocator.resident", usage.resident);
    let names = [
        (
            "allocator-fragmentation.ratio",
            "allocator-fragmentation.bytes",
        ),
        ("allocator-rss.ratio", "allocator-rss.bytes"),
        ("rss-overhead.ratio", "rss-overhead.bytes"),
        ("fragmentation", "fragmentation.bytes"),
    ];
    for ((times, bytes), (quotient, difference)) in names.iter().zip(overhead.ratios()) {
        share(out, times, quotient);
        out.bulk(bytes.as_bytes());
        out.int(difference);
    }
    Ok(())
}

/// Below this, proportions say nothing.
const TOO_SMALL: u64 = 5 << 20;
/// Differences that matter.
const MUCH: i64 = 10 << 20;
/// Average buffers of a client that matter.
const BIG_CLIENT: u64 = 200 << 10;

fn report(overhead: &Overhead, clients: u64) -> String {
    if overhead.usage.allocated < TOO_SMALL {
        return "There is too little data in memory to say anything about it.\n".into();
    }
    let [fragmentation, allocator, process, total] = overhead.ratios();
    let exceeds = |(ratio, bytes): (f64, i64), limit: f64| ratio > limit && bytes > MUCH;
    let peak = overhead.peak as f64 / overhead.usage.allocated as f64;
    let findings = [
        (
            peak > 1.5,
            "Peak memory: more than 150% of what is in use now was in use in the past. Memory of the peak may still belong to the process; MEMORY PURGE gives back what it can.",
        ),
        (
            exceeds(total, 1.4),
            "High total RSS: the process has much more physical memory than it uses. The reason is a past peak or fragmentation.",
        ),
        (
            exceeds(fragmentation, 1.1),
            "High allocator fragmentation: pages in use are partly empty, after a peak or because values of very different sizes come and go.",
        ),
        (
            exceeds(allocator, 1.1),
            "High allocator RSS overhead: the allocator keeps pages it does not need now. MEMORY PURGE gives them back.",
        ),
        (
            exceeds(process, 1.1),
            "High process RSS overhead: much physical memory is outside of the allocator.",
        ),
        (
            overhead.clients / clients.max(1) > BIG_CLIENT,
            "Big client buffers: clients have more than 200 KiB in buffers on average. CLIENT LIST shows who reads too slowly or sends very large requests.",
        ),
    ];
    let found: Vec<&str> = findings
        .iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, text)| *text)
        .collect();
    if found.is_empty() {
        return "Nothing unusual about memory was found.\n".into();
    }
    let mut text = String::from("Memory use is unusual:\n\n");
    for line in found {
        text.push_str(" * ");
        text.push_str(line);
        text.push_str("\n\n");
    }
    text
}

fn memory_doctor(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let server = &Conn::of(ctx).server;
    let text = report(&Overhead::of(server), server.clients.len() as u64);
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

fn memory_malloc_stats(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.verbatim("txt", &memory::statistics());
    Ok(())
}

fn memory_purge(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    if !memory::purge() {
        return Err(ReplyError::err("Error purging dirty pages"));
    }
    ctx.out.ok();
    Ok(())
}

fn memory_help(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.help("memory", HELP);
    Ok(())
}
