//! What a snapshot is turned into: how slots become bytes, and where the bytes go.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use basalt_formats::rdb::Writer;

use crate::keyspace::Header;
use crate::keyspace::shard::{KeySchema, SlotTable};
use crate::structs::paged::Entry;
use crate::value::Value;
use crate::value::serial::Content;
use crate::value::serial::drain::is_big;

/// An entry of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotEntry<'a> {
    /// Its database, by its number at the cut.
    pub db: usize,
    /// The key.
    pub key: &'a [u8],
    /// Type, expiry and access field.
    pub header: Header,
    /// What it holds.
    pub content: Content<'a>,
}

/// What an encoder has to say of an entry it has written.
pub type Note = u128;

/// Turns slots into bytes, on several threads at once.
pub trait Encode: Send + Sync {
    /// Whether strings are to be compressed.
    fn compress(&self) -> bool {
        false
    }

    /// Appends one entry.
    fn entry(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>);

    /// Appends what stands before the value of an entry, and says whether the value, which
    /// somebody else appends in RDB form, may follow. Who does not write RDB gets the entry
    /// whole.
    fn begin(&self, entry: SnapshotEntry<'_>, writer: &mut Writer<'_>) -> bool {
        let _ = (entry, writer);
        false
    }

    /// Whether it makes notes. Then a boundary comes whenever the shard changes.
    fn makes_notes(&self) -> bool {
        false
    }

    /// Takes the notes on the entries that were encoded on this thread since the last time, in
    /// their order. They reach the sink with the boundary behind these entries.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }
}

/// An entry that is written apart from its slot, page by page.
pub(super) struct BigEntry {
    pub key: Vec<u8>,
    pub header: Header,
    pub value: Value,
}

impl dyn Encode {
    /// Appends the entries of a slot in the order of their keys; how many there are. Stops early
    /// once cancelled. Big values are left out if there is a place to put them aside.
    pub(super) fn slot(
        &self,
        db: usize,
        table: &SlotTable,
        writer: &mut Writer<'_>,
        cancelled: &AtomicBool,
        mut aside: Option<&mut Vec<BigEntry>>,
    ) -> u64 {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_unstable_by(|a, b| a.key.cmp(b.key));
        for entry in &entries {
            if cancelled.load(Relaxed) {
                break;
            }
            self.one(db, *entry, writer, aside.as_deref_mut());
        }
        entries.len() as u64
    }

    /// Appends an entry of a slot, or puts it aside.
    pub(super) fn one(
        &self,
        db: usize,
        entry: Entry<'_, KeySchema>,
        writer: &mut Writer<'_>,
        aside: Option<&mut Vec<BigEntry>>,
    ) {
        let (header, inline) = Header::decode(entry.payload);
        if let (Some(aside), Some(value)) = (aside, entry.obj)
            && is_big(value)
        {
            aside.push(BigEntry {
                key: entry.key.to_vec(),
                header,
                value: value.clone(),
            });
            return;
        }
        let content = match entry.obj {
            Some(value) => Content::Value(value),
            None => Content::Str(inline),
        };
        let entry = SnapshotEntry {
            db,
            key: entry.key,
            header,
            content,
        };
        self.entry(entry, writer);
    }
}

/// Takes the encoded entries of a snapshot, on the thread that walks.
pub trait SnapshotSink {
    /// Bytes of entries of a database, by its number at the cut. Entries may be cut anywhere,
    /// but then the rest comes next. Undisturbed, databases and slots come in order; slots that
    /// were changed meanwhile come earlier.
    ///
    /// # Errors
    /// They end the walk.
    fn bytes(&mut self, db: usize, bytes: &[u8]) -> io::Result<()>;

    /// The walk comes to a shard of a database. What of it was not handed over early by writers
    /// comes from now on until the next shard, possibly with what is early of others.
    ///
    /// # Errors
    /// They end the walk.
    fn visit(&mut self, _db: usize, _shard: usize) -> io::Result<()> {
        Ok(())
    }

    /// What [`SnapshotSink::bytes`] takes, for sinks that need to know the shard it is from.
    ///
    /// # Errors
    /// They end the walk.
    fn shard_bytes(&mut self, db: usize, _shard: usize, bytes: &[u8]) -> io::Result<()> {
        self.bytes(db, bytes)
    }

    /// What has come so far ends with a whole entry, so many keys after the last time. If the
    /// encoder makes notes, all of them are of one shard of one database, and these are the notes.
    ///
    /// # Errors
    /// They end the walk.
    fn boundary(&mut self, _keys: u64, _notes: &[Note]) -> io::Result<()> {
        Ok(())
    }
}
