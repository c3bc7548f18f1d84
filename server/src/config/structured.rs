//! Directives with a syntax of their own: save points, buffer limits, addresses, event letters and the like.

use std::path::{Path, PathBuf};

use basalt_formats::num;

use super::directive::{Directive, Field, Lines, ParseState, Reason, line, single};
use super::text::{format_memory, loose_int, os_reason, parse_memory, quote};

/// A snapshot is due when this many seconds have passed and this many changes were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavePoint {
    /// At least this long since the last snapshot.
    pub seconds: u64,
    /// At least this many changes since the last snapshot.
    pub changes: u64,
}

/// All the save points; none means that snapshots are only made when asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavePoints(pub Vec<SavePoint>);

impl Default for SavePoints {
    fn default() -> Self {
        SavePoints(
            [(3600, 1), (300, 100), (60, 10_000)]
                .map(|(seconds, changes)| SavePoint { seconds, changes })
                .into(),
        )
    }
}

impl Field for SavePoints {
    fn parse(
        &mut self,
        _: &Directive,
        args: &[Vec<u8>],
        state: &mut ParseState,
    ) -> Result<(), Reason> {
        let empty = args.iter().all(Vec::is_empty) && args.len() < 2;
        let args = if empty { &[] } else { args };
        let (pairs, odd) = args.as_chunks::<2>();
        let mut points = Vec::with_capacity(pairs.len());
        for [seconds, changes] in pairs {
            let point = (
                loose_int(seconds, 10).filter(|&s| s >= 1),
                loose_int(changes, 10).filter(|&c| c >= 0),
            );
            let (Some(seconds), Some(changes)) = point else {
                return Err("Invalid save parameters".into());
            };
            points.push(SavePoint {
                seconds: seconds.unsigned_abs(),
                changes: changes.unsigned_abs(),
            });
        }
        if !odd.is_empty() {
            return Err("Invalid save parameters".into());
        }
        // In a file several `save` lines add up; only the first replaces the defaults.
        if empty || !state.from_file || !std::mem::replace(&mut state.save_seen, true) {
            self.0.clear();
        }
        self.0.extend(points);
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        let points: Vec<String> = self
            .0
            .iter()
            .map(|p| format!("{} {}", p.seconds, p.changes))
            .collect();
        points.join(" ").into_bytes()
    }

    fn lines(&self, row: &Directive, _: &Self) -> Lines {
        if self.0.is_empty() {
            return Lines::one(row, "\"\"", true);
        }
        Lines::Write(
            self.0
                .iter()
                .map(|p| (line(row, format!("{} {}", p.seconds, p.changes)), true))
                .collect(),
        )
    }
}

/// How much output may wait for a client before it is disconnected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputBufferLimit {
    /// Disconnect at once above this many bytes; 0 means never.
    pub hard_bytes: u64,
    /// Disconnect when above this many bytes for `soft_seconds`; 0 means never.
    pub soft_bytes: u64,
    /// How long the soft limit may be exceeded.
    pub soft_seconds: u64,
}

/// The output limits of the three classes of clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputBufferLimits {
    /// Ordinary clients, also those that use MONITOR.
    pub normal: OutputBufferLimit,
    /// Replicas.
    pub replica: OutputBufferLimit,
    /// Clients that are subscribed to a channel or pattern.
    pub pubsub: OutputBufferLimit,
}

impl Default for OutputBufferLimits {
    fn default() -> Self {
        let limit = |hard_mb: u64, soft_mb: u64, soft_seconds| OutputBufferLimit {
            hard_bytes: hard_mb << 20,
            soft_bytes: soft_mb << 20,
            soft_seconds,
        };
        OutputBufferLimits {
            normal: limit(0, 0, 0),
            replica: limit(256, 64, 60),
            pubsub: limit(32, 8, 60),
        }
    }
}

impl OutputBufferLimits {
    fn class(&mut self, name: &[u8]) -> Option<&mut OutputBufferLimit> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Some(&mut self.normal),
            b"slave" | b"replica" => Some(&mut self.replica),
            b"pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }
}

