//! The type byte in front of a value.

use super::RdbError;

/// What a value is and how its body is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ObjectType {
    /// One string.
    String = 0,
    /// A run of strings.
    List = 1,
    /// A run of distinct strings.
    Set = 2,
    /// Members with scores as text.
    Zset = 3,
    /// Fields and values in turn.
    Hash = 4,
    /// Members with scores in eight bytes.
    Zset2 = 5,
    /// A zipmap (before 2.6).
    HashZipmap = 9,
    /// A ziplist.
    ListZiplist = 10,
    /// An intset.
    SetIntset = 11,
    /// A ziplist of members and scores.
    ZsetZiplist = 12,
    /// A ziplist of fields and values.
    HashZiplist = 13,
    /// A run of ziplists.
    ListQuicklist = 14,
    /// A stream of Redis 5 to 6.2.
    StreamListpacks = 15,
    /// A listpack of fields and values.
    HashListpack = 16,
    /// A listpack of members and scores.
    ZsetListpack = 17,
    /// A run of listpacks and single elements.
    ListQuicklist2 = 18,
    /// A stream of Redis 7.0.
    StreamListpacks2 = 19,
    /// A listpack of distinct elements.
    SetListpack = 20,
    /// A stream of Redis 7.2 and later.
    StreamListpacks3 = 21,
}

impl ObjectType {
    const ALL: [ObjectType; 19] = [
        ObjectType::String,
        ObjectType::List,
        ObjectType::Set,
        ObjectType::Zset,
        ObjectType::Hash,
        ObjectType::Zset2,
        ObjectType::HashZipmap,
        ObjectType::ListZiplist,
        ObjectType::SetIntset,
        ObjectType::ZsetZiplist,
        ObjectType::HashZiplist,
        ObjectType::ListQuicklist,
        ObjectType::HashListpack,
        ObjectType::ZsetListpack,
        ObjectType::ListQuicklist2,
        ObjectType::SetListpack,
        ObjectType::StreamListpacks,
        ObjectType::StreamListpacks2,
        ObjectType::StreamListpacks3,
    ];

    /// The type a byte stands for.
    ///
    /// # Errors
    /// [`RdbError::UnknownType`], also for module values.
    pub fn from_byte(byte: u8) -> Result<ObjectType, RdbError> {
        ObjectType::ALL
            .into_iter()
            .find(|kind| kind.byte() == byte)
            .ok_or(RdbError::UnknownType(byte))
    }

    /// The byte that stands for the type.
    pub fn byte(self) -> u8 {
        self as u8
    }
}
