//! [`Target`]: the servers a file may be written for, and what they can read.

use super::ObjectType;
use super::file::{Header, Magic, VALKEY_9};

/// A server that is to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Target {
    /// Redis 5.
    Redis5,
    /// Redis 6.0.
    Redis6,
    /// Redis 6.2.
    Redis62,
    /// Redis 7.0.
    Redis70,
    /// Redis 7.2.
    Redis72,
    /// Redis 7.4.
    Redis74,
    /// Valkey 7.2.
    Valkey7,
    /// Valkey 8.
    Valkey8,
    /// Valkey 9.
    Valkey9,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 9] = [
        Target::Redis5,
        Target::Redis6,
        Target::Redis62,
        Target::Redis70,
        Target::Redis72,
        Target::Redis74,
        Target::Valkey7,
        Target::Valkey8,
        Target::Valkey9,
    ];

    /// A server that reads files of this version and none of a later one.
    pub fn from_version(version: u16) -> Option<Target> {
        match version {
            9 => Some(Target::Redis62),
            10 => Some(Target::Redis70),
            11 => Some(Target::Redis72),
            12 => Some(Target::Redis74),
            VALKEY_9 => Some(Target::Valkey9),
            _ => None,
        }
    }

    /// The version of its files.
    pub fn version(self) -> u16 {
        match self {
            Target::Redis5 | Target::Redis6 | Target::Redis62 => 9,
            Target::Redis70 => 10,
            Target::Redis72 | Target::Valkey7 | Target::Valkey8 => 11,
            Target::Redis74 => 12,
            Target::Valkey9 => VALKEY_9,
        }
    }

    /// How its files begin.
    pub fn header(self) -> Header {
        let magic = match self {
            Target::Valkey9 => Magic::Valkey,
            _ => Magic::Redis,
        };
        let version = self.version();
        Header { magic, version }
    }

    /// Whether it reads values of the type.
    pub fn supports(self, kind: ObjectType) -> bool {
        let version = self.version();
        match kind {
            ObjectType::String
            | ObjectType::List
            | ObjectType::Set
            | ObjectType::Zset
            | ObjectType::Hash
            | ObjectType::Zset2
            | ObjectType::Module2
            | ObjectType::HashZipmap
            | ObjectType::ListZiplist
            | ObjectType::SetIntset
            | ObjectType::ZsetZiplist
            | ObjectType::HashZiplist
            | ObjectType::ListQuicklist
            | ObjectType::StreamListpacks => true,
            ObjectType::HashListpack
            | ObjectType::ZsetListpack
            | ObjectType::ListQuicklist2
            | ObjectType::StreamListpacks2 => version >= 10,
            ObjectType::SetListpack | ObjectType::StreamListpacks3 => version >= 11,
            ObjectType::HashMetadataPreGa
            | ObjectType::HashListpackExPreGa
            | ObjectType::HashMetadata
            | ObjectType::HashListpackEx => self == Target::Redis74,
            ObjectType::ValkeyHash2 => self == Target::Valkey9,
        }
    }

    /// Whether it reads libraries of functions.
    pub fn supports_functions(self) -> bool {
        self.version() >= 10
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Target::Redis5 => "Redis 5",
            Target::Redis6 => "Redis 6.0",
            Target::Redis62 => "Redis 6.2",
            Target::Redis70 => "Redis 7.0",
            Target::Redis72 => "Redis 7.2",
            Target::Redis74 => "Redis 7.4",
            Target::Valkey7 => "Valkey 7.2",
            Target::Valkey8 => "Valkey 8",
            Target::Valkey9 => "Valkey 9",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for target in Target::ALL {
            let header = target.header();
            let newest = Target::from_version(header.version).unwrap();
            assert_eq!(newest.header(), header);
            // What a server reads, its files can say.
            for byte in 0..=u8::MAX {
                if let Ok(kind) = ObjectType::in_file(byte, header) {
                    assert_eq!(newest.supports(kind), target.supports(kind));
                    if target.supports(kind) {
                        assert_eq!(kind.byte(), byte);
                    }
                }
            }
        }
        assert!(!Target::Redis72.supports(ObjectType::HashMetadata));
        assert!(!Target::Valkey9.supports(ObjectType::HashMetadata));
        assert_eq!(Target::Valkey9.header().to_string(), "VALKEY080");
        assert_eq!(Target::Redis62.header().to_string(), "REDIS0009");
    }
}
