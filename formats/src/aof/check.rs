//! Judges a whole AOF before anything of it is used.
//!
//! A file with checksums is walked batch by batch, as its lines say; what does not fit is one of these:
//!
//! ```text
//! the file ends in a line or its batch, no batch behind    a torn tail: a crash cut the write
//! a batch holds blocks that were never written, and no     a torn tail: a crash left zeros
//!     whole batch behind it says that it was synced
//! whole commands behind the last batch                     another server wrote them: valid, but unproven
//! all else                                                 damage
//! ```
//!
//! A file without checksums is walked command by command. There the one hard case is a length that claims more than the file
//! has: a torn tail, or a flipped bit, after which all the rest would be taken for one value and cut away. If whole commands
//! stand behind, it is damage.

use std::ops::Range;

use super::annotation::{self, BATCH_BYTES, BatchLine, Line, LineError};
use super::batch::{Chain, db_number};
use super::hole::{self, Behind};
use super::preamble::{has_preamble, preamble_end};
use super::record::{AofReader, Record, RecordError, Transaction};
use super::resync;
use super::verdict::{AofReport, Cause, Form, TailCause, Verdict};

/// How to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Whether `MULTI` in a transaction and `EXEC` without one are damage, as they are to `redis-check-aof`. The loader of
    /// Redis passes over them.
    pub strict_transactions: bool,
    /// Whether to read a preamble; `false` takes its first byte for a damaged command.
    pub preamble: bool,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            strict_transactions: true,
            preamble: true,
        }
    }
}

/// Why a file cannot be cut at a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// The file begins after it.
    #[error("nothing before timestamp")]
    NothingBefore,
    /// A `#TS:` line without a time.
    #[error("Invalid timestamp annotation at offset {offset}")]
    Invalid {
        /// Where it is.
        offset: usize,
    },
    /// Damage before the time is reached.
    #[error("the file is not valid up to the timestamp")]
    Damaged(Box<AofReport>),
}

/// Checks a file as `redis-check-aof` does, and its checksums.
#[must_use]
pub fn check(input: &[u8]) -> AofReport {
    Check::default().run(input)
}

impl Check {
    /// Checks a file.
    #[must_use]
    pub fn run(self, input: &[u8]) -> AofReport {
        Walk::new(input, self, None).run()
    }
}

/// Where to cut a file so that nothing later than `seconds` since 1970 is left; `None` if there is nothing later. A time is known
/// from `#TS:` lines, and in a file with checksums from the lines of the batches.
///
/// # Errors
/// [`TimestampError`].
pub fn truncate_to_timestamp(input: &[u8], seconds: i64) -> Result<Option<usize>, TimestampError> {
    let mut walk = Walk::new(input, Check::default(), Some(seconds));
    walk.start();
    if let Some(offset) = walk.bad_timestamp {
        return Err(TimestampError::Invalid { offset });
    }
    match walk.cut {
        Some(0) => Err(TimestampError::NothingBefore),
        Some(offset) => Ok(Some(offset)),
        None if walk.report.verdict == Verdict::Valid => Ok(None),
        None => Err(TimestampError::Damaged(Box::new(walk.report))),
    }
}

/// Ends the walk.
struct Stop;

struct Walk<'a> {
    input: &'a [u8],
    options: Check,
    reader: AofReader<'a>,
    report: AofReport,
    /// Where to cut back to: before the open transaction.
    safe: usize,
    /// The same with the state there.
    safe_chain: Option<Chain>,
    until: Option<i64>,
    cut: Option<usize>,
    bad_timestamp: Option<usize>,
}

impl<'a> Walk<'a> {
    fn new(input: &'a [u8], options: Check, until: Option<i64>) -> Self {
        let report = AofReport {
            size: input.len(),
            form: Form::Empty,
            preamble_end: None,
            header: None,
            chain: None,
            commands: 0,
            transactions: 0,
            batches: 0,
            times_ms: None,
            unproven_from: None,
            valid_up_to: 0,
            verdict: Verdict::Valid,
        };
        Self {
            input,
            options,
            reader: AofReader::new(input),
            report,
            safe: 0,
            safe_chain: None,
            until,
            cut: None,
            bad_timestamp: None,
        }
    }

