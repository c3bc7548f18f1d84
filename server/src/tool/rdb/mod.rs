//! What the tools on RDB files share: names of targets and layouts, judging a value, keys in print.

pub(super) mod census;
pub(super) mod json;

use basalt_engine::value::serial::{self, Limits, LoadError};
use basalt_formats::rdb::file::KeyRecord;
use basalt_formats::rdb::{ObjectType, RdbError, Reader, Target};

/// Bytes of a key that are printed.
const SHOWN_KEY: usize = 256;
/// Opcodes in front of a key, and the bytes that follow each.
const ATTRIBUTES: [(u8, u64); 3] = [(253, 4), (252, 8), (249, 1)];
const IDLE: u8 = 248;
/// From here on a byte is an opcode, not a type.
const FIRST_OPCODE: u8 = 243;

/// Names of targets on the command line.
pub(super) const TARGETS: [(&str, Target); 9] = [
    ("redis-5", Target::Redis5),
    ("redis-6", Target::Redis6),
    ("redis-6.2", Target::Redis62),
    ("redis-7.0", Target::Redis70),
    ("redis-7.2", Target::Redis72),
    ("redis-7.4", Target::Redis74),
    ("valkey-7.2", Target::Valkey7),
    ("valkey-8", Target::Valkey8),
    ("valkey-9", Target::Valkey9),
];

/// The target of this name, for the command line.
pub(super) fn target(name: &str) -> Result<Target, String> {
    let found = TARGETS.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| target).ok_or_else(|| {
        let names: Vec<&str> = TARGETS.into_iter().map(|(known, _)| known).collect();
        format!("one of {}", names.join(", "))
    })
}

/// A target that reads files of this version, for the command line.
pub(super) fn version(text: &str) -> Result<Target, String> {
    text.parse()
        .ok()
        .and_then(Target::from_version)
        .ok_or_else(|| "one of 9, 10, 11, 12, 80".into())
}

/// How a value is laid out in the file.
pub(super) fn layout(kind: ObjectType) -> &'static str {
    match kind {
        ObjectType::String => "string",
        ObjectType::List | ObjectType::Set | ObjectType::Hash => "run",
        ObjectType::Zset => "run, scores as text",
        ObjectType::Zset2 => "run, binary scores",
        ObjectType::Module2 => "module",
        ObjectType::HashZipmap => "zipmap",
        ObjectType::ListZiplist | ObjectType::ZsetZiplist | ObjectType::HashZiplist => "ziplist",
        ObjectType::SetIntset => "intset",
        ObjectType::ListQuicklist => "quicklist of ziplists",
        ObjectType::ListQuicklist2 => "quicklist of listpacks",
        ObjectType::SetListpack | ObjectType::ZsetListpack | ObjectType::HashListpack => "listpack",
        ObjectType::StreamListpacks => "stream of 5.0",
        ObjectType::StreamListpacks2 => "stream of 7.0",
        ObjectType::StreamListpacks3 => "stream of 7.2",
        ObjectType::HashMetadataPreGa | ObjectType::HashMetadata => "run with field expiry",
        ObjectType::HashListpackExPreGa | ObjectType::HashListpackEx => {
            "listpack with field expiry"
        }
        ObjectType::ValkeyHash2 => "run with field expiry of Valkey",
        _ => "unknown",
    }
}

/// What a value is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It loads.
    Good,
    /// A collection without elements, which is passed over when a file is loaded.
    Empty,
    /// Undamaged as far as can be seen, but not for this server.
    Foreign(String),
    /// Damaged; the offset counts from the body's begin if it is known.
    Damaged {
        /// Where in the body.
        offset: Option<usize>,
        /// What is wrong.
        cause: String,
    },
}

/// Decodes a value whole, as a load would.
pub(super) fn judge(record: &KeyRecord<'_>) -> Verdict {
    if record.kind == ObjectType::Module2 {
        return Verdict::Foreign("a value of a module".into());
    }
    let mut reader = Reader::new(record.body);
    match serial::load(record.kind, &mut reader, &Limits::default()) {
        Ok(_) if reader.left() == 0 => Verdict::Good,
        Ok(_) => Verdict::Damaged {
            offset: Some(reader.offset()),
            cause: format!("{} bytes follow the value", reader.left()),
        },
        Err(LoadError::Rdb(RdbError::Empty)) => Verdict::Empty,
        Err(error) => Verdict::Damaged {
            offset: Some(reader.offset()),
            cause: error.to_string(),
        },
    }
}

/// The key of the record that begins at `offset`, as far as it can be read.
pub(super) fn key_at(input: &[u8], offset: usize) -> Option<Vec<u8>> {
    let mut reader = Reader::new(input.get(offset..)?);
    loop {
        let byte = reader.byte().ok()?;
        if byte == IDLE {
            reader.length().ok()?;
        } else if let Some((_, bytes)) = ATTRIBUTES.iter().find(|(opcode, _)| *opcode == byte) {
            reader.bytes(*bytes).ok()?;
        } else if byte < FIRST_OPCODE {
            return reader.string().ok().map(|key| key.into_owned());
        } else {
            return None;
        }
    }
}

/// A key in quotes, in the way of redis-cli, cut if it is long.
pub(super) fn quoted(key: &[u8]) -> String {
    let shown = key.get(..SHOWN_KEY).unwrap_or(key);
    let mut out = Vec::with_capacity(shown.len() + 2);
    crate::monitor::quote(&mut out, shown);
    let mut text = String::from_utf8_lossy(&out).into_owned();
    if shown.len() < key.len() {
        text += &format!("... ({} bytes)", key.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_by_name_and_version() {
        for (name, expected) in TARGETS {
            assert_eq!(target(name), Ok(expected));
        }
        assert!(target("redis-3").unwrap_err().contains("redis-6.2"));
        assert_eq!(version("11"), Ok(Target::Redis72));
        assert!(version("13").is_err() && version("x").is_err());
    }

    #[test]
    fn keys_are_found_behind_their_attributes() {
        let record = b"\xfc12345678\xf8\x05\xf9\x07\x00\x03key\x01v";
        assert_eq!(key_at(record, 0), Some(b"key".to_vec()));
        assert_eq!(key_at(record, 9), Some(b"key".to_vec()));
        assert_eq!(key_at(b"\xfe\x00", 0), None);
        for end in 0..record.len() - 2 {
            assert_eq!(key_at(&record[..end], 0), None, "{end}");
        }
    }

    #[test]
    fn keys_in_print() {
        assert_eq!(quoted(b"a\"\x01"), r#""a\"\x01""#);
        let long = quoted(&[b'a'; 300]);
        assert!(long.ends_with("a\"... (300 bytes)") && long.len() < 300);
    }
}
