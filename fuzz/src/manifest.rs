//! Manifests: refused, or written and read again as the same files, with a checksum too, which then
//! leaves no change unnoticed; new files never take the name of one that is there.

use basalt_formats::aof::{BaseFormat, Lineage, Manifest};

use crate::Input;
use crate::alloc::bounded;

/// One case: a manifest.
pub fn manifest(data: &[u8]) {
    // An error of a long line shows the line.
    let Ok(mut found) = bounded(data.len(), || Manifest::parse(data)) else {
        return;
    };
    if found.is_empty() && found.history.is_empty() {
        return;
    }
    same(&found);
    sealed(&found, data);
    found.lineage = None;
    let mut input = Input::new(data);
    for _ in 0..6 {
        let before: Vec<_> = found.files().chain(&found.history).cloned().collect();
        let prefix: &[u8] = if input.byte() & 1 == 0 {
            b"appendonly.aof"
        } else {
            b"a b'\"\xff\n"
        };
        let added = match input.below(4) {
            0 => found.new_base(prefix, BaseFormat::Rdb).cloned(),
            1 => found.new_base(prefix, BaseFormat::Aof).cloned(),
            2 => found.new_incr(prefix).cloned(),
            _ => {
                found.retire_incr(input.below(3));
                continue;
            }
        };
        match added {
            Ok(added) => assert!(before.iter().all(|file| file.name != added.name)),
            Err(_) => return,
        }
        same(&found);
    }
}

/// The files are those that are read from what is written.
fn same(manifest: &Manifest) {
    let bytes = manifest.to_bytes();
    let again = Manifest::parse(&bytes).unwrap_or_else(|error| {
        panic!("{error} in {}", bytes.escape_ascii());
    });
    assert_eq!(
        (&again.base, &again.incr, &again.history, again.lineage),
        (
            &manifest.base,
            &manifest.incr,
            &manifest.history,
            manifest.lineage
        )
    );
}

/// With a checksum no change of one byte goes unnoticed, except of the checksum itself.
fn sealed(manifest: &Manifest, data: &[u8]) {
    let mut manifest = manifest.clone();
    manifest.lineage = Some(Lineage([9; 16]));
    same(&manifest);
    let mut bytes = manifest.to_bytes();
    let mut input = Input::new(data);
    let at = input.below(bytes.len());
    bytes[at] ^= input.byte().max(1);
    if let Ok(changed) = Manifest::parse(&bytes) {
        assert_eq!(
            (changed.base, changed.incr, changed.history),
            (manifest.base, manifest.incr, manifest.history),
            "a change at {at} of {}",
            bytes.escape_ascii()
        );
    }
}