impl Field for OutputBufferLimits {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        let (groups, rest) = args.as_chunks::<4>();
        if !rest.is_empty() {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        for [class, hard, soft, seconds] in groups {
            let limit = self
                .class(class)
                .ok_or("Invalid client class specified in buffer limit configuration.")?;
            let seconds = loose_int(seconds, 10).and_then(|s| u64::try_from(s).ok());
            let (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) =
                (parse_memory(hard), parse_memory(soft), seconds)
            else {
                return Err(
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration."
                        .into(),
                );
            };
            *limit = OutputBufferLimit {
                hard_bytes,
                soft_bytes,
                soft_seconds,
            };
        }
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        // The old name of the replica class is what clients have always read here.
        [
            ("normal", self.normal),
            ("slave", self.replica),
            ("pubsub", self.pubsub),
        ]
        .map(|(class, l)| {
            format!(
                "{class} {} {} {}",
                l.hard_bytes, l.soft_bytes, l.soft_seconds
            )
        })
        .join(" ")
        .into_bytes()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        let classes = [
            ("normal", self.normal, default.normal),
            ("replica", self.replica, default.replica),
            ("pubsub", self.pubsub, default.pubsub),
        ];
        let text = |class, l: OutputBufferLimit| {
            let (hard, soft) = (
                format_memory(l.hard_bytes.into()),
                format_memory(l.soft_bytes.into()),
            );
            line(row, format!("{class} {hard} {soft} {}", l.soft_seconds))
        };
        Lines::Write(
            classes
                .map(|(class, now, default)| (text(class, now), now != default))
                .into(),
        )
    }
}

/// The out-of-memory scores of a primary, a replica and a child process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OomScores(pub [i32; 3]);

impl Default for OomScores {
    fn default() -> Self {
        OomScores([0, 200, 800])
    }
}

impl Field for OomScores {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        let [primary, replica, child] = args else {
            return Err("wrong number of arguments".into());
        };
        let mut scores = [0; 3];
        for (score, text) in scores.iter_mut().zip([primary, replica, child]) {
            *score = loose_int(text, 10)
                .filter(|value| (-2000..=2000).contains(value))
                .and_then(|value| i32::try_from(value).ok())
                .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
        }
        *self = OomScores(scores);
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.0.map(|score| score.to_string()).join(" ").into_bytes()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        Lines::one(row, self.show(row), self != default)
    }
}

/// Which keyspace events are published; the bits are those of the Redis module API.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyspaceEvents(pub u32);

/// The letters of the event classes with their bits, in the order in which Redis shows them.
const EVENT_CLASSES: [(char, u32); 11] = [
    ('g', 1 << 2),
    ('$', 1 << 3),
    ('l', 1 << 4),
    ('s', 1 << 5),
    ('h', 1 << 6),
    ('z', 1 << 7),
    ('x', 1 << 8),
    ('e', 1 << 9),
    ('t', 1 << 10),
    ('d', 1 << 13),
    ('n', 1 << 14),
];
/// Letters that `A` does not cover and that are shown last.
const EVENT_CHANNELS: [(char, u32); 3] = [('K', 1), ('E', 1 << 1), ('m', 1 << 11)];

impl KeyspaceEvents {
    /// Publish on `__keyspace@<db>__` channels.
    pub const KEYSPACE: u32 = 1;
    /// Publish on `__keyevent@<db>__` channels.
    pub const KEYEVENT: u32 = 1 << 1;
    /// A key was created (`n`).
    pub const NEW: u32 = 1 << 14;
    /// What the letter `A` stands for: every class but misses (`m`) and new keys (`n`).
    pub const ALL: u32 = 0x27fc;

    /// Reads the letters; `None` when one is unknown.
    pub fn from_letters(letters: &[u8]) -> Option<Self> {
        let mut bits = 0;
        for &letter in letters {
            let letter = char::from(letter);
            let known = EVENT_CLASSES
                .iter()
                .chain(&EVENT_CHANNELS)
                .find(|(l, _)| *l == letter);
            bits |= if letter == 'A' { Self::ALL } else { known?.1 };
        }
        Some(KeyspaceEvents(bits))
    }

    /// The letters as `CONFIG GET` shows them. When all classes are on, Redis shows `A` and leaves `n` out.
    pub fn letters(self) -> String {
        let all = self.0 & Self::ALL == Self::ALL;
        let classes = EVENT_CLASSES.iter().filter(|_| !all);
        let set = classes
            .chain(&EVENT_CHANNELS)
            .filter(|(_, bit)| self.0 & bit != 0);
        let letters: String = set.map(|(letter, _)| letter).collect();
        if all { format!("A{letters}") } else { letters }
    }

    /// The letters for a file, from which the same set is read back.
    fn letters_for_file(self) -> String {
        let letters = self.letters();
        let lost = letters.starts_with('A') && self.0 & Self::NEW != 0;
        if lost { format!("{letters}n") } else { letters }
    }
}

impl Field for KeyspaceEvents {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        *self = Self::from_letters(single(args)?)
            .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.letters().into_bytes()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        Lines::one(
            row,
            quote(self.letters_for_file().as_bytes()),
            self != default,
        )
    }
}

/// How many addresses one `bind` may name.
const MAX_BIND_ADDRS: usize = 16;

