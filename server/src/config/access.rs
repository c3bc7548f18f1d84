//! `CONFIG GET` and `CONFIG SET` as functions on a snapshot.
//!
//! `set` never changes the snapshot it is called on: it builds a new one, lets the caller apply the difference, and
//! returns it. A failure at any step therefore leaves nothing behind; only the effects of a half-done apply have to be
//! taken back, for which the caller is given the opposite change.

use super::directive::{Directive, ParseState};
use super::text::glob;
use super::{Config, TABLE};

/// The smallest replication backlog; a smaller value is raised to it.
const MIN_BACKLOG_BYTES: u64 = 16 * 1024;

/// Finds a directive by name or alias in any case; also returns the name that was used, in lower case.
pub fn lookup(name: &[u8]) -> Option<(&'static Directive, &'static str)> {
    TABLE.iter().find_map(|row| {
        let names = std::iter::once(row.name).chain(row.alias);
        let used = names
            .into_iter()
            .find(|candidate| candidate.as_bytes().eq_ignore_ascii_case(name))?;
        Some((row, used))
    })
}

/// What `CONFIG SET` has to know about the client and the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetContext {
    /// The client is connected from this machine.
    pub client_is_local: bool,
    /// The data set is being loaded.
    pub loading: bool,
}

/// A change from one configuration to another, given to those who have to put it into effect.
#[derive(Debug)]
pub struct ChangeSet<'a> {
    /// The configuration before the change.
    pub old: &'a Config,
    /// The configuration after the change.
    pub new: &'a Config,
    /// The directives that differ, or that count as changed whenever they are set.
    pub changed: &'a [&'static Directive],
    /// The change takes back an earlier one that failed half-way; errors have no further consequence.
    pub rollback: bool,
}

impl ChangeSet<'_> {
    /// Whether the directive with this (first) name has changed.
    pub fn contains(&self, name: &str) -> bool {
        self.changed.iter().any(|row| row.name == name)
    }
}

/// Why a change could not be put into effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError {
    /// The directive that the failure is about.
    pub arg: String,
    /// The reason for the client; may be empty.
    pub reason: String,
}

/// Why `CONFIG SET` did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// No directive has this name.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// One of the values was refused, or could not be put into effect.
    #[error("CONFIG SET failed (possibly related to argument '{arg}'){}{reason}", if reason.is_empty() { "" } else { " - " })]
    Failed {
        /// The directive as the client named it.
        arg: String,
        /// The reason; may be empty.
        reason: String,
    },
    /// One of the directives cannot be changed while the data set is being loaded.
    #[error("Redis is loading the dataset in memory")]
    Loading,
}

impl SetError {
    /// The error reply without the leading `-` and the line end.
    pub fn reply(&self) -> String {
        let prefix = if matches!(self, SetError::Loading) {
            "LOADING"
        } else {
            "ERR"
        };
        format!("{prefix} {self}").replace(['\r', '\n'], " ")
    }
}

/// Whether this alias is the name with hyphens in place of underscores, as Valkey spells
/// some: known, but not listed besides the name.
fn is_respelling(alias: &str, row: &Directive) -> bool {
    alias != row.name && alias == row.name.replace('_', "-")
}

fn printable(name: &[u8]) -> String {
    basalt_engine::shown(name)
}

