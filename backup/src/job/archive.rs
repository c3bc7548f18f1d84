//! The archive of the log: segments between backups, for restoring to any moment.
//!
//! A *stream* is what one process has written since the cut of its first backup: effects numbered without a gap. A segment is
//! a piece of it, plain RESP with lines that begin with `#`, which Redis passes over:
//!
//! ```text
//! #basalt-segment 1 STREAM FIRST LAST FROM_MS TO_MS MAC
//! *2 SELECT 0                          each segment selects its first database
//! #T MILLISECONDS                      the moment of what follows, when it is another than before
//! *3 SET ...
//! ```
//!
//! The name tells the same as the head, so that a listing shows what can be restored; the MAC covers both and the content.
//! Segments end at the cuts of backups, so a restore takes whole segments after the base, and cuts only the last one.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::JobError;
use crate::repo::chunk::{Codec, Decoder, Format};
use crate::repo::crypt::{Identities, Recipients};
use crate::repo::depot::Depot;
use crate::repo::manifest::{Manifest, Position};
use crate::repo::object::{ChunkWriter, ObjectError, unwrap_io};
use crate::repo::{RepositoryKey, layout};
use crate::store::{BackupStore, ObjectName};

/// The longest segment that is read.
const MAX_SEGMENT_BYTES: u64 = 4 << 30;
/// Digits of an index in a name.
const INDEX_DIGITS: usize = 20;

/// A piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Which stream.
    pub stream: String,
    /// Number of its first effect.
    pub first: u64,
    /// Number of its last effect.
    pub last: u64,
    /// When the first was made, Unix milliseconds.
    pub from_ms: i64,
    /// When the last was made.
    pub to_ms: i64,
}

impl Segment {
    /// How it is named, without what tells how it is stored.
    fn stem(&self) -> String {
        format!(
            "{}/{}/{:0width$}-{:0width$}-{:015}-{:015}",
            layout::LOGS,
            self.stream,
            self.first,
            self.last,
            self.from_ms,
            self.to_ms,
            width = INDEX_DIGITS
        )
    }

    /// What a name says, and whether the object is encrypted.
    fn parse(name: &ObjectName) -> Option<(Segment, Format, bool)> {
        let (rest, encrypted) = match name.as_str().strip_suffix(".age") {
            Some(rest) => (rest, true),
            None => (name.as_str(), false),
        };
        let (stem, format) = if let Some(stem) = rest.strip_suffix(".aof.zst") {
            (stem, Format::Zstd)
        } else if let Some(stem) = rest.strip_suffix(".aof.lz4") {
            (stem, Format::Lz4)
        } else {
            (rest.strip_suffix(".aof")?, Format::None)
        };
        let (stream, numbers) = stem
            .strip_prefix(layout::LOGS)?
            .strip_prefix('/')?
            .split_once('/')?;
        let mut numbers = numbers.split('-');
        let segment = Segment {
            stream: stream.to_owned(),
            first: numbers.next()?.parse().ok()?,
            last: numbers.next()?.parse().ok()?,
            from_ms: numbers.next()?.parse().ok()?,
            to_ms: numbers.next()?.parse().ok()?,
        };
        let ordered = segment.first <= segment.last && segment.from_ms <= segment.to_ms;
        (numbers.next().is_none() && ordered).then_some((segment, format, encrypted))
    }

    /// What the MAC covers besides the content.
    fn head(&self) -> String {
        format!(
            "#basalt-segment 1 {} {} {} {} {}",
            self.stream, self.first, self.last, self.from_ms, self.to_ms
        )
    }
}

fn mac(key: &RepositoryKey, segment: &Segment, content: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(&key.segment_key());
    hasher.update(segment.head().as_bytes());
    hasher.update(b"\n");
    hasher.update(content);
    hasher.finalize()
}

/// Writes a segment; bytes of the object.
///
/// # Errors
/// [`JobError`].
pub fn write(
    store: &dyn BackupStore,
    segment: &Segment,
    content: &[u8],
    codec: Codec,
    recipients: &Recipients,
    key: &RepositoryKey,
    spool_dir: Arc<Path>,
) -> Result<u64, JobError> {
    let mut stem = segment.stem();
    stem.push_str(match codec.format() {
        Format::None => ".aof",
        Format::Lz4 => ".aof.lz4",
        Format::Zstd => ".aof.zst",
    });
    if !recipients.is_empty() {
        stem.push_str(".age");
    }
    let name = ObjectName::new(&stem)?;
    let mut writer = ChunkWriter::new(codec, recipients, Depot::of(store, spool_dir))?;
    let head = format!("{} {}\n", segment.head(), mac(key, segment, content));
    writer.write_all(head.as_bytes()).map_err(unwrap_io)?;
    writer.write_all(content).map_err(unwrap_io)?;
    let finished = writer.finish()?;
    let bytes = finished.bytes;
    finished.upload(store, &name, &|_| Ok(()))?;
    Ok(bytes)
}

