//! DEBUG RELOAD: all data encoded and decoded again.
//!
//! Redis writes its snapshot file and loads it. There is no such file here yet, so each value
//! goes through the bytes the file would hold, in memory: encodings are derived anew and what
//! cannot be written or read shows. NOSAVE, which asks for a file written earlier, is refused
//! for the same reason. MERGE and NOFLUSH tell what to do with keys that are there already;
//! here those are the same keys.

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{Args, CmdResult};
use basalt_engine::command::{Ctx, args};
use basalt_engine::keyspace::Kind;
use basalt_engine::value::serial::{self, Content, Limits};
use basalt_formats::rdb::{ObjectType, Reader, Writer};

pub(super) fn reload(ctx: &mut Ctx<'_>, options: Args<'_>) -> CmdResult {
    let mut from_file = false;
    for word in options {
        from_file |= args::is(word, "NOSAVE");
        if !["MERGE", "NOFLUSH", "NOSAVE"]
            .iter()
            .any(|option| args::is(word, option))
        {
            return Err(ReplyError::err(
                "DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
            ));
        }
    }
    let failed = ReplyError::err("Error trying to load the RDB dump, check server logs.");
    if from_file {
        tracing::warn!("DEBUG RELOAD NOSAVE: there is no snapshot file to load");
        return Err(failed);
    }
    let limits = ctx.engine().settings.limits();
    let mut writer = Writer::new(true);
    let selected = ctx.ks.db;
    let mut result = Ok(());
    for db in 0..ctx.engine().databases() {
        ctx.ks.select(db);
        let mut keys = Vec::new();
        ctx.ks
            .for_each_key(&mut |key, _| keys.push(Box::<[u8]>::from(key)));
        result = keys
            .iter()
            .try_for_each(|key| reload_key(ctx, key, &limits, &mut writer));
        if result.is_err() {
            break;
        }
    }
    ctx.ks.select(selected);
    if let Err(error) = result {
        tracing::warn!("DEBUG RELOAD: {error}");
        return Err(failed);
    }
    tracing::info!("DB reloaded by DEBUG RELOAD");
    ctx.out.ok();
    Ok(())
}

/// Replaces a value by what is read from its own bytes; a key past its time goes, as it does
/// when a file is loaded.
fn reload_key(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    limits: &Limits,
    writer: &mut Writer,
) -> Result<(), serial::LoadError> {
    if ctx.ks.expire_if_due(key) {
        return Ok(());
    }
    let Some(found) = ctx.ks.glance(key) else {
        return Ok(());
    };
    let header = found.header;
    let content = Content::from(&found);
    writer.clear();
    writer.kind(serial::kind_of(content));
    serial::write_body(writer, content);
    let mut reader = Reader::new(writer.as_bytes());
    let kind = ObjectType::from_byte(reader.byte()?)?;
    let value = serial::load(kind, &mut reader, limits)?;
    ctx.ks.put_value(key, value, Kind::Int, header.expire_ms);
    ctx.ks.set_lru(key, header.lru);
    Ok(())
}
