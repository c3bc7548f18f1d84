//! What one row of the directive table holds, and how a field of any type is parsed, shown and rewritten.
//!
//! A row names a field of [`Config`](super::Config). Everything that depends on the field's type (parsing, the text that
//! `CONFIG GET` shows, the lines that `CONFIG REWRITE` writes) is in the [`Field`] implementation of that type; what
//! depends on the directive (bounds, checks, flags) is in the row. So a new directive is one new row.

use std::borrow::Cow;

use super::Config;

/// The reason why a value was refused, in the words that Redis uses.
pub type Reason = Cow<'static, str>;

/// Largest value of a C `int`, the upper bound of many directives.
pub(super) const I32: i128 = i32::MAX as i128;
/// Largest value of a C `unsigned int`.
pub(super) const U32: i128 = u32::MAX as i128;
/// Largest value of a C `long long`.
pub(super) const I64: i128 = i64::MAX as i128;
/// Largest value of a C `unsigned long long`.
pub(super) const U64: i128 = u64::MAX as i128;
/// One mebibyte.
pub(super) const MB: i128 = 1_048_576;

/// The shape of a directive's value.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A decimal integer between two bounds, inclusive.
    Int(i128, i128),
    /// A number of bytes with an optional unit, between two bounds, inclusive.
    Memory(i128, i128),
    /// A number of bytes, or a percentage of `maxmemory`, stored as a negative number.
    MemoryOrPercent(i128, i128),
    /// An octal number between two bounds, inclusive.
    Octal(i128, i128),
    /// Any text.
    Text,
    /// Text that a function has to accept.
    Checked(fn(&str) -> Result<(), Reason>),
    /// Any bytes.
    Bytes,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Some of these words.
    EnumSet(&'static [&'static str]),
    /// A syntax of its own, described in a few words.
    Special(&'static str),
}

/// What may be done with a directive, as a set of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags(pub(super) u16);

/// Can be changed while the server runs (the default; it has no bit of its own).
pub(super) const MODIFIABLE: u16 = 0;
/// Can only be set at start.
pub(super) const IMMUTABLE: u16 = 1;
/// Shown by `CONFIG GET` only when named in full.
pub(super) const HIDDEN: u16 = 1 << 1;
/// The value must not reach logs.
pub(super) const SENSITIVE: u16 = 1 << 2;
/// `CONFIG SET` needs `enable-protected-configs`.
pub(super) const PROTECTED: u16 = 1 << 3;
/// Takes several arguments.
pub(super) const MULTI: u16 = 1 << 4;
/// Cannot be changed while the data set is being loaded.
pub(super) const NO_LOADING: u16 = 1 << 5;
/// Counts as changed even when set to the same value, for instance because it names a file.
pub(super) const VOLATILE: u16 = 1 << 6;
/// Accepted and stored, without any effect in this server.
pub(super) const INERT: u16 = 1 << 7;

impl Flags {
    fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
    /// `CONFIG SET` is refused.
    pub fn immutable(self) -> bool {
        self.has(IMMUTABLE)
    }
    /// `CONFIG GET` needs the full name, a pattern does not show it.
    pub fn hidden(self) -> bool {
        self.has(HIDDEN)
    }
    /// The value is to be kept out of logs, slow log and MONITOR.
    pub fn sensitive(self) -> bool {
        self.has(SENSITIVE)
    }
    /// `CONFIG SET` depends on `enable-protected-configs`.
    pub fn protected(self) -> bool {
        self.has(PROTECTED)
    }
    /// The directive takes more than one argument.
    pub fn multi_arg(self) -> bool {
        self.has(MULTI)
    }
    /// `CONFIG SET` is refused while loading.
    pub fn deny_loading(self) -> bool {
        self.has(NO_LOADING)
    }
    /// A `CONFIG SET` to the same value still has to be applied.
    pub fn volatile(self) -> bool {
        self.has(VOLATILE)
    }
    /// Stored and shown, but nothing reads it.
    pub fn inert(self) -> bool {
        self.has(INERT)
    }
}

/// Sets a directive's field from its arguments.
type Parse = fn(&mut Config, &Directive, &[Vec<u8>], &mut ParseState) -> Result<(), Reason>;

/// One row of the table.
pub struct Directive {
    /// The name, in lower case.
    pub name: &'static str,
    /// A second name that works everywhere.
    pub alias: Option<&'static str>,
    /// The shape of the value.
    pub kind: Kind,
    /// What may be done with it.
    pub flags: Flags,
    pub(super) parse: Parse,
    pub(super) show: fn(&Config, &Directive) -> Vec<u8>,
    pub(super) same: fn(&Config, &Config) -> bool,
    pub(super) lines: fn(&Config, &Directive, &Config) -> Lines,
}

impl Directive {
    /// The value as `CONFIG GET` shows it.
    pub fn show(&self, config: &Config) -> Vec<u8> {
        (self.show)(config, self)
    }

    /// The default as `CONFIG GET` shows it.
    pub fn default_value(&self) -> Vec<u8> {
        self.show(&Config::default())
    }

    /// Whether two configurations hold the same value for this directive.
    pub fn same(&self, a: &Config, b: &Config) -> bool {
        (self.same)(a, b)
    }
}

impl std::fmt::Debug for Directive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directive")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a parse remembers from line to line.
#[derive(Default)]
pub(super) struct ParseState {
    /// Values come from a file or the command line, not from `CONFIG SET`.
    pub from_file: bool,
    /// A `save` line has replaced the default save points already.
    pub save_seen: bool,
}

/// What `CONFIG REWRITE` does with one directive.
pub(super) enum Lines {
    /// Write nothing, and blank the lines that the file has for it.
    Remove,
    /// Write these lines, each with "even if the file does not mention the directive".
    Write(Vec<(Vec<u8>, bool)>),
}

impl Lines {
    /// The usual case: one line `name value`.
    pub(super) fn one(row: &Directive, value: impl AsRef<[u8]>, force: bool) -> Lines {
        Lines::Write(vec![(line(row, value), force)])
    }
}

/// `name value` as bytes.
pub(super) fn line(row: &Directive, value: impl AsRef<[u8]>) -> Vec<u8> {
    [row.name.as_bytes(), b" ", value.as_ref()].concat()
}

/// A type that a directive's value can have.
pub(super) trait Field: Clone + PartialEq {
    /// Sets the value from the directive's arguments. On an error the value may be half changed: callers work on a copy.
    fn parse(
        &mut self,
        row: &Directive,
        args: &[Vec<u8>],
        state: &mut ParseState,
    ) -> Result<(), Reason>;
    /// The text for `CONFIG GET`.
    fn show(&self, row: &Directive) -> Vec<u8>;
    /// The lines for `CONFIG REWRITE`.
    fn lines(&self, row: &Directive, default: &Self) -> Lines;
}

/// The only argument of a directive that takes one.
pub(super) fn single(args: &[Vec<u8>]) -> Result<&[u8], Reason> {
    match args {
        [one] => Ok(one),
        _ => Err("wrong number of arguments".into()),
    }
}