fn parse_addrs(args: &[Vec<u8>]) -> Result<Vec<String>, Reason> {
    if args.len() > MAX_BIND_ADDRS {
        return Err("Too many bind addresses specified.".into());
    }
    if let [only] = args
        && only.is_empty()
    {
        return Ok(Vec::new());
    }
    let text = |arg: &Vec<u8>| {
        String::from_utf8(arg.clone()).map_err(|_| "argument must be valid UTF-8".into())
    };
    args.iter().map(text).collect()
}

/// The addresses to listen on. A leading `-` marks one that may be unavailable; `*` stands for all of IPv4, `::*` of IPv6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindAddrs(pub Vec<String>);

impl Default for BindAddrs {
    fn default() -> Self {
        BindAddrs(vec!["*".to_owned(), "-::*".to_owned()])
    }
}

impl Field for BindAddrs {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        self.0 = parse_addrs(args)?;
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.0.join(" ").into_bytes()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        match self.0.as_slice() {
            _ if self == default => Lines::Remove,
            [] => Lines::one(row, "\"\"", true),
            addrs => Lines::one(row, addrs.join(" "), true),
        }
    }
}

/// The addresses for RDMA connections, which this server does not make.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RdmaBind(pub Vec<String>);

impl Field for RdmaBind {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        self.0 = parse_addrs(args)?;
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.0.join(" ").into_bytes()
    }

    fn lines(&self, row: &Directive, _: &Self) -> Lines {
        if self.0.is_empty() {
            Lines::Remove
        } else {
            Lines::one(row, self.0.join(" "), true)
        }
    }
}

/// The primary of this server, if it is a replica.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplicaOf(pub Option<(String, u16)>);

impl Field for ReplicaOf {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        let [host, port] = args else {
            return Err("wrong number of arguments".into());
        };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            self.0 = None;
            return Ok(());
        }
        let port = loose_int(port, 10)
            .and_then(|p| u16::try_from(p).ok())
            .ok_or("Invalid master port")?;
        let host = String::from_utf8(host.clone()).map_err(|_| "argument must be valid UTF-8")?;
        self.0 = Some((host, port));
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.0
            .as_ref()
            .map(|(host, port)| format!("{host} {port}"))
            .unwrap_or_default()
            .into_bytes()
    }

    fn lines(&self, row: &Directive, _: &Self) -> Lines {
        if self.0.is_none() {
            Lines::Remove
        } else {
            Lines::one(row, self.show(row), true)
        }
    }
}

/// The percentiles that `INFO latencystats` shows.
#[derive(Clone, PartialEq, Debug)]
pub struct Percentiles(pub Vec<f64>);

impl Default for Percentiles {
    fn default() -> Self {
        Percentiles(vec![50.0, 99.0, 99.9])
    }
}

impl Field for Percentiles {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        let empty = args.iter().all(Vec::is_empty) && args.len() < 2;
        let mut percentiles = Vec::new();
        for arg in args.iter().filter(|_| !empty) {
            let number = num::parse_f64(arg)
                .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
            if !(0.0..=100.0).contains(&number) {
                return Err(
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                        .into(),
                );
            }
            percentiles.push(number);
        }
        self.0 = percentiles;
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        let text = |value: &f64| {
            format!("{value:.6}")
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
        };
        self.0
            .iter()
            .map(text)
            .collect::<Vec<_>>()
            .join(" ")
            .into_bytes()
    }

    fn lines(&self, row: &Directive, _: &Self) -> Lines {
        let text = self.show(row);
        Lines::one(
            row,
            if text.is_empty() {
                b"\"\"".to_vec()
            } else {
                text
            },
            true,
        )
    }
}

/// The directory the process runs in, or `/` when it cannot be told.
pub(super) fn current_dir() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// The working directory: always absolute, and checked to exist and to be usable when it is set.
impl Field for PathBuf {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        use std::os::unix::ffi::OsStrExt;
        let wanted = self.join(Path::new(std::ffi::OsStr::from_bytes(single(args)?)));
        let fail = |error: std::io::Error| Reason::from(os_reason(&error));
        if single(args)?.is_empty() {
            return Err(fail(std::io::Error::from_raw_os_error(
                rustix::io::Errno::NOENT.raw_os_error(),
            )));
        }
        let path = wanted.canonicalize().map_err(fail)?;
        if !path.is_dir() {
            return Err(fail(std::io::Error::from_raw_os_error(
                rustix::io::Errno::NOTDIR.raw_os_error(),
            )));
        }
        rustix::fs::access(&path, rustix::fs::Access::EXEC_OK)
            .map_err(|errno| fail(errno.into()))?;
        *self = path;
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        self.as_os_str().as_bytes().to_vec()
    }

    fn lines(&self, row: &Directive, _: &Self) -> Lines {
        Lines::one(row, quote(&self.show(row)), true)
    }
}
