//! Finds what can be trusted in a damaged AOF.
//!
//! With checksums that is each batch that is as it was written. Without, it is each command up to damage, and behind it from the
//! next whole command on, which is a guess.
//!
//! A transaction is taken whole or not at all. Where something was lost, what may be the rest of a transaction whose beginning
//! was lost is dropped too.
//!
//! Each piece says which database is selected where it begins, so that a lost `SELECT` sends no command to another one. Batches
//! know; a guess that rests on the `SELECT` before the loss says so.

use std::collections::VecDeque;
use std::ops::Range;

use super::annotation::{self, BATCH_BYTES, BatchLine, HEADER_BYTES, Line, LineError};
use super::check::selected;
use super::preamble::{has_preamble, preamble_end};
use super::record::{AofReader, Record, Transaction};
use super::resync;
use crate::resp::encode::{array, bulk};

/// Why a piece is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// An RDB file at the start with the right checksum.
    Preamble,
    /// Commands of a batch with the right checksum.
    Proven,
    /// Well-formed commands without a checksum.
    Plain,
}

/// Bytes that can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where they are: whole commands and annotations, but no checksum lines.
    pub bytes: Range<usize>,
    /// Why.
    pub kind: PieceKind,
    /// The database selected where they begin.
    pub db: u32,
    /// False if a `SELECT` may have been lost before.
    pub db_is_known: bool,
    /// The database selected behind them.
    pub db_after: u32,
    /// How many commands.
    pub commands: u64,
}

impl Piece {
    /// Appends the piece of `input` to a file without checksums whose commands so far end with database `db` selected. Lines
    /// that could be taken for checksum lines are left out: they would fit nothing there, and what resembles one can stand
    /// even in a batch that is proven.
    pub fn append_to(&self, input: &[u8], db: &mut u32, file: &mut Vec<u8>) {
        if self.db != *db {
            array(file, 2);
            bulk(file, b"SELECT");
            bulk(file, self.db.to_string().as_bytes());
        }
        *db = self.db_after;
        let Range { mut start, end } = self.bytes;
        if self.kind != PieceKind::Preamble {
            let mut reader = AofReader::at(input, start);
            reader.set_limit(end);
            while let Ok(Some(record)) = reader.next_record() {
                if let Record::Annotation(line) = record
                    && annotation::resembles(input.get(line.clone()).unwrap_or_default())
                {
                    file.extend_from_slice(input.get(start..line.start).unwrap_or_default());
                    start = line.end;
                }
            }
        }
        file.extend_from_slice(input.get(start..end).unwrap_or_default());
    }
}

/// Yields the pieces of a file in order.
#[derive(Debug)]
pub struct Salvage<'a> {
    input: &'a [u8],
    position: usize,
    budget: usize,
    db: u32,
    db_is_known: bool,
    /// Something was lost right before `position`.
    lost: bool,
    /// A transaction whose beginning was dropped may go on.
    half_open: bool,
    line_bytes: usize,
    found: VecDeque<Piece>,
}

/// Between two commands.
#[derive(Debug, Clone, Copy)]
struct Point {
    offset: usize,
    db: u32,
    db_is_known: bool,
    /// How many commands came before.
    commands: u64,
}

