//! Finds the commands of an AOF, with exact offsets for all that is wrong.
//!
//! ```text
//! record  = | command | or | annotation |
//! command = *<count>\r\n  count x ( $<length>\r\n <bytes> \r\n )
//! annotation = # ... \n
//! ```
//!
//! The loader of Redis looks at little of this: it takes `*3x` for `*3` and does not look at the line ends behind arguments, so
//! damage becomes data. Here the numbers are digits only and each line end is `\r\n`, as `redis-check-aof` demands; unlike it,
//! a count of zero or less is refused, as the loader does.
//!
//! Invariants: nothing is copied; memory grows with arguments found, never with a claimed count; after an error the reader
//! stays where it is.

use std::ops::Range;

/// Longest annotation that Redis reads as one line, with its line end.
pub const ANNOTATION_MAX: usize = 1023;

/// Most arguments: what fits the `int` of Redis.
const MAX_COUNT: u64 = i32::MAX as u64;

/// What stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'r> {
    /// A command.
    Command(Command<'r>),
    /// A line that begins with `#`: where it is, line end included.
    Annotation(Range<usize>),
}

/// A command: where it is in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command<'r> {
    /// Its first byte.
    pub offset: usize,
    /// The byte behind it.
    pub end: usize,
    /// The bytes of each argument; there is at least one, the name.
    pub args: &'r [Range<usize>],
    /// What it does to the transaction.
    pub transaction: Transaction,
}

/// Where a command stands to `MULTI` and `EXEC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// No transaction is open.
    Outside,
    /// Opens one.
    Multi,
    /// In one.
    Inside,
    /// Ends it.
    Exec,
    /// `MULTI` in a transaction; it stays open.
    NestedMulti,
    /// `EXEC` without one.
    StrayExec,
}

/// What is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at offset {offset}, in the record that begins at offset {record}")]
pub struct RecordError {
    /// Where the record begins.
    pub record: usize,
    /// The byte that is wrong, or missing.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: RecordErrorKind,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// Neither a command nor an annotation, or no argument where one should be.
    #[error("expected {}, found byte {found:#04x}", expected.escape_ascii())]
    Prefix {
        /// What should be there; `*` stands for `#` too.
        expected: u8,
        /// What is there.
        found: u8,
    },
    /// No digits, or too many.
    #[error("expected a number")]
    Number,
    /// No argument, or more than can be.
    #[error("bad argument count")]
    Count,
    /// No `\r\n`.
    #[error("expected \\r\\n")]
    LineEnd,
    /// A line that Redis would split.
    #[error("annotation of more than {ANNOTATION_MAX} bytes")]
    AnnotationTooLong,
    /// The input ends within the record.
    #[error("expected {needed} more bytes, found {left}")]
    Truncated {
        /// Bytes needed from the offset on, at least.
        needed: u64,
        /// Bytes there.
        left: usize,
    },
}

impl RecordError {
    /// True if the input ends before the record does, and all there is fits.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self.kind, RecordErrorKind::Truncated { .. })
    }
}

/// Reads the records of an input one by one.
#[derive(Debug, Clone)]
pub struct AofReader<'a> {
    /// What is read: `whole`, or less of it.
    input: &'a [u8],
    whole: &'a [u8],
    position: usize,
    args: Vec<Range<usize>>,
    commands: u64,
    /// Where the `MULTI` of the open transaction begins.
    multi: Option<usize>,
}

