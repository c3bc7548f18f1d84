//! The check of one request.

use super::selector::{READ, Selector, WRITE, access};
use super::user::User;
use crate::command::spec::{Channels, Flags};
use crate::command::{Args, CheckedKeys, Command};
use crate::error::shown;

/// Why a request is refused; an index is that of the word at fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Denied {
    /// The command.
    Command,
    /// A key.
    Key(usize),
    /// A channel.
    Channel(usize),
}

impl Denied {
    /// The word at fault: of a command it is its name in the table.
    pub fn object<'a>(self, command: &'a Command, args: Args<'a>) -> &'a [u8] {
        match self {
            Denied::Command => command.table_name().as_bytes(),
            Denied::Key(at) | Denied::Channel(at) => args.get(at).copied().unwrap_or_default(),
        }
    }

    /// Redis's words for it. They name the key or channel only on request: whoever is refused
    /// knows it, but others who see the error may not.
    pub fn message(self, user: &[u8], command: &Command, args: Args<'_>, verbose: bool) -> String {
        let user = shown(user);
        let object = || shown(self.object(command, args));
        match (self, verbose) {
            (Denied::Command, _) => {
                format!(
                    "User {user} has no permissions to run the '{}' command",
                    object()
                )
            }
            (Denied::Key(_), true) => {
                format!(
                    "User {user} has no permissions to access the '{}' key",
                    object()
                )
            }
            (Denied::Channel(_), true) => format!(
                "User {user} has no permissions to access the '{}' channel",
                object()
            ),
            (Denied::Key(_), false) => "No permissions to access a key".into(),
            (Denied::Channel(_), false) => "No permissions to access a channel".into(),
        }
    }
}

/// The keys of a request, found when first asked for.
struct Keys<'a> {
    command: &'a Command,
    args: Args<'a>,
    found: Option<CheckedKeys>,
}

impl Keys<'_> {
    fn get(&mut self) -> &CheckedKeys {
        self.found.get_or_insert_with(|| {
            let mut found = CheckedKeys::new();
            self.command.checked_keys(self.args, &mut found);
            found
        })
    }
}

impl Selector {
    fn check(&self, command: &Command, args: Args<'_>, keys: &mut Keys<'_>) -> Result<(), Denied> {
        if !command.flags.has(Flags::NO_AUTH) && !self.commands.allow(command, args) {
            return Err(Denied::Command);
        }
        if !self.all_keys && command.has_keys() {
            self.check_keys(command, args, keys)?;
        }
        let named = match command.spec.channels {
            Channels::None => return Ok(()),
            Channels::Publish => 1..args.len().min(2),
            Channels::Subscribe | Channels::SubscribePatterns => 1..args.len(),
        };
        let are_patterns = command.spec.channels == Channels::SubscribePatterns;
        for (at, channel) in args.iter().enumerate().take(named.end).skip(named.start) {
            if !self.allows_channel(channel, are_patterns) {
                return Err(Denied::Channel(at));
            }
        }
        Ok(())
    }

    fn check_keys(
        &self,
        command: &Command,
        args: Args<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<(), Denied> {
        // Most commands have one key at this place, and most patterns allow both.
        if command.single_key
            && let Some(key) = args.get(1)
            && self.allows_key(key, READ | WRITE)
        {
            return Ok(());
        }
        for (at, flags) in keys.get() {
            let key = args.get(*at).copied().unwrap_or_default();
            if !self.allows_key(key, access(*flags)) {
                return Err(Denied::Key(*at));
            }
        }
        Ok(())
    }
}

impl User {
    /// Whether a request may run: one selector must allow all of it. O(selectors, patterns and
    /// keys); without allocation where keys are few and at fixed places.
    ///
    /// # Errors
    /// The fault that comes last in the order command, key, channel, and then in the request.
    pub fn check(&self, command: &Command, args: Args<'_>) -> Result<(), Denied> {
        let mut keys = Keys {
            command,
            args,
            found: None,
        };
        let mut worst = Denied::Command;
        for selector in self.selectors() {
            match selector.check(command, args, &mut keys) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// Whether a selector that allows the request also lets every key be read: for commands that
    /// read keys whose names only they can tell.
    pub fn check_reading_all(&self, command: &Command, args: Args<'_>) -> bool {
        let mut keys = Keys {
            command,
            args,
            found: None,
        };
        self.selectors()
            .any(|one| one.reads_all() && one.check(command, args, &mut keys).is_ok())
    }

    /// Whether some selector lets a channel, or a pattern to listen to, be used.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors()
            .any(|one| one.allows_channel(channel, is_pattern))
    }

    /// Whether nothing that `before` let be listened to is lost: all of its channel patterns are
    /// still there.
    pub fn keeps_channels_of(&self, before: &User) -> bool {
        let all = |user: &User| user.selectors().any(|one| one.channels().is_none());
        if all(self) {
            return true;
        }
        let own: Vec<_> = self.selectors().filter_map(Selector::channels).collect();
        let has = |pattern: &[u8]| {
            own.iter()
                .any(|some| some.iter().any(|one| **one == *pattern))
        };
        !all(before)
            && before
                .selectors()
                .filter_map(Selector::channels)
                .flatten()
                .all(|pattern| has(pattern))
    }
}
