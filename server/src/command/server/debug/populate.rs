//! DEBUG POPULATE: many string keys at once. They are neither logged nor counted as changes.

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{Args, CmdResult};
use basalt_engine::command::{Ctx, args};
use basalt_engine::keyspace::{Look, StringEncoding, Ttl};

/// `count [prefix [size]]`; keys that exist stay as they are.
pub(super) fn populate(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let count = args::positive(words[0])?;
    let prefix = words.get(1).copied().unwrap_or(b"key");
    let size = words.get(2).map_or(Ok(0), |word| args::positive(word))?;
    if size > ctx.engine().settings.max_string() {
        return Err(ReplyError::STRING_TOO_LONG);
    }
    let mut key = [prefix, b":"].concat();
    let start = key.len();
    for n in 0..count {
        let digits = n.to_string();
        key.truncate(start);
        key.extend_from_slice(digits.as_bytes());
        if ctx.ks.look(&key, Look::WRITE).is_some() {
            continue;
        }
        let mut value = format!("value:{digits}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        ctx.ks
            .set_string(&key, &value, StringEncoding::Length, Ttl::Clear);
        ctx.ks.modified(&key);
    }
    ctx.out.ok();
    Ok(())
}