impl<'a> AofReader<'a> {
    /// Reads from the start of `input`.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self::at(input, 0)
    }

    /// Reads from `offset` on, such as behind a preamble; offsets stay those of `input`.
    #[must_use]
    pub fn at(input: &'a [u8], offset: usize) -> Self {
        Self {
            input,
            whole: input,
            position: offset.min(input.len()),
            args: Vec::new(),
            commands: 0,
            multi: None,
        }
    }

    /// Where the next record begins.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.position
    }

    /// How many commands were read.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// Where the open transaction begins.
    #[must_use]
    pub fn open_transaction(&self) -> Option<usize> {
        self.multi
    }

    /// Up to where all is whole: before an open transaction, else where the reader is.
    #[must_use]
    pub fn valid_up_to(&self) -> usize {
        self.multi.unwrap_or(self.position)
    }

    /// Goes on at `offset`; an open transaction stays open.
    pub fn seek(&mut self, offset: usize) {
        self.position = offset.min(self.input.len());
    }

    /// How many arguments the last record had, as far as it was read.
    pub(super) fn arguments_read(&self) -> usize {
        self.args.len()
    }

    /// Lets the input end at `end`.
    pub(super) fn set_limit(&mut self, end: usize) {
        self.input = self.whole.get(..end).unwrap_or(self.whole);
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    /// [`RecordError`]; asked again, the reader answers the same.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, RecordError> {
        let start = self.position;
        let Some(first) = self.input.get(start) else {
            return Ok(None);
        };
        let parsed = match first {
            b'#' => self.annotation(start).map(Some),
            b'*' => self.arguments(start).map(|()| None),
            found => Err((
                start,
                RecordErrorKind::Prefix {
                    expected: b'*',
                    found: *found,
                },
            )),
        };
        match parsed {
            Ok(Some(line)) => {
                self.position = line.end;
                Ok(Some(Record::Annotation(line)))
            }
            Ok(None) => {
                let transaction = self.transaction(start);
                self.commands += 1;
                let (offset, end) = (start, self.position);
                Ok(Some(Record::Command(Command {
                    offset,
                    end,
                    args: &self.args,
                    transaction,
                })))
            }
            Err((offset, kind)) => Err(RecordError {
                record: start,
                offset,
                kind,
            }),
        }
    }

    fn transaction(&mut self, start: usize) -> Transaction {
        let name = self
            .args
            .first()
            .and_then(|name| self.input.get(name.clone()))
            .unwrap_or_default();
        match self.multi {
            None if name.eq_ignore_ascii_case(b"multi") => {
                self.multi = Some(start);
                Transaction::Multi
            }
            None if name.eq_ignore_ascii_case(b"exec") => Transaction::StrayExec,
            None => Transaction::Outside,
            Some(_) if name.eq_ignore_ascii_case(b"multi") => Transaction::NestedMulti,
            Some(_) if name.eq_ignore_ascii_case(b"exec") => {
                self.multi = None;
                Transaction::Exec
            }
            Some(_) => Transaction::Inside,
        }
    }

    fn annotation(&self, start: usize) -> Result<Range<usize>, (usize, RecordErrorKind)> {
        let rest = self.input.get(start..).unwrap_or_default();
        let line = rest.get(..ANNOTATION_MAX).unwrap_or(rest);
        match line.iter().position(|byte| *byte == b'\n') {
            Some(at) => Ok(start..start + at + 1),
            None if line.len() == ANNOTATION_MAX => {
                Err((start, RecordErrorKind::AnnotationTooLong))
            }
            None => Err(truncated(self.input.len(), 1, 0)),
        }
    }

    /// Fills `args` and moves behind the command.
    fn arguments(&mut self, start: usize) -> Result<(), (usize, RecordErrorKind)> {
        self.args.clear();
        let (count, mut at) = self.number(start, b'*')?;
        if count == 0 || count > MAX_COUNT {
            return Err((start + 1, RecordErrorKind::Count));
        }
        for _ in 0..count {
            let (length, from) = self.number(at, b'$')?;
            let left = self.input.len() - from;
            let needed = length.saturating_add(2);
            let ends = usize::try_from(length)
                .ok()
                .and_then(|length| from.checked_add(length));
            let Some((end, after)) =
                ends.and_then(|end| Some((end, self.input.get(end..end.checked_add(2)?)?)))
            else {
                // What is there of the line end must fit.
                return Err(
                    match ends.and_then(|end| Some((end, self.input.get(end)?))) {
                        Some((end, byte)) if *byte != b'\r' => (end, RecordErrorKind::LineEnd),
                        _ => truncated(from, needed, left),
                    },
                );
            };
            if after != b"\r\n" {
                return Err((end, RecordErrorKind::LineEnd));
            }
            self.args.push(from..end);
            at = end + 2;
        }
        self.position = at;
        Ok(())
    }

    /// The number of a line that begins with `prefix`, and where the next line begins.
    fn number(&self, at: usize, prefix: u8) -> Result<(u64, usize), (usize, RecordErrorKind)> {
        let line = self.input.get(at..).unwrap_or_default();
        let Some((first, rest)) = line.split_first() else {
            return Err(truncated(at, 4, 0));
        };
        if *first != prefix {
            return Err((
                at,
                RecordErrorKind::Prefix {
                    expected: prefix,
                    found: *first,
                },
            ));
        }
        let mut value = 0u64;
        for (digits, byte) in rest.iter().enumerate() {
            let here = at + 1 + digits;
            match byte {
                b'0'..=b'9' => {
                    value = value
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(u64::from(byte - b'0')))
                        .filter(|_| digits < 20)
                        .ok_or((at + 1, RecordErrorKind::Number))?;
                }
                b'\r' if digits > 0 => {
                    return match rest.get(digits + 1) {
                        Some(b'\n') => Ok((value, here + 2)),
                        Some(_) => Err((here, RecordErrorKind::LineEnd)),
                        None => Err(truncated(here + 1, 1, 0)),
                    };
                }
                _ if digits > 0 => return Err((here, RecordErrorKind::LineEnd)),
                _ => return Err((here, RecordErrorKind::Number)),
            }
        }
        let least = if rest.is_empty() { 3 } else { 2 };
        Err(truncated(self.input.len(), least, 0))
    }
}

