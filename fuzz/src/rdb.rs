//! RDB files. They are refused, or what is read can be written for every server and holds the
//! same when it is read again. The checksum is not looked at first, so that what is behind it is
//! reached; then it is made right, and the file must read the same; then one bit is flipped, and
//! it must not.

use basalt_formats::crc64::crc64;
use basalt_formats::rdb::file::{Checksum, FileReader, FileWriter, KeyRecord, Record};
use basalt_formats::rdb::{Target, skip_value};

use crate::alloc::bounded;
use crate::content::{self, Content};

/// Runs one case: the bytes of a file.
pub fn rdb(data: &[u8]) {
    let (keys, end) = bounded(data.len(), || scan(data));
    if let Some(end) = end {
        checksum(data.get(..end).unwrap_or(data), keys.len());
    }
    let whole: Vec<_> = keys
        .iter()
        .filter_map(|key| Some((key, content::read(key.kind, key.body).ok()?)))
        .collect();
    for target in Target::ALL {
        write(&whole, target);
    }
}

/// The keys whose values are whole, and where the file ends if all of it is.
fn scan(bytes: &[u8]) -> (Vec<KeyRecord<'_>>, Option<usize>) {
    let mut keys = Vec::new();
    let Ok(reader) = FileReader::new(bytes) else {
        return (keys, None);
    };
    let mut reader = reader.checksum(false).keep_modules(true);
    loop {
        match reader.next_record() {
            Ok(Record::Key(key)) => {
                let mut skipped = basalt_formats::rdb::Reader::new(key.body);
                skip_value(key.kind, &mut skipped).expect("a body that was cut out");
                assert_eq!(skipped.left(), 0);
                if content::drain(key.kind, key.body).is_ok() {
                    keys.push(key);
                }
            }
            Ok(Record::Eof { end, .. }) => return (keys, Some(end)),
            Ok(_) => {}
            Err(error) => {
                assert!(error.offset <= bytes.len());
                return (keys, None);
            }
        }
    }
}

/// The checksum and the end that a checking reader finds.
fn verdict(bytes: &[u8]) -> Option<(Checksum, usize, usize)> {
    let mut reader = FileReader::new(bytes).ok()?.keep_modules(true);
    let mut keys = 0;
    loop {
        match reader.next_record().ok()? {
            Record::Key(key) => keys += usize::from(content::drain(key.kind, key.body).is_ok()),
            Record::Eof { checksum, end } => return Some((checksum, end, keys)),
            _ => {}
        }
    }
}

/// A file that was read with the checksum left aside: with the right one, and then a flipped bit.
fn checksum(file: &[u8], keys: usize) {
    let header = FileReader::new(file).expect("read before").header();
    if !header.has_checksum() {
        assert_eq!(verdict(file), Some((Checksum::Absent, file.len(), keys)));
        return;
    }
    let mut file = file.to_vec();
    let content = file.len() - 8;
    let sum = crc64(0, &file[..content]);
    file[content..].copy_from_slice(&sum.to_le_bytes());
    let expected = match sum {
        0 => Checksum::Zero,
        sum => Checksum::Good(sum),
    };
    assert_eq!(verdict(&file), Some((expected, file.len(), keys)));
    let place = (sum as usize) % (content * 8);
    file[place / 8] ^= 1 << (place % 8);
    if let Some((_, end, _)) = verdict(&file) {
        assert_ne!(end, file.len(), "bit {place} flipped, unnoticed");
    }
}

fn write(keys: &[(&KeyRecord<'_>, Content)], target: Target) {
    let mut writer = FileWriter::new(target, true, true);
    let mut written = Vec::new();
    for (key, content) in keys {
        if writer.record(key).is_ok() {
            written.push((key, content));
        }
    }
    let file = writer.finish();
    let mut reader = FileReader::new(&file).expect("a header").keep_modules(true);
    for (before, content) in written {
        match reader.next_record() {
            Ok(Record::Key(after)) => {
                assert_eq!(
                    (&before.key, before.expire_ms),
                    (&after.key, after.expire_ms)
                );
                assert!(target.supports(after.kind));
                assert_eq!(before.kind.name(), after.kind.name());
                let again =
                    content::read(after.kind, after.body).expect("what was written is read");
                assert!(
                    content.agrees(&again),
                    "{target:?}: {content:?} became {again:?}"
                );
            }
            other => panic!("{other:?} for {before:?}"),
        }
    }
    assert!(matches!(reader.next_record(), Ok(Record::Eof { .. })));
}
