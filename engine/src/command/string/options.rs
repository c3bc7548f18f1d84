//! The options that SET, GETEX and MSETEX share: when the key expires, and under which condition the
//! write happens. A word that does not fit what came before it is a syntax error, as is an
//! unknown one.

use crate::command::args::{self, Cursor};
use crate::command::spec::Args;
use crate::error::ReplyError;

use super::compare::Comparison;

/// In which form an expiry was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeForm {
    /// `EX`: seconds from now.
    Ex,
    /// `PX`: milliseconds from now.
    Px,
    /// `EXAT`: Unix seconds.
    ExAt,
    /// `PXAT`: Unix milliseconds.
    PxAt,
}

impl TimeForm {
    /// The form this word begins.
    pub fn of(word: &[u8]) -> Option<TimeForm> {
        const FORMS: [(&str, TimeForm); 4] = [
            ("EX", TimeForm::Ex),
            ("PX", TimeForm::Px),
            ("EXAT", TimeForm::ExAt),
            ("PXAT", TimeForm::PxAt),
        ];
        let found = FORMS.iter().find(|(name, _)| args::is(word, name))?;
        Some(found.1)
    }

    /// Whether the time is absolute.
    pub fn is_absolute(self) -> bool {
        matches!(self, TimeForm::ExAt | TimeForm::PxAt)
    }

    /// Unix milliseconds of the time `word` in this form.
    ///
    /// # Errors
    /// Not an integer; not positive or outside 64 bits (`invalid expire time in 'command'`).
    pub fn deadline(self, word: &[u8], now_ms: i64, command: &str) -> Result<i64, ReplyError> {
        let given = args::int(word)?;
        let ms = match self {
            TimeForm::Ex | TimeForm::ExAt => given.checked_mul(1000),
            TimeForm::Px | TimeForm::PxAt => Some(given),
        };
        let base = if self.is_absolute() { 0 } else { now_ms };
        ms.filter(|_| given > 0)
            .and_then(|ms| ms.checked_add(base))
            .ok_or_else(|| ReplyError::invalid_expire(command))
    }
}

/// When a write is to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition<'a> {
    /// Whatever is there.
    Always,
    /// Only on a missing key.
    Nx,
    /// Only on an existing key.
    Xx,
    /// Only over a string that compares so.
    If(Comparison<'a>),
}

/// What happens to the expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expiry<'a> {
    /// No word on it.
    Unsaid,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Persist,
    /// At a time.
    Time(TimeForm, &'a [u8]),
}

/// Parsed options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Options<'a> {
    /// When to write.
    pub condition: Condition<'a>,
    /// Reply with the old value.
    pub get: bool,
    /// The new expiry.
    pub expiry: Expiry<'a>,
}

/// Which command the options belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    /// SET.
    Set,
    /// GETEX.
    GetEx,
    /// MSETEX: neither `GET` nor a comparison.
    MsetEx,
}

impl<'a> Options<'a> {
    /// Parses the words from argument `from` on. An expiry may be repeated in the same form,
    /// the last one counts.
    ///
    /// # Errors
    /// `syntax error`.
    pub fn parse(args: Args<'a>, from: usize, dialect: Dialect) -> Result<Options<'a>, ReplyError> {
        let mut options = Options {
            condition: Condition::Always,
            get: false,
            expiry: Expiry::Unsaid,
        };
        let mut words = Cursor::new(args, from);
        while let Some(word) = words.next() {
            if let Some(form) = TimeForm::of(word) {
                let fits = match options.expiry {
                    Expiry::Unsaid => true,
                    Expiry::Time(earlier, _) => earlier == form,
                    Expiry::Keep | Expiry::Persist => false,
                };
                if !fits {
                    return Err(ReplyError::SYNTAX);
                }
                options.expiry = Expiry::Time(form, words.required()?);
            } else {
                options.take_word(word, &mut words, dialect)?;
            }
        }
        Ok(options)
    }

    fn take_word(
        &mut self,
        word: &[u8],
        words: &mut Cursor<'a>,
        dialect: Dialect,
    ) -> Result<(), ReplyError> {
        let untouched = self.condition == Condition::Always;
        if dialect == Dialect::GetEx {
            let free = matches!(self.expiry, Expiry::Unsaid | Expiry::Persist);
            if !args::is(word, "PERSIST") || !free {
                return Err(ReplyError::SYNTAX);
            }
            self.expiry = Expiry::Persist;
        } else if args::is(word, "NX") && (untouched || self.condition == Condition::Nx) {
            self.condition = Condition::Nx;
        } else if args::is(word, "XX") && (untouched || self.condition == Condition::Xx) {
            self.condition = Condition::Xx;
        } else if args::is(word, "GET") && dialect == Dialect::Set {
            self.get = true;
        } else if args::is(word, "KEEPTTL") && matches!(self.expiry, Expiry::Unsaid | Expiry::Keep)
        {
            self.expiry = Expiry::Keep;
        } else if dialect == Dialect::Set
            && untouched
            && let Some(comparison) = Comparison::parse(word, words)?
        {
            self.condition = Condition::If(comparison);
        } else {
            return Err(ReplyError::SYNTAX);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Dialect, Expiry, Options, TimeForm};

    fn parse(line: &str, dialect: Dialect) -> Option<Options<'_>> {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        let words: &[&[u8]] = words.leak();
        Options::parse(words, 0, dialect).ok()
    }

    #[test]
    fn options_exclude_each_other() {
        for bad in [
            "nx xx",
            "xx nx",
            "ex",
            "ex 1 px 1",
            "ex 1 keepttl",
            "keepttl exat 3",
            "persist",
            "ifeq",
            "ifeq a nx",
            "nx ifeq a",
            "ifeq a ifeq b",
            "foo",
            "get get foo",
        ] {
            assert_eq!(parse(bad, Dialect::Set), None, "{bad}");
        }
        for bad in ["nx", "get", "keepttl", "ex 1 persist", "persist ex 1", "px"] {
            assert_eq!(parse(bad, Dialect::GetEx), None, "{bad}");
        }
    }

    #[test]
    fn the_last_of_the_same_form_counts() {
        let options = parse("get nx ex 1 NX GET Ex 22", Dialect::Set).expect("valid");
        assert_eq!(options.expiry, Expiry::Time(TimeForm::Ex, b"22"));
        assert_eq!(options.condition, Condition::Nx);
        assert!(options.get);
        let options = parse("persist PERSIST", Dialect::GetEx).expect("valid");
        assert_eq!(options.expiry, Expiry::Persist);
    }

    #[test]
    fn deadlines_stay_in_range() {
        let max = i64::MAX.to_string();
        let at = |form: TimeForm, text: &str| form.deadline(text.as_bytes(), 1000, "x").ok();
        assert_eq!(at(TimeForm::Ex, "2"), Some(3000));
        assert_eq!(at(TimeForm::Px, "2"), Some(1002));
        assert_eq!(at(TimeForm::ExAt, "2"), Some(2000));
        assert_eq!(at(TimeForm::PxAt, &max), Some(i64::MAX));
        for form in [TimeForm::Ex, TimeForm::Px, TimeForm::ExAt] {
            assert_eq!(at(form, &max), None);
            assert_eq!(at(form, "0"), None);
            assert_eq!(at(form, "-1"), None);
            assert_eq!(at(form, "1x"), None);
        }
    }
}
