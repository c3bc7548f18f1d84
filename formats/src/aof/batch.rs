//! Writes commands in batches, each behind a line with its checksum.
//!
//! A batch is what is written to the file at once: the commands of one group commit. The line before it is filled in when the
//! batch is closed. Open batches never leave the writer, so what reaches the file is a line and its whole batch, or, after a
//! crash, a part of that.
//!
//! The caller closes no batch within a transaction: a batch is the unit of what a torn tail or salvage drops.

use std::mem;
use std::ops::Range;

use super::annotation::{BATCH_BYTES, BatchLine, Header};
use crate::resp::encode::command;

/// Bytes before the commands that [`BatchWriter::adopt`] takes: the line goes there.
pub const ROOM: usize = BATCH_BYTES;

/// A buffer that grew beyond this is not kept.
const KEEP_BUFFER: usize = 1 << 20;

/// What the next batch of a file continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Its commit index.
    pub next_index: u64,
    /// `chk` of the line before it.
    pub prev: u32,
    /// The database that is selected.
    pub db: u32,
}

/// A batch that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its commit index.
    pub index: u64,
    /// Where line and batch stand in the buffer.
    pub bytes: Range<usize>,
}

/// Collects commands and closes batches.
#[derive(Debug)]
pub struct BatchWriter {
    buffer: Vec<u8>,
    chain: Chain,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    start: usize,
    db: u32,
}

impl BatchWriter {
    /// For a new file: its first bytes are the header's. Each file begins with database 0 selected.
    #[must_use]
    pub fn create(header: &Header) -> Self {
        let (line, prev) = header.to_line();
        let chain = Chain {
            next_index: header.first,
            prev,
            db: 0,
        };
        Self {
            buffer: line.to_vec(),
            ..Self::resume(chain)
        }
    }

    /// For a file that goes on, as [`AofReport::chain`](super::AofReport::chain) says. A file without a header, or with
    /// commands of another server at its end, cannot go on: begin a new one.
    #[must_use]
    pub fn resume(chain: Chain) -> Self {
        Self {
            buffer: Vec::new(),
            chain,
            open: None,
        }
    }

    /// Adds a command to the open batch, or begins one with it.
    pub fn append(&mut self, args: &[&[u8]]) {
        let select = match args {
            [name, db] if name.eq_ignore_ascii_case(b"select") => db_number(db),
            _ => None,
        };
        self.begin();
        command(&mut self.buffer, args);
        self.chain.db = select.unwrap_or(self.chain.db);
    }

    /// Adds whole commands, or `#TS:` lines, as they are; `db` is the database that is selected behind them.
    pub fn append_encoded(&mut self, records: &[u8], db: u32) {
        self.begin();
        self.buffer.extend_from_slice(records);
        self.chain.db = db;
    }

    /// As [`append_encoded`](Self::append_encoded) with what stands behind [`ROOM`] bytes of `records`. Nothing is copied if
    /// there is nothing else: then memory is exchanged. `records` is left with memory for other things.
    pub fn adopt(&mut self, records: &mut Vec<u8>, db: u32) {
        if self.open.is_some() || !self.buffer.is_empty() || records.len() < ROOM {
            self.append_encoded(records.get(ROOM..).unwrap_or_default(), db);
        } else {
            mem::swap(&mut self.buffer, records);
            self.open = Some(Open {
                start: 0,
                db: self.chain.db,
            });
            self.chain.db = db;
        }
        records.clear();
    }

    fn begin(&mut self) {
        if self.open.is_none() {
            self.open = Some(Open {
                start: self.buffer.len(),
                db: self.chain.db,
            });
            self.buffer.resize(self.buffer.len() + BATCH_BYTES, b' ');
        }
    }

