//! The type byte in front of a value.

use super::RdbError;
use super::file::{Header, Magic};

/// What a value is and how its body is laid out.
///
/// Two types share a byte: which one it means depends on who wrote the file, see
/// [`ObjectType::in_file`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ObjectType {
    /// One string.
    String,
    /// A run of strings.
    List,
    /// A run of distinct strings.
    Set,
    /// Members with scores as text.
    Zset,
    /// Fields and values in turn.
    Hash,
    /// Members with scores in eight bytes.
    Zset2,
    /// A module's value.
    Module2,
    /// A zipmap (before 2.6).
    HashZipmap,
    /// A ziplist.
    ListZiplist,
    /// An intset.
    SetIntset,
    /// A ziplist of members and scores.
    ZsetZiplist,
    /// A ziplist of fields and values.
    HashZiplist,
    /// A run of ziplists.
    ListQuicklist,
    /// A stream as Redis 5 wrote it.
    StreamListpacks,
    /// A listpack of fields and values.
    HashListpack,
    /// A listpack of members and scores.
    ZsetListpack,
    /// A run of listpacks and single elements.
    ListQuicklist2,
    /// A stream as Redis 7.0 wrote it.
    StreamListpacks2,
    /// A listpack of distinct elements.
    SetListpack,
    /// A stream as Redis 7.2 writes it.
    StreamListpacks3,
    /// Expiry times, fields and values (release candidates of Redis 7.4).
    HashMetadataPreGa,
    /// A listpack of fields, values and expiry times (release candidates of Redis 7.4).
    HashListpackExPreGa,
    /// Expiry times relative to the earliest one, fields and values (Redis 7.4).
    HashMetadata,
    /// The earliest expiry time, and a listpack of fields, values and expiry times
    /// (Redis 7.4).
    HashListpackEx,
    /// Fields, values and expiry times (Valkey 9).
    ValkeyHash2,
}

/// Types every writer means the same by.
const COMMON: [(u8, ObjectType); 20] = [
    (0, ObjectType::String),
    (1, ObjectType::List),
    (2, ObjectType::Set),
    (3, ObjectType::Zset),
    (4, ObjectType::Hash),
    (5, ObjectType::Zset2),
    (7, ObjectType::Module2),
    (9, ObjectType::HashZipmap),
    (10, ObjectType::ListZiplist),
    (11, ObjectType::SetIntset),
    (12, ObjectType::ZsetZiplist),
    (13, ObjectType::HashZiplist),
    (14, ObjectType::ListQuicklist),
    (15, ObjectType::StreamListpacks),
    (16, ObjectType::HashListpack),
    (17, ObjectType::ZsetListpack),
    (18, ObjectType::ListQuicklist2),
    (19, ObjectType::StreamListpacks2),
    (20, ObjectType::SetListpack),
    (21, ObjectType::StreamListpacks3),
];

/// Types of Redis since version 12.
const REDIS: [(u8, ObjectType); 4] = [
    (22, ObjectType::HashMetadataPreGa),
    (23, ObjectType::HashListpackExPreGa),
    (24, ObjectType::HashMetadata),
    (25, ObjectType::HashListpackEx),
];

/// What Basalt's files of version 11 have besides: hashes with fields that expire, as Redis writes
/// them since version 12. Versions 11 of others do not use the byte.
const BASALT: [(u8, ObjectType); 1] = [(24, ObjectType::HashMetadata)];

/// Types of Valkey since version 80.
const VALKEY: [(u8, ObjectType); 1] = [(22, ObjectType::ValkeyHash2)];

/// The version of Redis from which on its own types occur.
const REDIS_TYPES_SINCE: u16 = 12;

fn look_up(table: &[(u8, ObjectType)], byte: u8) -> Option<ObjectType> {
    let (_, kind) = table.iter().find(|(at, _)| *at == byte)?;
    Some(*kind)
}

impl ObjectType {
    /// The type a byte stands for in versions up to 11, which all vendors share, and in
    /// Basalt's files.
    ///
    /// # Errors
    /// [`RdbError::UnknownType`].
    pub fn from_byte(byte: u8) -> Result<ObjectType, RdbError> {
        look_up(&COMMON, byte)
            .or_else(|| look_up(&BASALT, byte))
            .ok_or(RdbError::UnknownType(byte))
    }

    /// The type a byte stands for in a file with this header.
    ///
    /// # Errors
    /// [`RdbError::UnknownType`].
    pub fn in_file(byte: u8, header: Header) -> Result<ObjectType, RdbError> {
        let own: &[_] = match header.magic {
            Magic::Redis if header.version >= REDIS_TYPES_SINCE => &REDIS,
            Magic::Redis => &BASALT,
            Magic::Valkey => &VALKEY,
        };
        look_up(own, byte)
            .or_else(|| look_up(&COMMON, byte))
            .ok_or(RdbError::UnknownType(byte))
    }

    /// The byte that stands for the type.
    pub fn byte(self) -> u8 {
        [&COMMON[..], &REDIS, &VALKEY]
            .into_iter()
            .flatten()
            .find_map(|(byte, kind)| (*kind == self).then_some(*byte))
            .unwrap_or(u8::MAX)
    }

    /// The name `TYPE` answers, or `module`.
    pub fn name(self) -> &'static str {
        match self {
            ObjectType::String => "string",
            ObjectType::List
            | ObjectType::ListZiplist
            | ObjectType::ListQuicklist
            | ObjectType::ListQuicklist2 => "list",
            ObjectType::Set | ObjectType::SetIntset | ObjectType::SetListpack => "set",
            ObjectType::Zset
            | ObjectType::Zset2
            | ObjectType::ZsetZiplist
            | ObjectType::ZsetListpack => "zset",
            ObjectType::Hash
            | ObjectType::HashZipmap
            | ObjectType::HashZiplist
            | ObjectType::HashListpack
            | ObjectType::HashMetadataPreGa
            | ObjectType::HashListpackExPreGa
            | ObjectType::HashMetadata
            | ObjectType::HashListpackEx
            | ObjectType::ValkeyHash2 => "hash",
            ObjectType::StreamListpacks
            | ObjectType::StreamListpacks2
            | ObjectType::StreamListpacks3 => "stream",
            ObjectType::Module2 => "module",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_types_agree() {
        let redis = |version| Header {
            magic: Magic::Redis,
            version,
        };
        let valkey = Header {
            magic: Magic::Valkey,
            version: 80,
        };
        for byte in 0..=u8::MAX {
            for header in [redis(1), redis(11), redis(12), valkey] {
                if let Ok(kind) = ObjectType::in_file(byte, header) {
                    assert_eq!(kind.byte(), byte);
                }
            }
            assert_eq!(
                ObjectType::from_byte(byte),
                ObjectType::in_file(byte, redis(11))
            );
        }
        assert!(ObjectType::in_file(22, redis(11)).is_err());
        assert_eq!(
            ObjectType::in_file(22, redis(12)),
            Ok(ObjectType::HashMetadataPreGa)
        );
        assert_eq!(ObjectType::in_file(22, valkey), Ok(ObjectType::ValkeyHash2));
        assert!(ObjectType::in_file(23, valkey).is_err());
        assert!(ObjectType::in_file(24, valkey).is_err());
        assert_eq!(
            ObjectType::in_file(24, redis(11)),
            Ok(ObjectType::HashMetadata)
        );
        assert!(ObjectType::from_byte(6).is_err() && ObjectType::from_byte(8).is_err());
    }
}
