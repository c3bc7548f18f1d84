//! Which commands a selector allows: one bit for each, and the rules they came from.
//!
//! The rules are kept as written, in the order in which they count, so that what is shown and
//! saved means the same on a server with other commands. Of rules about the same thing only the
//! last is kept: `+config|get` goes when `+config` or `-config` comes.

use std::collections::HashMap;

use super::rule::{Grammar, RuleError};
use crate::command::spec::Acl;
use crate::command::{Args, Command};

/// A set of commands.
#[derive(Clone, Debug, Default)]
pub(super) struct Commands {
    /// All are allowed, with no bit taken away since.
    pub all: bool,
    /// The rules began with `+@all`: commands that are not known yet are allowed.
    future: bool,
    /// By `Command::id`.
    bits: Vec<u64>,
    /// First arguments with which a command is allowed that is not in the set, by its id.
    first: HashMap<usize, Vec<Box<[u8]>>>,
    /// The rules behind the one for all, each with its sign.
    rules: Vec<Box<[u8]>>,
}

impl Commands {
    /// Whether the request's command is in the set, or allowed with its first argument.
    pub fn allow(&self, command: &Command, args: Args<'_>) -> bool {
        if self.all || self.has(command) {
            return true;
        }
        let Some(first) = args.get(1).filter(|_| !self.first.is_empty()) else {
            return false;
        };
        self.first
            .get(&command.id)
            .is_some_and(|allowed| allowed.iter().any(|one| one.eq_ignore_ascii_case(first)))
    }

    fn has(&self, command: &Command) -> bool {
        let word = self.bits.get(command.id / 64).copied();
        word.unwrap_or(0) >> (command.id % 64) & 1 != 0
    }

    /// `+@all` and `-@all`.
    pub fn set_all(&mut self, grammar: &Grammar<'_>, allowed: bool) {
        let word = if allowed { u64::MAX } else { 0 };
        let count = grammar.registry.known().count();
        *self = Commands {
            all: allowed,
            future: allowed,
            bits: vec![word; count.div_ceil(64)],
            ..Commands::default()
        };
    }

    fn set_bit(&mut self, command: &Command, allowed: bool) {
        let at = command.id / 64;
        if at >= self.bits.len() {
            self.bits.resize(at + 1, 0);
        }
        let bit = 1 << (command.id % 64);
        if allowed {
            self.bits[at] |= bit;
        } else {
            self.bits[at] &= !bit;
            self.all = false;
        }
    }

    /// Allows or denies a command with all its subcommands.
    fn set(&mut self, command: &Command, allowed: bool) {
        self.set_bit(command, allowed);
        self.first.remove(&command.id);
        for sub in &command.subcommands {
            self.set_bit(sub, allowed);
        }
    }

    /// Keeps a rule, given without its sign.
    fn note(&mut self, rule: &[u8], allowed: bool) {
        let rule = rule.to_ascii_lowercase();
        self.rules.retain(|old| {
            let rest = old.get(1..).and_then(|old| old.strip_prefix(&rule[..]));
            !matches!(rest, Some([] | [b'|', ..]))
        });
        let sign = if allowed { b'+' } else { b'-' };
        self.rules.push([&[sign], &rule[..]].concat().into());
    }

    /// A rule that begins with `+` or `-`, but those for all commands.
    ///
    /// # Errors
    /// No such command or category; a first argument that cannot be.
    pub fn apply(&mut self, grammar: &Grammar<'_>, rule: &[u8]) -> Result<(), RuleError> {
        let [sign, name @ ..] = rule else {
            return Err(RuleError::Syntax);
        };
        let (allowed, registry) = (*sign == b'+', grammar.registry);
        if let [b'@', category @ ..] = name {
            let category = std::str::from_utf8(category)
                .ok()
                .and_then(Acl::by_name)
                .ok_or(RuleError::Unknown)?;
            self.note(name, allowed);
            for command in registry.known().filter(|one| one.acl.has(category)) {
                self.set(command, allowed);
            }
            return Ok(());
        }
        let bar = name.iter().rposition(|byte| *byte == b'|');
        let Some(bar) = bar.filter(|_| allowed) else {
            let command = registry.find_known(name).ok_or(RuleError::Unknown)?;
            self.set(command, allowed);
            self.note(command.table_name().as_bytes(), allowed);
            return Ok(());
        };
        let (container, first) = (&name[..bar], &name[bar + 1..]);
        let container = registry.find_known(container).ok_or(RuleError::Unknown)?;
        if container.parent.is_some() {
            return Err(RuleError::FirstArgument);
        }
        // What is shown must mean the same when it is read again.
        let quoted = first.iter().any(|byte| matches!(byte, b'"' | b'\''));
        if first.is_empty() || quoted || super::has_blanks(first) {
            return Err(RuleError::Syntax);
        }
        if container.subcommands.is_empty() {
            tracing::warn!(
                "Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse of ACL and may get disabled in the future (offender: +{})",
                String::from_utf8_lossy(name)
            );
            let allowed = self.first.entry(container.id).or_default();
            if !allowed.iter().any(|one| one.eq_ignore_ascii_case(first)) {
                allowed.push(first.into());
            }
        } else {
            let command = container.sub(first).ok_or(RuleError::Unknown)?;
            self.set(command, true);
        }
        self.note(name, true);
        Ok(())
    }

    /// The rules as one text.
    pub fn describe(&self) -> Vec<u8> {
        let all: &[u8] = if self.future { b"+@all" } else { b"-@all" };
        let mut text = all.to_vec();
        for rule in &self.rules {
            text.push(b' ');
            text.extend_from_slice(rule);
        }
        text
    }
}