fn truncated(offset: usize, needed: u64, left: usize) -> (usize, RecordErrorKind) {
    (offset, RecordErrorKind::Truncated { needed, left })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(input: &[u8]) -> (Vec<String>, Option<RecordError>) {
        let mut reader = AofReader::new(input);
        let mut seen = Vec::new();
        loop {
            match reader.next_record() {
                Ok(Some(Record::Command(command))) => {
                    let args: Vec<_> = command
                        .args
                        .iter()
                        .map(|arg| String::from_utf8_lossy(&input[arg.clone()]))
                        .collect();
                    seen.push(format!(
                        "{}-{} {}",
                        command.offset,
                        command.end,
                        args.join(" ")
                    ));
                }
                Ok(Some(Record::Annotation(line))) => {
                    seen.push(format!("{}-{}#", line.start, line.end))
                }
                Ok(None) => return (seen, None),
                Err(error) => {
                    assert_eq!(reader.next_record(), Err(error));
                    return (seen, Some(error));
                }
            }
        }
    }

    fn error(input: &[u8]) -> (usize, RecordErrorKind) {
        let (_, error) = kinds(input);
        let error = error.expect("an error");
        (error.offset, error.kind)
    }

    #[test]
    fn commands_and_annotations() {
        let input = b"#TS:1\r\n*1\r\n$4\r\nPING\r\n#\n*3\r\n$3\r\nset\r\n$1\r\nk\r\n$0\r\n\r\n";
        let (seen, error) = kinds(input);
        assert_eq!(seen, ["0-7#", "7-21 PING", "21-23#", "23-49 set k "]);
        assert_eq!(error, None);
        assert_eq!(kinds(b""), (vec![], None));
    }

    #[test]
    fn every_cut_is_truncated() {
        let input = b"*2\r\n$4\r\nPING\r\n$10\r\n0123456789\r\n";
        for end in 1..input.len() {
            let (seen, error) = kinds(&input[..end]);
            assert!(seen.is_empty());
            let error = error.expect("an error");
            assert!(error.is_truncated(), "{end}: {error}");
            assert_eq!(error.record, 0);
            assert!(error.offset <= end);
        }
        assert_eq!(
            error(b"#TS:17"),
            (6, RecordErrorKind::Truncated { needed: 1, left: 0 })
        );
        assert_eq!(
            error(b"*1\r\n$5\r\nPI"),
            (8, RecordErrorKind::Truncated { needed: 7, left: 2 })
        );
    }

    #[test]
    fn what_is_refused() {
        use RecordErrorKind::*;
        let prefix = |expected, found| Prefix { expected, found };
        for (input, offset, kind) in [
            (&b"x"[..], 0, prefix(b'*', b'x')),
            (b"\0\0\0", 0, prefix(b'*', 0)),
            (b"*x\r\n", 1, Number),
            (b"*-1\r\n", 1, Number),
            (b"*\r\n", 1, Number),
            (b"*0\r\n", 1, Count),
            (b"*2147483648\r\n", 1, Count),
            (b"*99999999999999999999\r\n", 1, Number),
            (b"*1x\r\n", 2, LineEnd),
            (b"*1\n$4\nPING\n", 2, LineEnd),
            (b"*1\rx$4", 2, LineEnd),
            (b"*1\r\n:1\r\n", 4, prefix(b'$', b':')),
            (b"*1\r\n$-1\r\n", 5, Number),
            (b"*1\r\n$4\r\nPINGxx*1", 12, LineEnd),
            (b"*1\r\n$4\r\nPINGx", 12, LineEnd),
            (b"*1\r\n$4\r\nPING\rx", 12, LineEnd),
        ] {
            assert_eq!(error(input), (offset, kind), "{}", input.escape_ascii());
        }
        let mut line = vec![b'#'; ANNOTATION_MAX - 1];
        line.push(b'\n');
        assert_eq!(kinds(&line), (vec!["0-1023#".into()], None));
        line.insert(0, b'#');
        assert_eq!(error(&line), (0, AnnotationTooLong));
    }

    #[test]
    fn huge_claims_cost_nothing() {
        assert_eq!(
            error(b"*2147483647\r\n$18446744073709551615\r\n"),
            (
                36,
                RecordErrorKind::Truncated {
                    needed: u64::MAX,
                    left: 0
                }
            )
        );
        let (_, error) = kinds(b"*2147483647\r\n$0\r\n\r\n");
        assert!(error.expect("an error").is_truncated());
    }

    #[test]
    fn transactions() {
        let input = b"*1\r\n$5\r\nMulti\r\n*1\r\n$5\r\nmulti\r\n*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nEXEC\r\n*1\r\n$4\r\nexec\r\n";
        let mut reader = AofReader::new(input);
        let mut seen = Vec::new();
        while let Ok(Some(Record::Command(command))) = reader.next_record() {
            let what = command.transaction;
            seen.push((what, reader.valid_up_to()));
        }
        use Transaction::*;
        assert_eq!(
            seen,
            [
                (Multi, 0),
                (NestedMulti, 0),
                (Inside, 0),
                (Exec, 58),
                (StrayExec, 72)
            ]
        );
    }
}