/// A segment that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// What its name says.
    pub segment: Segment,
    /// The object.
    pub name: ObjectName,
    /// Bytes of the object.
    pub bytes: u64,
}

/// The segments of a stream, or of all, in order.
///
/// # Errors
/// What the store says.
pub fn list(store: &dyn BackupStore, stream: Option<&str>) -> Result<Vec<Stored>, JobError> {
    let folder = match stream {
        Some(stream) => ObjectName::new(&format!("{}/{stream}", layout::LOGS))?,
        None => ObjectName::new(layout::LOGS)?,
    };
    let objects = store.list(Some(&folder), None, usize::MAX)?;
    let mut stored: Vec<_> = objects
        .into_iter()
        .filter_map(|object| {
            Some(Stored {
                segment: Segment::parse(&object.name)?.0,
                bytes: object.size_bytes,
                name: object.name,
            })
        })
        .collect();
    stored.sort();
    Ok(stored)
}

/// The content of a segment, authenticated.
///
/// # Errors
/// [`JobError::Chunk`] if it is damaged or was written by somebody else.
pub fn read(
    store: &dyn BackupStore,
    stored: &Stored,
    identities: &Identities,
    key: &RepositoryKey,
) -> Result<Vec<u8>, JobError> {
    let failed = |source: ObjectError| JobError::Chunk {
        name: stored.name.to_string(),
        source: Box::new(source),
    };
    let wrong = |reason: &str| JobError::Content {
        name: stored.name.to_string(),
        reason: reason.to_owned(),
    };
    let parsed = Segment::parse(&stored.name);
    let (_, format, encrypted) =
        parsed.ok_or_else(|| wrong("this is not the name of a segment"))?;
    let mut body = store.get(&stored.name, MAX_SEGMENT_BYTES)?;
    if encrypted {
        if identities.is_empty() {
            return Err(failed(ObjectError::NeedsIdentity));
        }
        let plain = identities
            .open_short(&body, MAX_SEGMENT_BYTES)
            .map_err(|error| failed(error.into()))?;
        body = Bytes::from(plain);
    }
    let plain = decode_unclaimed(format, &body).map_err(|error| failed(unwrap_io(error)))?;
    let end = plain
        .iter()
        .take(1024)
        .position(|byte| *byte == b'\n')
        .ok_or_else(|| wrong("it has no head"))?;
    let (head, content) = plain.split_at(end);
    let content = content.get(1..).unwrap_or_default();
    let expected = format!(
        "{} {}",
        stored.segment.head(),
        mac(key, &stored.segment, content)
    );
    // What is compared is not secret to whoever can read it.
    if head != expected.as_bytes() {
        return Err(wrong(
            "its head does not authenticate it: it is damaged, in the wrong place, or somebody else's",
        ));
    }
    Ok(content.to_vec())
}

/// Decodes a body whose length nothing tells; what it may grow to is bounded.
fn decode_unclaimed(format: Format, body: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut plain = Vec::new();
    Decoder::unclaimed(format, body, MAX_SEGMENT_BYTES)?.read_to_end(&mut plain)?;
    Ok(plain)
}

/// What is to be replayed after a base to reach a moment.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Segments in order.
    pub segments: Vec<Stored>,
    /// The moment; none: to the end.
    pub until_ms: Option<i64>,
}

/// What a backup tells of the stream it stands in: before its cut there were the effects up to its position, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its place in the stream.
    pub position: Position,
    /// The moment of its cut.
    pub cut_ms: i64,
}

impl Mark {
    /// That of a backup, if it stands in a stream.
    pub fn of(manifest: &Manifest) -> Option<Mark> {
        let position = manifest.archive.clone()?;
        let cut_ms = manifest.cut_ms;
        Some(Mark { position, cut_ms })
    }
}

/// How far the log goes on after a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Every moment from the backup's to this one can be restored; the least number if there is none.
    pub covered_ms: i64,
    /// The number of the first effect that is not there, or not yet.
    pub next: u64,
    /// Effects that are not there, although later ones are.
    pub missing: Option<(u64, u64)>,
}