    /// Bytes of the open batch, without its line.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        self.open
            .map_or(0, |open| self.buffer.len() - open.start - BATCH_BYTES)
    }

    /// Closes the open batch with the time of its commit. `None` if there is none.
    pub fn close(&mut self, time_ms: u64) -> Option<Closed> {
        let Open { start, db } = self.open.take()?;
        let body = self.buffer.get(start + BATCH_BYTES..).unwrap_or_default();
        let index = self.chain.next_index;
        let (line, check) = BatchLine {
            index,
            db,
            length: body.len() as u64,
            time_ms,
            crc: crc32fast::hash(body),
            prev: self.chain.prev,
        }
        .to_line();
        if let Some(place) = self.buffer.get_mut(start..start + BATCH_BYTES) {
            place.copy_from_slice(&line);
        }
        self.chain.prev = check;
        self.chain.next_index = index.wrapping_add(1);
        Some(Closed {
            index,
            bytes: start..self.buffer.len(),
        })
    }

    /// What the next batch continues; with no batch open, what a new file's header continues.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Hands the closed batches over if none is open: to be copied, or taken in exchange for other memory. What is left is
    /// memory for the next ones.
    pub fn hand_over<T>(&mut self, take: impl FnOnce(&mut Vec<u8>) -> T) -> Option<T> {
        if self.open.is_some() {
            return None;
        }
        let taken = take(&mut self.buffer);
        self.buffer.clear();
        if self.buffer.capacity() > KEEP_BUFFER {
            self.buffer = Vec::new();
        }
        Some(taken)
    }

    /// Takes the closed batches out, to be written. The open one stays.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.open {
            None => mem::take(&mut self.buffer),
            Some(open) => {
                let rest = self.buffer.split_off(open.start);
                open.start = 0;
                mem::replace(&mut self.buffer, rest)
            }
        }
    }
}

/// The number of a `SELECT`.
pub(super) fn db_number(text: &[u8]) -> Option<u32> {
    crate::num::parse_i64(text).and_then(|db| db.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::super::annotation::{HEADER_BYTES, Line, Lineage, Part, read};
    use super::*;

    fn header() -> Header {
        Header {
            part: Part::Incr,
            lineage: Lineage([7; 16]),
            seq: 1,
            first: 10,
            time_ms: 1,
            prev: 0,
        }
    }

    #[test]
    fn batches_are_chained() {
        let mut writer = BatchWriter::create(&header());
        assert_eq!(writer.close(5), None);
        writer.append(&[b"SELECT", b"3"]);
        writer.append(&[b"SET", b"k", b"v"]);
        assert_eq!(writer.open_bytes(), 23 + 27);
        let first = writer.close(5).expect("closed");
        assert_eq!(first.index, 10);
        assert_eq!(first.bytes, HEADER_BYTES..HEADER_BYTES + BATCH_BYTES + 50);
        writer.append_encoded(b"*1\r\n$4\r\nPING\r\n", 3);
        let taken = writer.take();
        assert_eq!(taken.len(), first.bytes.end);
        writer.append(&[b"PING"]);
        let second = writer.close(6).expect("closed");
        assert_eq!(second.bytes, 0..BATCH_BYTES + 28);
        let rest = writer.take();
        assert!(rest.ends_with(b"PING\r\n*1\r\n$4\r\nPING\r\n"));
        let (Line::Header(found), header_check) = read(&taken).unwrap() else {
            panic!()
        };
        assert_eq!(found, header());
        let (Line::Batch(one), one_check) = read(&taken[HEADER_BYTES..]).unwrap() else {
            panic!()
        };
        assert_eq!(
            (one.index, one.db, one.length, one.time_ms, one.prev),
            (10, 0, 50, 5, header_check)
        );
        assert_eq!(
            one.crc,
            crc32fast::hash(&taken[HEADER_BYTES + BATCH_BYTES..])
        );
        let (Line::Batch(two), two_check) = read(&rest).unwrap() else {
            panic!()
        };
        assert_eq!(
            (two.index, two.db, two.length, two.time_ms, two.prev),
            (11, 3, 28, 6, one_check)
        );
        assert_eq!(
            writer.chain(),
            Chain {
                next_index: 12,
                prev: two_check,
                db: 3
            }
        );
        assert!(writer.take().is_empty());
    }

    #[test]
    fn adopted_commands_give_the_same_bytes_as_copied_ones() {
        let commands = b"*1\r\n$4\r\nPING\r\n";
        for (adopts, line) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut writer = BatchWriter::resume(BatchWriter::create(&header()).chain());
            let mut expected = BatchWriter::resume(writer.chain());
            for db in [3, 4] {
                if line {
                    writer.append_encoded(b"#TS:5\r\n", 0);
                    expected.append_encoded(b"#TS:5\r\n", 0);
                }
                let mut records = [&[b' '; ROOM][..], commands].concat();
                if adopts {
                    writer.adopt(&mut records, db);
                    assert!(records.is_empty());
                } else {
                    writer.append_encoded(commands, db);
                }
                expected.append_encoded(commands, db);
                assert_eq!(writer.close(7), expected.close(7));
            }
            assert_eq!(writer.chain(), expected.chain());
            let mut out = Vec::new();
            writer.hand_over(|bytes| mem::swap(bytes, &mut out));
            assert_eq!(out, expected.take());
            assert!(writer.take().is_empty());
        }
    }
}