impl Config {
    /// `CONFIG GET pattern...`: each matching name once with its value.
    ///
    /// A word without `*`, `?` or `[` has to be a name and is returned as the client spelt it; a pattern goes over all
    /// names and aliases, except those of hidden directives. Matches of one pattern come in alphabetical order.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        for &pattern in patterns {
            if !pattern.iter().any(|b| b"[*?".contains(b)) {
                if let Some((row, _)) = lookup(pattern) {
                    push_once(&mut found, printable(pattern), || row.show(self));
                }
                continue;
            }
            let visible = TABLE.iter().filter(|row| !row.flags.hidden());
            let mut names: Vec<(&str, &Directive)> = visible
                .flat_map(|row| {
                    std::iter::once(row.name)
                        .chain(row.alias)
                        .map(move |name| (name, row))
                })
                .filter(|(name, row)| !is_respelling(name, row))
                .filter(|(name, _)| glob(pattern, name.as_bytes(), true))
                .collect();
            names.sort_unstable_by_key(|(name, _)| *name);
            for (name, row) in names {
                push_once(&mut found, name.to_owned(), || row.show(self));
            }
        }
        found
    }

    /// `CONFIG SET name value...`: all of it or nothing.
    ///
    /// `apply` is called once with the difference, unless there is none. When it fails it is called again with the
    /// opposite change, whose result is ignored, and the error of the first call is returned.
    pub fn set(
        &self,
        pairs: &[(&[u8], &[u8])],
        context: SetContext,
        apply: &mut dyn FnMut(&ChangeSet<'_>) -> Result<(), ApplyError>,
    ) -> Result<Config, SetError> {
        let rows = self.check_names(pairs, context)?;
        let mut new = self.clone();
        let mut changed: Vec<&'static Directive> = Vec::new();
        for ((row, used), (_, value)) in rows.iter().zip(pairs) {
            let args = runtime_args(row, value);
            (row.parse)(&mut new, row, &args, &mut ParseState::default()).map_err(|reason| {
                SetError::Failed {
                    arg: (*used).to_owned(),
                    reason: reason.into_owned(),
                }
            })?;
            if !changed.iter().any(|other| std::ptr::eq(*other, *row)) {
                changed.push(row);
            }
        }
        new.clamp();
        changed.retain(|row| row.flags.volatile() || !row.same(self, &new));
        if changed.is_empty() {
            return Ok(new);
        }
        let change = ChangeSet {
            old: self,
            new: &new,
            changed: &changed,
            rollback: false,
        };
        apply(&change).map_err(|error| {
            let undo = ChangeSet {
                old: &new,
                new: self,
                changed: &changed,
                rollback: true,
            };
            if let Err(again) = apply(&undo) {
                tracing::warn!(
                    "Failed applying restored failed CONFIG SET command: {}",
                    again.reason
                );
            }
            let used = rows
                .iter()
                .find(|(row, _)| row.name == error.arg)
                .map(|(_, used)| (*used).to_owned());
            SetError::Failed {
                arg: used.unwrap_or(error.arg),
                reason: error.reason,
            }
        })?;
        Ok(new)
    }

    /// Finds the directives and checks that they may be set now by this client. The first problem decides.
    fn check_names(
        &self,
        pairs: &[(&[u8], &[u8])],
        context: SetContext,
    ) -> Result<Vec<(&'static Directive, &'static str)>, SetError> {
        let mut rows: Vec<(&'static Directive, &'static str)> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let (row, used) = lookup(name).ok_or_else(|| SetError::Unknown(printable(name)))?;
            let refuse = |reason: &str| {
                Err(SetError::Failed {
                    arg: printable(name),
                    reason: reason.to_owned(),
                })
            };
            if row.flags.immutable() {
                return refuse("can't set immutable config");
            }
            if row.flags.protected()
                && !self
                    .enable_protected_configs
                    .allows(context.client_is_local)
            {
                return refuse("can't set protected config");
            }
            if row.flags.deny_loading() && context.loading {
                return Err(SetError::Loading);
            }
            // An alias counts as another parameter: setting both names is allowed, the last one wins.
            if rows.iter().any(|(_, other)| *other == used) {
                return refuse("duplicate parameter");
            }
            rows.push((row, used));
        }
        Ok(rows)
    }

    /// Brings values that are accepted but out of range into it.
    pub(super) fn clamp(&mut self) {
        self.hz = self.hz.clamp(1, 500);
        self.repl_backlog_size = self.repl_backlog_size.max(MIN_BACKLOG_BYTES);
    }

    /// Sets one directive from its arguments, as a line of a file would. For start-up code and tests.
    pub fn set_directive(&mut self, name: &str, args: &[&str]) -> Result<(), SetError> {
        let (row, used) =
            lookup(name.as_bytes()).ok_or_else(|| SetError::Unknown(name.to_owned()))?;
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let mut copy = self.clone();
        (row.parse)(&mut copy, row, &args, &mut ParseState::default()).map_err(|reason| {
            SetError::Failed {
                arg: used.to_owned(),
                reason: reason.into_owned(),
            }
        })?;
        copy.clamp();
        *self = copy;
        Ok(())
    }

    /// The limit on the memory of clients in bytes, 0 for none; a percentage is one of `maxmemory`.
    pub fn maxmemory_clients_bytes(&self) -> u64 {
        match u64::try_from(self.maxmemory_clients) {
            Ok(bytes) => bytes,
            Err(_) => {
                let share = u128::from(self.maxmemory)
                    * u128::from(self.maxmemory_clients.unsigned_abs())
                    / 100;
                u64::try_from(share).unwrap_or(u64::MAX)
            }
        }
    }
}

/// A value from a client as arguments: those of a directive with several are separated by single spaces.
fn runtime_args(row: &Directive, value: &[u8]) -> Vec<Vec<u8>> {
    match row.flags.multi_arg() {
        true if value.is_empty() => Vec::new(),
        true => value.split(|&b| b == b' ').map(<[u8]>::to_vec).collect(),
        false => vec![value.to_vec()],
    }
}

fn push_once(found: &mut Vec<(String, Vec<u8>)>, name: String, value: impl FnOnce() -> Vec<u8>) {
    if !found
        .iter()
        .any(|(seen, _)| seen.eq_ignore_ascii_case(&name))
    {
        found.push((name, value()));
    }
}
