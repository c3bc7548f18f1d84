//! Names of the objects of a repository.

use crate::store::{InvalidName, ObjectName};

use super::BackupId;
use super::chunk::Format;

/// The folder of manifests.
pub const BACKUPS: &str = "backups";
/// The folder of chunks.
pub const OBJECTS: &str = "objects";
/// The folder of the archive of logs.
pub const LOGS: &str = "logs";
/// The folder of leases.
pub const LEASES: &str = "leases";
/// The folder of repository keys.
pub const KEYS: &str = "keys";

/// The manifest of a backup.
pub fn manifest(id: &BackupId) -> Result<ObjectName, InvalidName> {
    ObjectName::new(&format!("{BACKUPS}/{id}.json"))
}

/// The backup a manifest's name belongs to.
pub fn manifest_id(name: &ObjectName) -> Option<BackupId> {
    name.as_str()
        .strip_prefix(BACKUPS)?
        .strip_prefix('/')?
        .strip_suffix(".json")?
        .parse()
        .ok()
}

/// The lease of a backup under way.
pub fn lease(id: &BackupId) -> Result<ObjectName, InvalidName> {
    ObjectName::new(&format!("{LEASES}/{id}.json"))
}

/// A chunk.
pub fn chunk(
    id: &BackupId,
    name: &str,
    format: Format,
    encrypted: bool,
) -> Result<ObjectName, InvalidName> {
    let compressed = match format {
        Format::None => "",
        Format::Lz4 => ".lz4",
        Format::Zstd => ".zst",
    };
    let age = if encrypted { ".age" } else { "" };
    ObjectName::new(&format!("{OBJECTS}/{id}/{name}.rdb{compressed}{age}"))
}

/// The tables of a backup.
pub fn tables(id: &BackupId) -> Result<ObjectName, InvalidName> {
    ObjectName::new(&format!("{OBJECTS}/{id}/tables.json.zst"))
}

/// The backup that wrote a chunk or tables, from the name.
pub fn chunk_owner(name: &ObjectName) -> Option<BackupId> {
    let rest = name.as_str().strip_prefix(OBJECTS)?.strip_prefix('/')?;
    rest.split_once('/')?.0.parse().ok()
}

/// How a chunk's name says it is compressed and whether it is encrypted.
pub fn chunk_kind(name: &ObjectName) -> Option<(Format, bool)> {
    let (rest, encrypted) = match name.as_str().strip_suffix(".age") {
        Some(rest) => (rest, true),
        None => (name.as_str(), false),
    };
    let format = match rest.rsplit_once('.')?.1 {
        "rdb" => Format::None,
        "lz4" => Format::Lz4,
        "zst" => Format::Zstd,
        _ => return None,
    };
    Some((format, encrypted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_they_are() {
        let id = BackupId::new(0, "ab", 1);
        assert_eq!(manifest_id(&manifest(&id).unwrap()), Some(id.clone()));
        for format in [Format::None, Format::Lz4, Format::Zstd] {
            for encrypted in [false, true] {
                let name = chunk(&id, "0-0-127.0", format, encrypted).unwrap();
                assert_eq!(chunk_kind(&name), Some((format, encrypted)), "{name}");
                assert_eq!(chunk_owner(&name), Some(id.clone()));
                assert_eq!(manifest_id(&name), None);
            }
        }
    }
}