impl Reach {
    /// Follows the segments of the stream, which are in order; backups tell of times in which nothing was written.
    pub fn of(base: &Position, segments: &[Stored], marks: &[Mark]) -> Reach {
        let mut reach = Reach {
            covered_ms: i64::MIN,
            next: base.index.saturating_add(1),
            missing: None,
        };
        let stored = segments.iter().map(|stored| &stored.segment);
        for segment in stored.filter(|segment| segment.stream == base.stream) {
            if segment.last < reach.next {
                continue;
            }
            if segment.first != reach.next {
                reach.missing = Some((reach.next, segment.first.saturating_sub(1)));
                break;
            }
            reach.covered_ms = segment.to_ms;
            reach.next = segment.last.saturating_add(1);
        }
        for mark in marks
            .iter()
            .filter(|mark| mark.position.stream == base.stream)
        {
            if (base.index..reach.next).contains(&mark.position.index) {
                // In the millisecond of the cut there may be more behind it.
                reach.covered_ms = reach.covered_ms.max(mark.cut_ms.saturating_sub(1));
            }
        }
        reach
    }
}

/// Finds the way from a base to a moment, or to the end of the stream.
///
/// # Errors
/// [`JobError::Missing`] if a segment is missing, or the moment is not covered.
pub fn route(
    store: &dyn BackupStore,
    base: &Position,
    until_ms: Option<i64>,
    marks: &[Mark],
) -> Result<Route, JobError> {
    let stored = list(store, Some(&base.stream))?;
    let reach = Reach::of(base, &stored, marks);
    let mut route = Route {
        segments: Vec::new(),
        until_ms,
    };
    for stored in stored {
        let segment = &stored.segment;
        let before = until_ms.is_none_or(|until| segment.from_ms <= until);
        if segment.last > base.index && segment.first < reach.next && before {
            route.segments.push(stored);
        }
    }
    let covered_ms = reach.covered_ms;
    let enough = until_ms.is_some_and(|until| until <= covered_ms);
    if let (false, Some((first, last))) = (enough, reach.missing) {
        return Err(JobError::Missing(format!(
            "effects {first} to {last} of stream {} are missing from the archive",
            base.stream
        )));
    }
    if !enough && until_ms.is_some() {
        return Err(JobError::Missing(format!(
            "the archive after this backup ends at {}, before the moment that is asked for",
            crate::repo::time_text(covered_ms.max(0))
        )));
    }
    Ok(route)
}

/// Copies the commands of a segment's content that were made up to a moment, without comments; the number of effects.
///
/// # Errors
/// [`JobError::Content`] if the content is not what segments hold.
pub fn replay(
    name: &ObjectName,
    content: &[u8],
    until_ms: Option<i64>,
    out: &mut dyn Write,
) -> Result<u64, JobError> {
    let wrong = |at: usize| JobError::Content {
        name: name.to_string(),
        reason: format!("byte {at} of the log begins no command"),
    };
    let (mut at, mut effects) = (0, 0);
    while at < content.len() {
        let rest = content.get(at..).unwrap_or_default();
        if rest.first() == Some(&b'#') {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let end = end.ok_or_else(|| wrong(at))?;
            let line = rest.get(..end).unwrap_or_default();
            if let Some(stamp) = line.strip_prefix(b"#T ") {
                let stamp = std::str::from_utf8(stamp).ok();
                let stamp: Option<i64> = stamp.and_then(|text| text.parse().ok());
                let stamp = stamp.ok_or_else(|| wrong(at))?;
                if until_ms.is_some_and(|until| stamp > until) {
                    return Ok(effects);
                }
            }
            at += end + 1;
            continue;
        }
        let (length, select) = command(rest).ok_or_else(|| wrong(at))?;
        out.write_all(rest.get(..length).unwrap_or_default())?;
        effects += u64::from(!select);
        at += length;
    }
    Ok(effects)
}

/// The length of the command at the beginning of plain commands.
pub fn command_bytes(bytes: &[u8]) -> Option<usize> {
    command(bytes).map(|(length, _)| length)
}

