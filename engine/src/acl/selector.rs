//! A selector: a set of commands with the keys and channels that they may touch.

use basalt_formats::glob::glob_match;

use super::commands::Commands;
use super::has_blanks;
use super::rule::{Grammar, RuleError};
use crate::command::spec::KeyFlags;

/// Reading of keys is allowed, or asked for.
pub(super) const READ: u8 = 1;
/// Writing.
pub(super) const WRITE: u8 = 2;

/// What is done with a key, as far as patterns tell it apart. Nothing of both: the key is only
/// looked for, for which either permission is enough.
pub(super) fn access(flags: KeyFlags) -> u8 {
    let writes = KeyFlags::INSERT.or(KeyFlags::DELETE).or(KeyFlags::UPDATE);
    let read = if flags.has(KeyFlags::ACCESS) { READ } else { 0 };
    read | if flags.any(writes) { WRITE } else { 0 }
}

/// A pattern of keys and what may be done with those it matches.
#[derive(Clone, Debug)]
struct KeyPattern {
    access: u8,
    pattern: Box<[u8]>,
}

impl KeyPattern {
    fn describe(&self) -> Vec<u8> {
        let mark: &[u8] = match self.access {
            READ => b"%R~",
            WRITE => b"%W~",
            _ => b"~",
        };
        [mark, &self.pattern].concat()
    }
}

/// A set of commands with the keys and channels that they may touch.
#[derive(Clone, Debug)]
pub struct Selector {
    pub(super) commands: Commands,
    pub(super) all_keys: bool,
    pub(super) all_channels: bool,
    keys: Vec<KeyPattern>,
    channels: Vec<Box<[u8]>>,
}

impl Selector {
    /// One that allows nothing, but all channels if that is the default.
    pub(super) fn new(grammar: &Grammar<'_>) -> Selector {
        Selector {
            commands: Commands::default(),
            all_keys: false,
            all_channels: grammar.all_channels,
            keys: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// Whether it allows whatever there is.
    pub(super) fn allows_all(&self) -> bool {
        self.commands.all && self.all_keys && self.all_channels
    }

    /// Applies one rule.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub(super) fn apply(&mut self, grammar: &Grammar<'_>, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if is("allkeys") || is("~*") {
            self.all_keys = true;
            self.keys.clear();
        } else if is("resetkeys") {
            self.all_keys = false;
            self.keys.clear();
        } else if is("allchannels") || is("&*") {
            self.all_channels = true;
            self.channels.clear();
        } else if is("resetchannels") {
            self.all_channels = false;
            self.channels.clear();
        } else if is("allcommands") || is("+@all") {
            self.commands.set_all(grammar, true);
        } else if is("nocommands") || is("-@all") {
            self.commands.set_all(grammar, false);
        } else {
            match rule {
                [b'~', pattern @ ..] => self.add_keys(READ | WRITE, pattern)?,
                [b'%', rest @ ..] => self.add_keys_for(rest)?,
                [b'&', pattern @ ..] => self.add_channels(pattern)?,
                [b'+' | b'-', ..] => self.commands.apply(grammar, rule)?,
                _ => return Err(RuleError::Syntax),
            }
        }
        Ok(())
    }

    /// `R~pattern`, `W~pattern`, `RW~pattern`.
    fn add_keys_for(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeys);
        }
        let mut allowed = 0;
        let mut rest = rule;
        while let [byte, tail @ ..] = rest {
            let more = match byte.to_ascii_uppercase() {
                b'R' => READ,
                b'W' => WRITE,
                b'~' => 0,
                _ => return Err(RuleError::Syntax),
            };
            if more & allowed != 0 {
                return Err(RuleError::Syntax);
            }
            (allowed, rest) = (allowed | more, tail);
            if more == 0 {
                break;
            }
        }
        // Neither to be read nor written: older servers took it, and fell over it later.
        if allowed == 0 {
            return Err(RuleError::Syntax);
        }
        self.add_keys(allowed, rest)
    }

    fn add_keys(&mut self, access: u8, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeys);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|key| *key.pattern == *pattern) {
            Some(known) => known.access |= access,
            None => self.keys.push(KeyPattern {
                access,
                pattern: pattern.into(),
            }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AllChannels);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    /// Whether a key may be used like this.
    pub(super) fn allows_key(&self, key: &[u8], access: u8) -> bool {
        self.all_keys
            || self
                .keys
                .iter()
                .any(|own| own.access & access == access && glob_match(&own.pattern, key, false))
    }

    /// Whether every key may be read, whatever its name.
    pub(super) fn reads_all(&self) -> bool {
        self.all_keys
            || self
                .keys
                .iter()
                .any(|own| own.access & READ != 0 && *own.pattern == *b"*")
    }

    /// Whether a channel may be used. A pattern to listen to only if it is one of those given:
    /// which channels it would match nobody can tell.
    pub(super) fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels
            || self.channels.iter().any(|own| match is_pattern {
                true => **own == *channel,
                false => glob_match(own, channel, false),
            })
    }

    /// The channel patterns, if not all channels are allowed.
    pub(super) fn channels(&self) -> Option<&[Box<[u8]>]> {
        (!self.all_channels).then_some(&self.channels)
    }

    /// The command rules as text, as ACL GETUSER has them.
    pub fn describe_commands(&self) -> Vec<u8> {
        self.commands.describe()
    }

    /// The key rules as text.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let all: Vec<_> = self.keys.iter().map(KeyPattern::describe).collect();
        all.join(&b' ')
    }

    /// The channel rules as text.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let all = self.channels.iter().map(|own| [b"&", &own[..]].concat());
        all.collect::<Vec<_>>().join(&b' ')
    }

    /// All rules as one text, as ACL LIST has them.
    pub(super) fn describe(&self) -> Vec<u8> {
        let (keys, channels) = (self.describe_keys(), self.describe_channels());
        let mut parts = vec![keys];
        if !self.all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        parts.extend([channels, self.describe_commands()]);
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }
}