impl<'a> Salvage<'a> {
    /// For a whole file. A damaged preamble is left out, with all up to the first whole command or batch behind it.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        let mut salvage = Self {
            input,
            position: 0,
            budget: resync::budget(input),
            db: 0,
            db_is_known: true,
            lost: false,
            half_open: false,
            line_bytes: 0,
            found: VecDeque::new(),
        };
        if has_preamble(input) {
            match preamble_end(input) {
                Ok(end) => {
                    salvage.found.push_back(Piece {
                        bytes: 0..end,
                        kind: PieceKind::Preamble,
                        db: 0,
                        db_is_known: true,
                        db_after: 0,
                        commands: 0,
                    });
                    salvage.position = end;
                }
                Err(_) => salvage.lose(1, true),
            }
        }
        salvage
    }

    /// Bytes of the checksum lines passed so far that are in no piece, but not lost either.
    #[must_use]
    pub fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }

    /// Goes on at the next batch from `from` on; if there is none, at the next command if that may be guessed.
    fn lose(&mut self, from: usize, guess: bool) {
        self.lost = true;
        self.db_is_known = false;
        let input = self.input;
        self.position = resync::next_batch(input, from, &mut self.budget)
            .or_else(|| guess.then(|| resync::next_command(input, from, &mut self.budget))?)
            .unwrap_or(input.len());
    }

    /// Looks at what begins at `position`.
    fn step(&mut self) {
        match annotation::read(self.rest()) {
            Ok((Line::Header(_), _)) => {
                self.position += HEADER_BYTES;
                self.line_bytes += HEADER_BYTES;
            }
            Ok((Line::Batch(line), _)) => self.batch(&line),
            Err(LineError::Foreign) if matches!(self.rest().first(), Some(b'*' | b'#')) => {
                self.commands()
            }
            Err(LineError::Foreign | LineError::Damaged) => self.lose(self.position + 1, true),
            Err(LineError::Torn) => self.position = self.input.len(),
        }
    }

    fn batch(&mut self, line: &BatchLine) {
        let start = self.position + BATCH_BYTES;
        let body = usize::try_from(line.length)
            .ok()
            .and_then(|length| Some((length, self.input.get(start..)?.get(..length)?)));
        match body {
            Some((length, body)) if crc32fast::hash(body) == line.crc => {
                (self.db, self.db_is_known) = (line.db, true);
                self.line_bytes += BATCH_BYTES;
                let end = start + length;
                self.span(start, end, PieceKind::Proven);
                self.position = end;
            }
            Some((length, _)) => {
                let end = start + length;
                // The line is whole, so its batch most likely ends where it says.
                let next = self.input.get(end..).unwrap_or_default();
                if annotation::read(next).is_ok() || next.first() == Some(&b'*') {
                    (self.lost, self.db_is_known) = (true, false);
                    self.position = end;
                } else {
                    self.lose(start, false);
                }
            }
            None => self.lose(start, false),
        }
    }

    /// Commands without checksums: up to the end, damage or a checksum line.
    fn commands(&mut self) {
        let start = self.position;
        let mut reader = AofReader::at(self.input, start);
        let end = loop {
            let at = reader.offset();
            if annotation::is_ours(self.input.get(at..).unwrap_or_default())
                || !matches!(reader.next_record(), Ok(Some(_)))
            {
                break at;
            }
        };
        self.span(start, end, PieceKind::Plain);
        self.position = end;
        if end == start || (end < self.input.len() && !annotation::is_ours(self.rest())) {
            self.lose(end + 1, true);
        }
    }

    /// Takes what is whole of records, up to the first that is not well-formed.
    fn span(&mut self, start: usize, end: usize, kind: PieceKind) {
        let mut from = start;
        if self.lost || self.half_open {
            match self.first_transaction(start, end) {
                Some((Transaction::Multi, _)) => {}
                Some((_, behind)) => {
                    self.track(start, behind);
                    from = behind;
                }
                // Inside of a transaction that neither began nor ends here, unless this is the end.
                None if self.half_open && end < self.input.len() => {
                    self.track(start, end);
                    return;
                }
                None => {}
            }
        }
        (self.lost, self.half_open) = (false, false);
        self.emit(from, end, kind);
    }

    /// The first `MULTI` or `EXEC`, and where what follows it begins.
    fn first_transaction(&self, start: usize, end: usize) -> Option<(Transaction, usize)> {
        let mut reader = AofReader::at(self.input, start);
        reader.set_limit(end);
        while let Ok(Some(record)) = reader.next_record() {
            if let Record::Command(command) = record
                && matches!(
                    command.transaction,
                    Transaction::Multi | Transaction::StrayExec
                )
            {
                return Some((command.transaction, command.end));
            }
        }
        None
    }

    /// Follows the database through commands that are dropped.
    fn track(&mut self, start: usize, end: usize) {
        let mut reader = AofReader::at(self.input, start);
        reader.set_limit(end);
        while let Ok(Some(record)) = reader.next_record() {
            if let Record::Command(command) = record
                && let Some(db) = selected(self.input, command.args)
            {
                (self.db, self.db_is_known) = (db, true);
            }
        }
    }

    fn emit(&mut self, start: usize, end: usize, kind: PieceKind) {
        let mut reader = AofReader::at(self.input, start);
        reader.set_limit(end);
        let mut now = Point {
            offset: start,
            db: self.db,
            db_is_known: self.db_is_known,
            commands: 0,
        };
        // Where the piece begins, and the transaction that is open.
        let (mut from, mut multi) = (now, None);
        while let Ok(Some(record)) = reader.next_record() {
            let Record::Command(command) = record else {
                continue;
            };
            let before = Point {
                offset: command.offset,
                ..now
            };
            if let Some(db) = selected(self.input, command.args) {
                (now.db, now.db_is_known) = (db, true);
            }
            now.offset = command.end;
            now.commands += 1;
            match command.transaction {
                Transaction::Multi => multi = Some(before),
                Transaction::Exec => multi = None,
                Transaction::NestedMulti => {
                    // The one that was open never ended.
                    self.push(from, multi.unwrap_or(before), kind);
                    (from, multi) = (before, Some(before));
                }
                Transaction::StrayExec => {
                    self.push(from, before, kind);
                    from = now;
                }
                Transaction::Outside | Transaction::Inside => {}
            }
        }
        // A checksum proves that a batch is as it was written, not that commands were.
        let read = reader.offset();
        self.half_open = multi.is_some();
        self.push(
            from,
            multi.unwrap_or(Point {
                offset: read,
                ..now
            }),
            kind,
        );
        (self.db, self.db_is_known) = (now.db, now.db_is_known);
        if read < end {
            (self.lost, self.db_is_known) = (true, false);
        }
    }

    fn push(&mut self, from: Point, to: Point, kind: PieceKind) {
        if to.commands > from.commands {
            self.found.push_back(Piece {
                bytes: from.offset..to.offset,
                kind,
                db: from.db,
                db_is_known: from.db_is_known,
                db_after: to.db,
                commands: to.commands - from.commands,
            });
        }
    }
}

impl Iterator for Salvage<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        while self.found.is_empty() && self.position < self.input.len() {
            self.step();
        }
        self.found.pop_front()
    }
}
