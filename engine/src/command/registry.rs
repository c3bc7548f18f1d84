//! The command table in its working form: look-up by name, flags and ACL
//! categories that follow from others, and key extraction.
//!
//! Built once at start-up from the spec rows of the engine and of its host,
//! then never changed; it lives as long as the process.

use std::collections::{HashMap, HashSet};
use std::fmt;

use smallvec::SmallVec;

use super::spec::{
    Acl, Args, BeginSearch, CommandSpec, FindKeys, Flags, KeyFlags, KeyRef, KeySpec, Locking,
};
use crate::error::ReplyError;
use basalt_formats::num;

/// A command or subcommand with what its row implies.
pub struct Command {
    /// Its row.
    pub spec: &'static CommandSpec,
    /// `get`, or `config|get` for a subcommand; as renamed by the configuration.
    pub name: String,
    /// Position in [`Registry::all`]; used to index per-command statistics.
    pub id: usize,
    /// Flags of the row and those that follow.
    pub flags: Flags,
    /// ACL categories of the row and those that follow from flags.
    pub acl: Acl,
    /// Subcommands of a container, by lower-case name.
    pub subcommands: Vec<&'static Command>,
    /// Container of a subcommand.
    pub parent: Option<&'static CommandSpec>,
    /// The command has one key, at argument 1, and nothing else to find.
    pub single_key: bool,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Command {
    /// Whether `count` words fit the arity.
    pub fn arity_fits(&self, count: usize) -> bool {
        let arity = self.spec.arity;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if arity >= 0 {
            count == i64::from(arity)
        } else {
            count >= -i64::from(arity)
        }
    }

    /// Whether requests can name keys at all.
    pub fn has_keys(&self) -> bool {
        !self.spec.keys.is_empty() || self.spec.get_keys.is_some()
    }

    /// Keys of a request, with what the command does to each; `None` when the
    /// request is malformed so that they cannot be told. O(words).
    pub fn keys(&self, args: Args<'_>) -> Option<Vec<KeyRef>> {
        if let Some(find) = self.spec.get_keys {
            return find(args);
        }
        self.keys_by_spec(args)
    }

    /// Keys found by the key specs alone.
    pub fn keys_by_spec(&self, args: Args<'_>) -> Option<Vec<KeyRef>> {
        let mut found = Vec::with_capacity(2);
        self.find_by_spec(args, &mut found)?;
        Some(found)
    }

    /// Adds the keys that the key specs find; on `None` some may have been added.
    fn find_by_spec(&self, args: Args<'_>, found: &mut impl Extend<KeyRef>) -> Option<()> {
        for spec in self.spec.keys {
            let first = match spec.begin {
                BeginSearch::Index(index) => usize::try_from(index).ok()?,
                BeginSearch::Keyword(word, from) => match find_keyword(args, word, from) {
                    Some(at) => at + 1,
                    None => continue,
                },
                BeginSearch::Unknown => return None,
            };
            match spec.find {
                FindKeys::Range(last, step, limit) => {
                    range_keys(args, first, (last, step, limit), spec.flags, found)?
                }
                FindKeys::Keynum(count_at, first_key, step) => {
                    let count_at = first.checked_add(usize::try_from(count_at).ok()?)?;
                    // Redis falls back on a reader by atoi where the number is not clean.
                    let count = num::atoi(args.get(count_at)?);
                    let count = usize::try_from(count).ok()?;
                    let start = first.checked_add(usize::try_from(first_key).ok()?)?;
                    let step = usize::try_from(step).ok()?.max(1);
                    let last = count
                        .checked_sub(1)?
                        .checked_mul(step)?
                        .checked_add(start)?;
                    if last >= args.len() {
                        return None;
                    }
                    found.extend((start..=last).step_by(step).map(|at| (at, spec.flags)));
                }
                FindKeys::Unknown => return None,
            }
        }
        Some(())
    }

    /// Adds the keys whose access is checked against a user's rules, and how the request uses
    /// each. None of a malformed request, which its handler refuses. O(words).
    ///
    /// Key specs come first, since they know what is done with each key, unless they say
    /// themselves that they do not. A key behind a word may be another one than the handler
    /// takes, if the word comes twice: there both count.
    pub(crate) fn checked_keys(&self, args: Args<'_>, found: &mut CheckedKeys) {
        let says = |flag| self.spec.keys.iter().any(|key| key.flags.has(flag));
        let by_spec = !self.spec.keys.is_empty()
            && !says(KeyFlags::VARIABLE_FLAGS)
            && !says(KeyFlags::INCOMPLETE)
            && self.find_by_spec(args, found).is_some();
        if !by_spec {
            found.clear();
        }
        found.retain(|(_, flags)| !flags.has(KeyFlags::NOT_KEY));
        let is_keyword = |key: &KeySpec| matches!(key.begin, BeginSearch::Keyword(..));
        if by_spec && !self.spec.keys.iter().any(is_keyword) {
            return;
        }
        if let Some(keys) = self.spec.get_keys.and_then(|find| find(args)) {
            let known: HashSet<usize> = found.iter().map(|(at, _)| *at).collect();
            found.extend(keys.into_iter().filter(|(at, _)| !known.contains(at)));
        }
    }

    /// The name that ACL rules and error texts use: that of the table, whatever the configuration
    /// renames it to.
    pub fn table_name(&self) -> &str {
        match self.parent {
            Some(_) => &self.name,
            None => self.spec.name,
        }
    }
}

/// The keys of a request; few need no allocation.
pub(crate) type CheckedKeys = SmallVec<[KeyRef; 8]>;

fn find_keyword(args: Args<'_>, word: &str, from: i32) -> Option<usize> {
    let matches = |arg: &[u8]| arg.eq_ignore_ascii_case(word.as_bytes());
    if from >= 0 {
        (usize::try_from(from).ok()?..args.len()).find(|&i| matches(args[i]))
    } else {
        let start = args
            .len()
            .checked_sub(usize::try_from(from.unsigned_abs()).ok()?)?;
        (1..=start).rev().find(|&i| matches(args[i]))
    }
}

fn range_keys(
    args: Args<'_>,
    first: usize,
    (last, step, limit): (i32, i32, i32),
    flags: KeyFlags,
    found: &mut impl Extend<KeyRef>,
) -> Option<()> {
    let end = if last >= 0 {
        first.checked_add(usize::try_from(last).ok()?)?
    } else if limit <= 1 {
        args.len()
            .checked_sub(usize::try_from(last.unsigned_abs()).ok()?)?
    } else {
        let rest = args.len().checked_sub(first)?;
        first
            + (rest / usize::try_from(limit).ok()?)
                .checked_sub(usize::try_from(last.unsigned_abs()).ok()?)?
    };
    if end >= args.len() || first > end {
        return None;
    }
    found.extend(
        (first..=end)
            .step_by(usize::try_from(step).ok()?.max(1))
            .map(|at| (at, flags)),
    );
    Some(())
}

/// Categories that follow from flags, as Redis derives them.
fn implied_acl(spec: &CommandSpec) -> Acl {
    let mut acl = spec.acl;
    let flags = spec.flags;
    if flags.has(Flags::WRITE) {
        acl = acl | Acl::WRITE;
    }
    if flags.has(Flags::READONLY) && !acl.has(Acl::SCRIPTING) {
        acl = acl | Acl::READ;
    }
    if flags.has(Flags::ADMIN) {
        acl = acl | Acl::ADMIN | Acl::DANGEROUS;
    }
    if flags.has(Flags::PUBSUB) {
        acl = acl | Acl::PUBSUB;
    }
    if flags.has(Flags::FAST) {
        acl = acl | Acl::FAST;
    }
    if flags.has(Flags::BLOCKING) {
        acl = acl | Acl::BLOCKING;
    }
    if !acl.has(Acl::FAST) {
        acl = acl | Acl::SLOW;
    }
    acl
}

/// Every command, by name.
#[derive(Debug)]
pub struct Registry {
    by_name: HashMap<&'static str, &'static Command>,
    table: Box<[Option<&'static Command>]>,
    all: Vec<&'static Command>,
    /// Commands that the configuration took away: ACL rules still know them. Their ids come
    /// behind those of `all`.
    removed: Vec<&'static Command>,
}

const TABLE_SIZE: usize = 2048;
const MAX_NAME: usize = 32;

fn fold_hash(name: &[u8]) -> usize {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for &byte in name {
        hash = (hash ^ u64::from(byte | 0x20)).wrapping_mul(0x0100_0000_01b3);
    }
    ((hash ^ (hash >> 29)) as usize) & (TABLE_SIZE - 1)
}

impl Registry {
    /// Builds the table from groups of rows; `renames` maps lower-case names to
    /// new ones, empty to remove. Leaks its memory: one registry serves a process
    /// for its whole life, and commands are referred to from everywhere.
    pub fn build(
        groups: &[&'static [CommandSpec]],
        renames: &[(String, String)],
    ) -> &'static Registry {
        let mut registry = Registry {
            by_name: HashMap::new(),
            table: vec![None; TABLE_SIZE].into(),
            all: Vec::new(),
            removed: Vec::new(),
        };
        let mut removed = Vec::new();
        for spec in groups.iter().flat_map(|group| group.iter()) {
            let renamed = renames
                .iter()
                .find(|(from, _)| from.eq_ignore_ascii_case(spec.name));
            let name =
                renamed.map_or_else(|| spec.name.to_string(), |(_, to)| to.to_ascii_lowercase());
            if name.is_empty() {
                removed.push(spec);
            } else {
                registry.add(spec, name);
            }
        }
        let present = registry.all.len();
        for spec in removed {
            registry.leak_whole(spec, spec.name.to_owned());
        }
        registry.removed = registry.all.split_off(present);
        Box::leak(Box::new(registry))
    }