/// The length of the command at the beginning, and whether it is SELECT.
fn command(bytes: &[u8]) -> Option<(usize, bool)> {
    let (count, mut at) = number(bytes, 0, b'*')?;
    let mut select = false;
    for word in 0..count {
        let (length, begin) = number(bytes, at, b'$')?;
        let end = begin.checked_add(length)?;
        if word == 0 {
            select = bytes.get(begin..end)?.eq_ignore_ascii_case(b"select");
        }
        if bytes.get(end..end.checked_add(2)?)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    (count > 0).then_some((at, select))
}

/// A line of a mark and a number: the number, and where the next line begins.
fn number(bytes: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?.strip_prefix(&[mark])?;
    let end = line.iter().take(20).position(|byte| *byte == b'\r')?;
    let digits = line.get(..end)?;
    if line.get(end + 1) != Some(&b'\n') || digits.is_empty() {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, at + 1 + end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::crypt::NewIdentity;
    use crate::store::MemoryStore;

    fn content(stamps: &[i64]) -> Vec<u8> {
        let mut bytes = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".to_vec();
        for stamp in stamps {
            bytes.extend(format!("#T {stamp}\n*2\r\n$4\r\nINCR\r\n$1\r\n#\r\n").bytes());
        }
        bytes
    }

    fn segment(first: u64, stamps: &[i64]) -> Segment {
        Segment {
            stream: "0123456789abcdef".into(),
            first,
            last: first + stamps.len() as u64 - 1,
            from_ms: stamps[0],
            to_ms: stamps[stamps.len() - 1],
        }
    }

    #[test]
    fn the_way_to_a_moment() {
        let store = MemoryStore::new();
        let key = RepositoryKey::of([5; 32]);
        let new = NewIdentity::generate("now");
        let recipients = Recipients::parse(&new.recipient).unwrap();
        let identities = Identities::parse(&new.file(None).unwrap(), || None).unwrap();
        let pieces: [&[i64]; 3] = [&[10, 20], &[30, 30, 40], &[50]];
        let mut first = 1;
        for (stamps, codec) in
            pieces
                .into_iter()
                .zip([Codec::None, Codec::Lz4, Codec::Zstd { level: 3 }])
        {
            let segment = segment(first, stamps);
            let dir = std::env::temp_dir().into();
            let content = content(stamps);
            write(&store, &segment, &content, codec, &recipients, &key, dir).unwrap();
            first = segment.last + 1;
        }
        let base = |index| Position {
            stream: "0123456789abcdef".into(),
            index,
        };
        // A backup after the last segment, another stream's, and one behind effects that have not arrived.
        let mark = |index, cut_ms| Mark {
            position: base(index),
            cut_ms,
        };
        let mut other = mark(6, 99);
        other.position.stream = "f".into();
        let marks = [mark(6, 60), other, mark(7, 98)];
        let effects = |index, until| -> Result<u64, JobError> {
            let route = route(&store, &base(index), until, &marks)?;
            let mut effects = 0;
            for stored in &route.segments {
                let content = read(&store, stored, &identities, &key)?;
                effects += replay(&stored.name, &content, until, &mut Vec::new())?;
            }
            Ok(effects)
        };
        for (index, until, expected) in [
            (0, None, 6),
            (2, None, 4),
            (0, Some(20), 2),
            (0, Some(29), 2),
            (0, Some(30), 4),
            (2, Some(35), 2),
            (0, Some(5), 0),
            (0, Some(50), 6),
            (0, Some(59), 6),
            (6, Some(59), 0),
            (6, None, 0),
        ] {
            assert_eq!(
                effects(index, until).unwrap(),
                expected,
                "{index} {until:?}"
            );
        }
        assert!(effects(0, Some(60)).is_err());
        let all = list(&store, None).unwrap();
        assert_eq!(all.len(), 3);
        // Another key, another place, a gap.
        let other = RepositoryKey::of([6; 32]);
        assert!(read(&store, &all[0], &identities, &other).is_err());
        assert!(read(&store, &all[0], &Identities::default(), &key).is_err());
        let body = store.get(&all[0].name, u64::MAX).unwrap();
        let moved = all[0]
            .name
            .as_str()
            .replace("000000000000010", "000000000000011");
        let moved = ObjectName::new(&moved).unwrap();
        store.put(&moved, body).unwrap();
        let stored = Stored {
            segment: Segment::parse(&moved).unwrap().0,
            name: moved.clone(),
            bytes: 0,
        };
        assert!(read(&store, &stored, &identities, &key).is_err());
        store.delete(&moved).unwrap();
        store.delete(&all[1].name).unwrap();
        assert!(effects(0, None).is_err());
        assert_eq!(effects(0, Some(20)).unwrap(), 2);
    }

    #[test]
    fn what_memory_does_not_hold_waits_where_it_was_told() {
        let (store, key) = (MemoryStore::new(), RepositoryKey::of([5; 32]));
        let (segment, content) = (segment(1, &[10]), vec![b'#'; 5 << 20]);
        let dir = tempfile::tempdir().unwrap();
        let write = |dir: &Path| {
            let none = Recipients::default();
            let dir = dir.into();
            write(&store, &segment, &content, Codec::None, &none, &key, dir)
        };
        write(dir.path()).unwrap();
        let missing = dir.path().join("missing");
        let error = write(&missing).unwrap_err().to_string();
        assert!(error.contains(missing.to_str().unwrap()), "{error}");
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let name = ObjectName::new("x").unwrap();
        for bytes in [
            &b"SET a b\r\n"[..],
            b"*1\r\n$3\r\nab\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"#T x\n",
            b"#never ends",
            b"*99999999999999999999\r\n",
            b"*2\r\n$1\r\na\r\n",
            b"*1\r\n$18446744073709551615\r\na\r\n",
        ] {
            assert!(replay(&name, bytes, None, &mut Vec::new()).is_err());
        }
    }
}
