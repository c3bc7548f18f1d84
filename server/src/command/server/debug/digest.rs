//! DEBUG DIGEST and DIGEST-VALUE: a number for the content, equal for equal content.
//!
//! It is that of Redis: two servers of either kind can be compared. Where order means nothing,
//! SHA-1 sums of the parts are combined with exclusive or; where it does, the sum so far goes
//! into the next.

use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{Args, CmdResult};
use basalt_engine::keyspace::{Found, Keyspace, Kind};
use basalt_engine::value::Value;
use basalt_engine::value::stream::StreamId;
use basalt_formats::num;
use sha1::{Digest, Sha1};

#[derive(Clone, Copy, Default)]
struct Sum([u8; 20]);

impl Sum {
    /// Adds something whose place does not matter.
    fn add(&mut self, bytes: &[u8]) {
        let hash: [u8; 20] = Sha1::digest(bytes).into();
        self.0
            .iter_mut()
            .zip(hash)
            .for_each(|(sum, part)| *sum ^= part);
    }

    /// Adds something that comes after all that was added before.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Numbers of the types in Redis.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::Int | Kind::Embstr | Kind::Raw => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::Zset => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

/// Mixes a value and whether it expires into a sum.
fn mix_value(sum: &mut Sum, found: &Found<'_>) {
    sum.mix(&type_number(found.header.kind).to_be_bytes());
    match found.value {
        None | Some(Value::Str(_)) => sum.mix(found.bytes),
        Some(Value::List(list)) => list
            .iter()
            .for_each(|element| element.with_bytes(|bytes| sum.mix(bytes))),
        Some(Value::Set(set)) => set.for_each(|member| sum.add(member)),
        Some(Value::Zset(zset)) => zset.visit(0..zset.len(), false, &mut |member, score| {
            let mut text = Vec::with_capacity(24);
            num::format_f64(score, &mut text);
            let mut element = Sum::default();
            element.mix(member);
            element.mix(&text);
            sum.add(&element.0);
        }),
        Some(Value::Stream(stream)) => {
            for entry in stream.range(StreamId::MIN, StreamId::MAX) {
                sum.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (field, value) in entry.pairs() {
                    field.with_bytes(|bytes| sum.mix(bytes));
                    value.with_bytes(|bytes| sum.mix(bytes));
                }
            }
        }
        Some(Value::Hash(hash)) => hash.for_each(|field, value| {
            let mut element = Sum::default();
            element.mix(field);
            element.mix(value);
            sum.add(&element.0);
        }),
    }
    if found.header.expire_ms.is_some() {
        sum.add(b"!!expire!!");
    }
}

/// The sum of the selected database, mixed into that of those before it.
fn mix_db(sum: &mut Sum, ks: &Keyspace<'_>) {
    if ks.engine.key_count(ks.db) == 0 {
        return;
    }
    sum.mix(&u32::try_from(ks.db).unwrap_or(u32::MAX).to_be_bytes());
    ks.for_each_key(&mut |key, _| {
        if let Some(found) = ks.glance(key) {
            let mut entry = Sum::default();
            entry.mix(key);
            mix_value(&mut entry, &found);
            sum.add(&entry.0);
        }
    });
}

pub(super) fn all(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut sum = Sum::default();
    let selected = ctx.ks.db;
    for db in 0..ctx.engine().databases() {
        ctx.ks.select(db);
        mix_db(&mut sum, &ctx.ks);
    }
    ctx.ks.select(selected);
    ctx.out.simple(&sum.hex());
    Ok(())
}

/// A missing key has the sum zero.
pub(super) fn values(ctx: &mut Ctx<'_>, keys: Args<'_>) -> CmdResult {
    ctx.out.array(keys.len());
    for key in keys {
        let mut sum = Sum::default();
        if let Some(found) = ctx.ks.glance(key) {
            mix_value(&mut sum, &found);
        }
        ctx.out.simple(&sum.hex());
    }
    Ok(())
}