    fn run(mut self) -> AofReport {
        self.start();
        self.report
    }

    fn start(&mut self) {
        let _ = self.walk();
        self.report.valid_up_to = match self.report.verdict {
            Verdict::TruncatedTail { valid_up_to, .. } => valid_up_to,
            _ => self.safe,
        };
        self.report.commands = self.reader.commands();
    }

    fn walk(&mut self) -> Result<(), Stop> {
        if self.options.preamble && has_preamble(self.input) {
            match preamble_end(self.input) {
                Ok(end) => {
                    self.report.preamble_end = Some(end);
                    self.safe = end;
                    self.reader.seek(end);
                }
                Err(error) => return Err(self.corrupt(error.offset, 0, error.into(), None)),
            }
        }
        let start = self.reader.offset();
        if start == self.input.len() {
            return Ok(());
        }
        match annotation::read(self.rest(start)) {
            Err(LineError::Foreign) => {
                self.report.form = Form::Plain;
                self.plain()
            }
            Err(LineError::Torn) => {
                self.report.form = Form::Annotated;
                Err(self.torn(TailCause::Line))
            }
            Err(LineError::Damaged) => {
                self.report.form = Form::Annotated;
                Err(self.damaged_line(start, Cause::Line))
            }
            Ok((Line::Batch(_), _)) => {
                self.report.form = Form::Annotated;
                Err(self.corrupt(start, 0, Cause::NoHeader, Some(start)))
            }
            Ok((Line::Header(header), check)) => {
                self.report.form = Form::Annotated;
                self.report.header = Some(header);
                self.report.chain = Some(Chain {
                    next_index: header.first,
                    prev: check,
                    db: 0,
                });
                self.time(header.time_ms.cast_signed(), start)?;
                self.reader.seek(start + annotation::HEADER_BYTES);
                self.settle();
                self.batches()
            }
        }
    }