    /// Makes a command with its subcommands.
    fn leak_whole(&mut self, spec: &'static CommandSpec, name: String) -> &'static Command {
        let subcommands = spec
            .subcommands
            .iter()
            .map(|sub| {
                let full = format!("{}|{}", spec.name, sub.name);
                self.leak(sub, full, Vec::new(), Some(spec))
            })
            .collect();
        self.leak(spec, name, subcommands, None)
    }

    fn add(&mut self, spec: &'static CommandSpec, name: String) {
        let command = self.leak_whole(spec, name);
        self.by_name.insert(command.name.as_str(), command);
        let mut at = fold_hash(command.name.as_bytes());
        while self.table[at].is_some() {
            at = (at + 1) % TABLE_SIZE;
        }
        self.table[at] = Some(command);
    }

    fn leak(
        &mut self,
        spec: &'static CommandSpec,
        name: String,
        subcommands: Vec<&'static Command>,
        parent: Option<&'static CommandSpec>,
    ) -> &'static Command {
        let movable = spec.keys.iter().any(|key| {
            key.flags.has(KeyFlags::INCOMPLETE)
                || !matches!(
                    (key.begin, key.find),
                    (BeginSearch::Index(_), FindKeys::Range(..))
                )
        });
        let only_flags_vary = matches!(spec.keys, [k] if k.flags.has(KeyFlags::VARIABLE_FLAGS));
        let single_key = (spec.get_keys.is_none() || only_flags_vary)
            && spec.locking == Locking::Keys
            && matches!(spec.keys, [k] if matches!((k.begin, k.find), (BeginSearch::Index(1), FindKeys::Range(0, _, _))));
        let command: &'static Command = Box::leak(Box::new(Command {
            spec,
            name,
            id: self.all.len(),
            flags: if movable {
                spec.flags | Flags::MOVABLEKEYS
            } else {
                spec.flags
            },
            acl: implied_acl(spec),
            subcommands,
            parent,
            single_key,
        }));
        self.all.push(command);
        command
    }

    /// Every command and subcommand; `Command::id` indexes it.
    pub fn all(&self) -> &[&'static Command] {
        &self.all
    }

    /// Top-level commands, in no particular order.
    pub fn commands(&self) -> impl Iterator<Item = &'static Command> + '_ {
        self.all.iter().copied().filter(|c| c.parent.is_none())
    }

    /// The top-level command with this name in any letter case. O(1).
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        if name.len() > MAX_NAME {
            return self
                .by_name
                .get(String::from_utf8_lossy(name).to_ascii_lowercase().as_str())
                .copied();
        }
        let mut at = fold_hash(name);
        while let Some(command) = self.table[at] {
            if command.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(command);
            }
            at = (at + 1) % TABLE_SIZE;
        }
        None
    }

    /// The command or subcommand of a full name such as `config|get`.
    pub fn find_full(&self, name: &[u8]) -> Option<&'static Command> {
        match name.iter().position(|&b| b == b'|') {
            None => self.find(name),
            Some(bar) => self.find(&name[..bar])?.sub(&name[bar + 1..]),
        }
    }

    /// Every command and subcommand that ACL rules know: also those that were taken away.
    pub fn known(&self) -> impl Iterator<Item = &'static Command> + '_ {
        self.all.iter().chain(&self.removed).copied()
    }

    /// The command or subcommand of a full name as the table has it, in any letter case, for ACL
    /// rules: renamed ones keep their name there. O(commands).
    pub fn find_known(&self, name: &[u8]) -> Option<&'static Command> {
        self.known()
            .find(|command| command.table_name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The command of a request, its subcommand if it has any.
    ///
    /// # Errors
    /// Unknown command or subcommand, with Redis's texts. Arity is not checked.
    pub fn resolve(&self, args: Args<'_>) -> Result<&'static Command, ReplyError> {
        let Some(command) = args.first().and_then(|name| self.find(name)) else {
            return Err(unknown_command(args));
        };
        if command.subcommands.is_empty() || args.len() < 2 {
            return Ok(command);
        }
        match command.sub(args[1]) {
            Some(sub) => Ok(sub),
            None => Err(ReplyError::unknown_subcommand(command.spec.name, args[1])),
        }
    }
}

impl Command {
    /// The subcommand with this name in any letter case.
    pub fn sub(&self, name: &[u8]) -> Option<&'static Command> {
        self.subcommands
            .iter()
            .copied()
            .find(|sub| sub.spec.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

fn unknown_command(args: Args<'_>) -> ReplyError {
    let name = args.first().copied().unwrap_or_default();
    let mut shown = String::new();
    // In bytes on the wire, each of which is one character here.
    let mut bytes = 0;
    for arg in args.iter().skip(1) {
        if bytes >= 128 {
            break;
        }
        let room = 128 - bytes;
        let word = crate::error::shown(&arg[..arg.len().min(room)]);
        bytes += word.chars().count() + 3;
        shown.push('\'');
        shown.push_str(&word);
        shown.push_str("' ");
    }
    let name = crate::error::shown(&name[..name.len().min(128)]);
    ReplyError::err(format_args!(
        "unknown command '{name}', with args beginning with: {shown}"
    ))
}
