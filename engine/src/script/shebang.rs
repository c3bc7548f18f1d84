//! The first line of a script or library, `#!lua name=... flags=...`, and the flags of scripts.

use crate::command::spec::Flags;
use crate::{ReplyError, shown};

/// What a script may do, by the words of its first line or of its registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags(u8);

impl ScriptFlags {
    /// It does not write.
    pub const NO_WRITES: ScriptFlags = ScriptFlags(1);
    /// It runs even when memory is short.
    pub const ALLOW_OOM: ScriptFlags = ScriptFlags(1 << 1);
    /// It runs on a replica that lost its primary.
    pub const ALLOW_STALE: ScriptFlags = ScriptFlags(1 << 2);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: ScriptFlags = ScriptFlags(1 << 3);
    /// It has no first line: nothing is known of it.
    pub const COMPAT: ScriptFlags = ScriptFlags(1 << 4);
    /// It may use keys of several slots.
    pub const ALLOW_CROSS_SLOT: ScriptFlags = ScriptFlags(1 << 5);

    /// The flags that have a word, in the order in which they are listed.
    pub const WORDS: [(&'static str, ScriptFlags); 5] = [
        ("no-writes", ScriptFlags::NO_WRITES),
        ("allow-oom", ScriptFlags::ALLOW_OOM),
        ("allow-stale", ScriptFlags::ALLOW_STALE),
        ("no-cluster", ScriptFlags::NO_CLUSTER),
        ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT),
    ];

    /// Whether all flags of `other` are set.
    pub fn has(self, other: ScriptFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the flags of `other`.
    pub fn set(&mut self, other: ScriptFlags) {
        self.0 |= other.0;
    }

    /// The flags of a command that runs a script with these.
    pub(super) fn of_command(self, flags: Flags) -> Flags {
        let known = Flags::STALE.or(Flags::DENYOOM).or(Flags::WRITE);
        let mut flags = flags.without(known.or(Flags::MAY_REPLICATE));
        if !self.has(ScriptFlags::NO_WRITES) {
            flags = flags.or(Flags::WRITE);
            if !self.has(ScriptFlags::ALLOW_OOM) {
                flags = flags.or(Flags::DENYOOM);
            }
        }
        if self.has(ScriptFlags::ALLOW_STALE) {
            flags = flags.or(Flags::STALE);
        }
        flags
    }

    /// Words of the set flags.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        ScriptFlags::WORDS
            .into_iter()
            .filter(move |(_, flag)| self.has(*flag))
            .map(|(word, _)| word)
    }
}

/// Flags of a script, and where its code begins: at the end of a first line with `#!`, so that
/// lines keep their numbers.
///
/// # Errors
/// When the first line says what is not understood.
pub(super) fn script_flags(body: &[u8]) -> Result<(ScriptFlags, usize), ReplyError> {
    if !body.starts_with(b"#!") {
        return Ok((ScriptFlags::COMPAT, 0));
    }
    let end = body
        .iter()
        .take_while(|&&byte| byte != 0)
        .position(|&byte| byte == b'\n')
        .ok_or_else(|| ReplyError::err("Invalid script shebang"))?;
    let words = basalt_formats::words::split_args(&body[..end])
        .filter(|words| !words.is_empty())
        .ok_or_else(|| ReplyError::err("Invalid engine in script shebang"))?;
    let mut flags = ScriptFlags::default();
    for (at, word) in words.iter().enumerate() {
        if at == 0 {
            if word != b"#!lua" {
                return Err(ReplyError::err(format_args!(
                    "Unexpected engine in script shebang: {}",
                    shown(word)
                )));
            }
            continue;
        }
        let Some(list) = word.strip_prefix(b"flags=") else {
            return Err(ReplyError::err(format_args!(
                "Unknown lua shebang option: {}",
                shown(word)
            )));
        };
        if list.is_empty() {
            continue;
        }
        for name in list.split(|&byte| byte == b',') {
            let known = ScriptFlags::WORDS
                .iter()
                .find(|(word, _)| word.as_bytes() == name);
            match known {
                Some((_, flag)) => flags.set(*flag),
                None => {
                    return Err(ReplyError::err(format_args!(
                        "Unexpected flag in script shebang: {}",
                        shown(name)
                    )));
                }
            }
        }
    }
    Ok((flags, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_gives_flags() {
        assert_eq!(script_flags(b"return 1"), Ok((ScriptFlags::COMPAT, 0)));
        let (flags, end) = script_flags(b"#!lua flags=no-writes,allow-oom\nreturn").expect("flags");
        assert!(flags.has(ScriptFlags::NO_WRITES) && flags.has(ScriptFlags::ALLOW_OOM));
        assert_eq!(end, 31);
        assert_eq!(
            flags.words().collect::<Vec<_>>(),
            ["no-writes", "allow-oom"]
        );
        for (body, error) in [
            (&b"#!lua"[..], "ERR Invalid script shebang"),
            (b"#!lua \"\nx", "ERR Invalid engine in script shebang"),
            (
                b"#!lisp\nx",
                "ERR Unexpected engine in script shebang: #!lisp",
            ),
            (b"#!lua a=b\nx", "ERR Unknown lua shebang option: a=b"),
            (
                b"#!lua flags=no-writes,bogus\nx",
                "ERR Unexpected flag in script shebang: bogus",
            ),
        ] {
            let refused = script_flags(body).expect_err("refused");
            assert_eq!(refused.0, error);
        }
    }
}
