//! The words that rules are written in, and what can be wrong with one.

use crate::command::Registry;

/// What rules mean besides their words.
#[derive(Clone, Copy, Debug)]
pub struct Grammar<'a> {
    /// The commands that there are.
    pub registry: &'a Registry,
    /// New selectors may use all channels (`acl-pubsub-default allchannels`).
    pub all_channels: bool,
}

/// What is wrong with a rule. `Display` gives Redis's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// No command or category has this name.
    #[error("Unknown command or category name in ACL")]
    Unknown,
    /// Not a rule.
    #[error("Syntax error")]
    Syntax,
    /// A key pattern would add nothing.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    AllKeys,
    /// A channel pattern would add nothing.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    AllChannels,
    /// The user has no such password.
    #[error("The password you are trying to remove from the user does not exist")]
    NoPassword,
    /// Not a SHA-256 in lower-case hex.
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
    )]
    Hash,
    /// `+config|get|x`.
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgument,
}

/// Joins the words of each selector that was split at its blanks: `(~a`, `+get)`.
///
/// # Errors
/// The index of the word that opens a selector which nothing closes.
pub fn merge_selectors(words: &[&[u8]]) -> Result<Vec<Vec<u8>>, usize> {
    let mut merged = Vec::with_capacity(words.len());
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (at, word) in words.iter().enumerate() {
        let closes = word.last() == Some(&b')');
        match open.take() {
            None if word.first() == Some(&b'(') && !closes => open = Some((at, word.to_vec())),
            None => merged.push(word.to_vec()),
            Some((start, mut selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if closes {
                    merged.push(selector);
                } else {
                    open = Some((start, selector));
                }
            }
        }
    }
    match open {
        Some((start, _)) => Err(start),
        None => Ok(merged),
    }
}
