//! What a user may do: the rules, how they are written, and the check of one request.
//!
//! ```text
//! user alice on #9f86.. ~cache:* resetchannels -@all +@read +select|0 (%R~log:* &news +get +subscribe)
//!            '--- User ---' '--------------- root selector ----------' '--------- a selector ---------'
//! ```
//!
//! A request is allowed when *one* selector allows all of it: the command, each key for what is
//! done with it, and each channel. Everything here is a value without I/O or locks: whoever
//! changes a user makes a copy, applies rules to it and puts it in the place of the old one when
//! all of them were right. Names of users, files and connections are the host's.

mod check;
mod commands;
mod rule;
mod selector;
#[cfg(test)]
mod tests;
mod user;

pub use check::Denied;
pub use rule::{Grammar, RuleError, merge_selectors};
pub use selector::Selector;
pub use user::User;

/// Whether a word holds a blank or a NUL: neither may be in names, patterns and first arguments,
/// or what is written could not be read again.
pub fn has_blanks(word: &[u8]) -> bool {
    word.iter()
        .any(|byte| matches!(byte, 0 | b' ' | b'\t'..=b'\r'))
}