    fn rest(&self, offset: usize) -> &'a [u8] {
        self.input.get(offset..).unwrap_or_default()
    }

    /// All up to here can stay.
    fn settle(&mut self) {
        if self.reader.open_transaction().is_none() {
            self.safe = self.reader.offset();
            self.safe_chain = self.report.chain;
        }
    }

    fn corrupt(
        &mut self,
        offset: usize,
        record: u64,
        cause: Cause,
        next_valid: Option<usize>,
    ) -> Stop {
        self.report.verdict = Verdict::Corrupt {
            offset,
            record,
            cause,
            next_valid,
        };
        self.report.chain = None;
        Stop
    }

    /// Damage in a file with checksums. The next whole batch is looked for from `search` on.
    fn damage(&mut self, offset: usize, search: usize, cause: Cause) -> Stop {
        let next = resync::next_batch(self.input, search, &mut resync::budget(self.input));
        self.corrupt(offset, self.report.batches + 1, cause, next)
    }

    fn torn(&mut self, cause: TailCause) -> Stop {
        self.report.verdict = Verdict::TruncatedTail {
            valid_up_to: self.safe,
            cause,
        };
        self.report.chain = self.safe_chain;
        Stop
    }

    /// A line, or what should be one, that is not as it was written.
    fn damaged_line(&mut self, at: usize, cause: Cause) -> Stop {
        let stop = self.damage(at, at + 1, cause);
        let Verdict::Corrupt { next_valid, .. } = self.report.verdict else {
            return stop;
        };
        self.crash_or_damage(at, next_valid.unwrap_or(self.input.len()))
            .unwrap_or(stop)
    }

    /// A torn tail after all, if a block of what was found bad is all zeros and no whole batch behind
    /// it says that it was synced: nothing we write begins with zeros, and no bit flip makes so many.
    fn crash_or_damage(&mut self, bad: usize, end: usize) -> Option<Stop> {
        if !hole::has_empty_block(self.input, bad, end) {
            return None;
        }
        let chain = self.report.chain.or(self.safe_chain);
        match hole::behind(self.input, end, chain.map_or(0, |chain| chain.next_index)) {
            Behind::Nothing => Some(self.torn(TailCause::Unwritten)),
            // A header is synced before anything is written behind it.
            Behind::Unsynced(batches) if chain.is_some() => {
                Some(self.torn(TailCause::Hole { batches }))
            }
            _ => None,
        }
    }

    /// Notes a time mark, and stops if it is too late.
    fn time(&mut self, time_ms: i64, offset: usize) -> Result<(), Stop> {
        if self
            .until
            .is_some_and(|until| time_ms.div_euclid(1000) > until)
        {
            let open = self.reader.open_transaction().is_some();
            self.cut = Some(if open { self.safe } else { offset });
            return Err(Stop);
        }
        let first = self.report.times_ms.map_or(time_ms, |(first, _)| first);
        self.report.times_ms = Some((first, time_ms));
        Ok(())
    }

    /// The batches behind a header, as far as they go.
    fn batches(&mut self) -> Result<(), Stop> {
        loop {
            let at = self.reader.offset();
            let rest = self.rest(at);
            match annotation::read(rest) {
                Ok((Line::Batch(line), check)) => self.batch(at, &line, check)?,
                Ok((Line::Header(_), _)) => return Err(self.damage(at, at, Cause::SecondHeader)),
                Err(LineError::Damaged) => return Err(self.damaged_line(at, Cause::Line)),
                Err(LineError::Torn) => return Err(self.torn(TailCause::Line)),
                Err(LineError::Foreign) => match rest.first() {
                    None => return self.end(),
                    Some(b'*' | b'#') => {
                        self.report.unproven_from = Some(at);
                        self.report.chain = None;
                        self.safe_chain = None;
                        return self.plain();
                    }
                    Some(_) => return Err(self.damaged_line(at, Cause::NoLine)),
                },
            }
        }
    }

    fn batch(&mut self, at: usize, line: &BatchLine, check: u32) -> Result<(), Stop> {
        let index = line.index;
        if let Some(chain) = self.report.chain {
            if index != chain.next_index {
                let expected = chain.next_index;
                return Err(self.damage(
                    at,
                    at,
                    Cause::Index {
                        expected,
                        found: index,
                    },
                ));
            }
            if line.prev != chain.prev {
                return Err(self.damage(at, at, Cause::Chain { index }));
            }
        }
        self.time(line.time_ms.cast_signed(), at)?;
        let start = at + BATCH_BYTES;
        let rest = self.rest(start);
        let Some(body) = usize::try_from(line.length)
            .ok()
            .and_then(|length| rest.get(..length))
        else {
            // The last batch, unless bytes are missing in the middle.
            return Err(match self.damage(at, start, Cause::BatchCut { index }) {
                Stop if matches!(
                    self.report.verdict,
                    Verdict::Corrupt {
                        next_valid: None,
                        ..
                    }
                ) =>
                {
                    self.torn(TailCause::Batch {
                        index,
                        expected: line.length,
                        found: rest.len() as u64,
                    })
                }
                stop => stop,
            });
        };
        let end = start + body.len();
        let found = crc32fast::hash(body);
        if found != line.crc {
            let stop = self.damage(
                start,
                start,
                Cause::Checksum {
                    index,
                    expected: line.crc,
                    found,
                },
            );
            // Behind it another server may have written.
            let ours = match self.rest(end).first() {
                Some(b'*' | b'#') => annotation::is_ours(self.rest(end)),
                _ => true,
            };
            return Err(if ours {
                self.crash_or_damage(start, end).unwrap_or(stop)
            } else {
                stop
            });
        }
        self.reader.seek(start);
        self.reader.set_limit(end);
        let mut db = self.report.chain.map_or(line.db, |chain| chain.db);
        while let Some(command) = self.next_in_batch()? {
            db = command.unwrap_or(db);
        }
        self.reader.set_limit(self.input.len());
        self.report.batches += 1;
        self.report.chain = Some(Chain {
            next_index: index.wrapping_add(1),
            prev: check,
            db,
        });
        self.settle();
        Ok(())
    }

    /// The next command of a batch that was proven; its database if it is a `SELECT`.
    fn next_in_batch(&mut self) -> Result<Option<Option<u32>>, Stop> {
        match self.reader.next_record() {
            Ok(Some(Record::Command(command))) => {
                let db = selected(self.input, command.args);
                let (offset, transaction) = (command.offset, command.transaction);
                self.transaction(offset, transaction, self.report.batches + 1)?;
                Ok(Some(db))
            }
            Ok(Some(Record::Annotation(_))) => Ok(Some(None)),
            Ok(None) => Ok(None),
            Err(error) => Err(self.damage(error.offset, error.record, error.into())),
        }
    }

    fn transaction(&mut self, offset: usize, what: Transaction, number: u64) -> Result<(), Stop> {
        let cause = match what {
            Transaction::Exec => {
                self.report.transactions += 1;
                return Ok(());
            }
            Transaction::NestedMulti => Cause::UnexpectedMulti,
            Transaction::StrayExec => Cause::UnexpectedExec,
            _ => return Ok(()),
        };
        if !self.options.strict_transactions {
            return Ok(());
        }
        let next = Some(self.reader.offset()).filter(|next| *next < self.input.len());
        Err(self.corrupt(offset, number, cause, next))
    }

    /// Commands without checksums, up to the end.
    fn plain(&mut self) -> Result<(), Stop> {
        loop {
            match self.reader.next_record() {
                Ok(Some(Record::Command(command))) => {
                    let (offset, transaction) = (command.offset, command.transaction);
                    self.transaction(offset, transaction, self.reader.commands())?;
                }
                Ok(Some(Record::Annotation(line))) => self.annotation(line)?,
                Ok(None) => return self.end(),
                Err(error) => return Err(self.bad_record(error)),
            }
            self.settle();
        }
    }

    fn annotation(&mut self, line: Range<usize>) -> Result<(), Stop> {
        let at = line.start;
        if annotation::is_ours(self.rest(at)) {
            return Err(match self.report.unproven_from {
                Some(from) => self.damage(from, from, Cause::Unannotated),
                None => self.damage(at, at, Cause::NoHeader),
            });
        }
        match annotation::timestamp(self.input.get(line).unwrap_or_default()) {
            Some(Some(seconds)) => self.time(seconds.saturating_mul(1000), at),
            Some(None) if self.until.is_some() => {
                self.bad_timestamp = Some(at);
                Err(Stop)
            }
            _ => Ok(()),
        }
    }

    fn bad_record(&mut self, error: RecordError) -> Stop {
        let number = self.reader.commands() + 1;
        let mut budget = resync::budget(self.input);
        let next = resync::next_command(self.input, error.record + 1, &mut budget);
        match (error.is_truncated(), next) {
            (true, None) => self.torn(TailCause::Record(error)),
            (true, Some(_)) => {
                self.corrupt(error.offset, number, Cause::LengthBeyondEnd(error), next)
            }
            (false, _) => self.corrupt(error.offset, number, error.into(), next),
        }
    }

    fn end(&mut self) -> Result<(), Stop> {
        match self.reader.open_transaction() {
            Some(_) => Err(self.torn(TailCause::OpenTransaction)),
            None => Ok(()),
        }
    }
}

/// The database a command selects.
pub(super) fn selected(input: &[u8], args: &[Range<usize>]) -> Option<u32> {
    let [name, db] = args else { return None };
    let name = input.get(name.clone())?;
    name.eq_ignore_ascii_case(b"select")
        .then(|| input.get(db.clone()).and_then(db_number))
        .flatten()
}
