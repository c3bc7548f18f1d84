//! How values are kept: DEBUG OBJECT, HTSTATS, LISTPACK, QUICKLIST, STRUCTSIZE.

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::spec::CmdResult;
use basalt_engine::command::{Ctx, args};
use basalt_engine::keyspace::{Found, Kind};
use basalt_engine::value::serial::{self, Content};
use basalt_engine::value::{List, Value};
use basalt_formats::num;
use basalt_formats::rdb::Writer;

/// What OBJECT ENCODING answers.
fn encoding(found: &Found<'_>) -> &'static str {
    match (found.header.kind, found.value) {
        (Kind::Int, _) => "int",
        (Kind::Embstr, _) => "embstr",
        (_, Some(value)) => value.encoding(),
        (_, None) => "raw",
    }
}

/// Calls `visit` with every element, field, member or score.
fn elements(value: &Value, visit: &mut dyn FnMut(&[u8])) {
    match value {
        Value::Str(bytes) => visit(bytes),
        Value::List(list) => list
            .iter()
            .for_each(|element| element.with_bytes(|bytes| visit(bytes))),
        Value::Set(set) => set.for_each(visit),
        Value::Hash(hash) => hash.for_each(|field, value| {
            visit(field);
            visit(value);
        }),
        Value::Stream(stream) => {
            for (_, node) in stream.nodes() {
                visit(node.as_bytes());
            }
        }
        Value::Zset(zset) => zset.visit(0..zset.len(), false, &mut |member, score| {
            let mut text = Vec::with_capacity(24);
            num::format_f64(score, &mut text);
            visit(member);
            visit(&text);
        }),
    }
}

/// What the value takes in an RDB file, without key and type.
fn serialized_bytes(found: &Found<'_>, compress: bool) -> usize {
    let mut writer = Writer::new(compress);
    serial::write_body(&mut writer, Content::from(found));
    writer.as_bytes().len()
}

/// What REFCOUNT tells of the small integers that Redis shares between all keys.
const SHARED: i32 = i32::MAX;
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

pub(super) fn describe(ctx: &mut Ctx<'_>, key: &[u8]) -> CmdResult {
    let compress = ctx.engine().settings.rdb_compression.load(Relaxed);
    let found = ctx.ks.glance(key).ok_or(ReplyError::NO_SUCH_KEY)?;
    let shared = found.header.kind == Kind::Int
        && num::parse_i64(found.bytes).is_some_and(|n| SHARED_INTEGERS.contains(&n));
    let at = match found.value {
        Some(value) => std::ptr::from_ref(value).cast::<u8>(),
        None => found.bytes.as_ptr(),
    };
    let mut text = format!(
        "Value at:{at:p} refcount:{} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        if shared { SHARED } else { 1 },
        encoding(&found),
        serialized_bytes(&found, compress),
        found.header.lru,
        ctx.ks.clock().idle_seconds(found.header.lru),
    );
    if let Some(Value::List(list)) = found.value
        && let List::Quick(quick) = &**list
    {
        let nodes = quick.node_count();
        let compressed = ctx.engine().settings.list_limits().compress_depth != 0;
        text.push_str(&format!(
            " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{}",
            quick.len() as f64 / nodes.max(1) as f64,
            quick.fill(),
            u8::from(compressed),
            quick.node_bytes(),
        ));
    }
    ctx.out.simple(&text);
    Ok(())
}

/// Tables here have pages instead of buckets, all of them well filled: the size is given as
/// the number of elements.
fn table(text: &mut String, elements: usize) {
    text.push_str("Hash table 0 stats (main hash table):\n");
    if elements == 0 {
        text.push_str("No stats available for empty dictionaries\n");
    } else {
        text.push_str(&format!(
            " table size: {elements}\n number of elements: {elements}\n"
        ));
    }
}

pub(super) fn table_of_db(ctx: &mut Ctx<'_>, word: &[u8]) -> CmdResult {
    let engine = ctx.engine();
    let db = usize::try_from(args::int(word)?)
        .ok()
        .filter(|db| *db < engine.databases())
        .ok_or_else(|| ReplyError::err("Out of range database"))?;
    let mut text = String::from("[Dictionary HT]\n");
    table(&mut text, engine.key_count(db));
    text.push_str("[Expires HT]\n");
    table(&mut text, engine.volatile_count(db));
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

pub(super) fn table_of_key(ctx: &mut Ctx<'_>, key: &[u8]) -> CmdResult {
    let found = ctx.ks.glance(key).ok_or(ReplyError::NO_SUCH_KEY)?;
    let elements = match found.value {
        Some(Value::Hash(hash)) if hash.encoding() == "hashtable" => hash.len(),
        Some(Value::Set(set)) if set.encoding() == "hashtable" => set.len(),
        Some(Value::Zset(zset)) if zset.encoding() == "skiplist" => zset.len(),
        _ => {
            return Err(ReplyError::err(
                "The value stored at the specified key is not represented using an hash table",
            ));
        }
    };
    let mut text = String::new();
    table(&mut text, elements);
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Writes the elements of a value with this encoding to standard output.
pub(super) fn print(ctx: &mut Ctx<'_>, key: &[u8], wanted: &str) -> CmdResult {
    let found = ctx.ks.glance(key).ok_or(ReplyError::NO_SUCH_KEY)?;
    let Some(value) = found.value.filter(|value| value.encoding() == wanted) else {
        return Err(ReplyError::err(format_args!(
            "Not a {wanted} encoded object."
        )));
    };
    let mut text = format!("{{encoding {wanted}}}\n").into_bytes();
    let mut index = 0usize;
    elements(value, &mut |element| {
        text.extend_from_slice(format!("{{{index} ").as_bytes());
        crate::monitor::quote(&mut text, element);
        text.extend_from_slice(b"}\n");
        index += 1;
    });
    // Nobody may be listening.
    let _ = std::io::stdout().write_all(&text);
    let name = wanted[..1].to_uppercase() + &wanted[1..];
    ctx.out
        .simple(&format!("{name} structure printed on stdout"));
    Ok(())
}

pub(super) fn sizes(ctx: &mut Ctx<'_>) -> CmdResult {
    let sizes = [
        ("bits", usize::BITS as usize),
        ("value", size_of::<Value>()),
        ("client", size_of::<crate::client::task::Client>()),
        ("session", size_of::<basalt_engine::Session>()),
        (
            "slottable",
            size_of::<basalt_engine::keyspace::shard::SlotTable>(),
        ),
        (
            "shard",
            size_of::<basalt_engine::keyspace::shard::ShardCell>(),
        ),
    ];
    let text: String = sizes
        .iter()
        .map(|(name, size)| format!("{name}:{size} "))
        .collect();
    ctx.out.bulk(text.as_bytes());
    Ok(())
}
