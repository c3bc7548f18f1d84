//! The ACL file: ACL LOAD, ACL SAVE, and reading it at the start.
//!
//! A line is `user NAME RULE...`, separated by single blanks without quoting; there are no
//! comments, since the file is written anew by ACL SAVE. It is loaded as a whole or not at all.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use basalt_engine::acl::{Grammar, RuleError, User, has_blanks, merge_selectors};
use basalt_engine::shown;

use crate::client::Conn;
use crate::config::replace_file;
use crate::config::text::os_reason;
use crate::server::Server;

/// A longer file is not one of users.
const MAX_BYTES: u64 = 64 << 20;

/// Users with their rules.
type Users = Vec<(Vec<u8>, User)>;

fn trimmed<'a>(word: &'a [u8], blanks: &[u8]) -> &'a [u8] {
    let kept = |byte: &u8| !blanks.contains(byte);
    let start = word.iter().position(kept).unwrap_or(word.len());
    let end = word.iter().rposition(kept).map_or(start, |last| last + 1);
    word.get(start..end).unwrap_or_default()
}

/// Reads the users of a file's text.
///
/// # Errors
/// All that is wrong, as one line, with the name of the file and the numbers of lines.
fn parse(text: &[u8], name: &str, grammar: &Grammar<'_>) -> Result<Users, String> {
    let (mut users, mut names, mut errors) = (Users::new(), HashSet::new(), String::new());
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let at = format!("{name}:{}", index + 1);
        let line = trimmed(line, b" \t\r\n");
        if line.is_empty() {
            continue;
        }
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let [b"user", user, rules @ ..] = words.as_slice() else {
            errors += &format!("{at} should start with user keyword followed by the username. ");
            continue;
        };
        if has_blanks(user) {
            let user = shown(user);
            errors += &format!("'{at}: username '{user}' contains invalid characters. ");
            continue;
        }
        if !names.insert(user.to_vec()) {
            let (user, line) = (shown(user), index + 1);
            errors += &format!("WARNING: Duplicate user '{user}' found on line {line}. ");
            continue;
        }
        users.push((user.to_vec(), parse_rules(rules, &at, grammar, &mut errors)));
    }
    if errors.is_empty() {
        return Ok(users);
    }
    Err(errors
        + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
}

/// The user that these rules make; what is wrong with them is added to the errors.
fn parse_rules(rules: &[&[u8]], at: &str, grammar: &Grammar<'_>, errors: &mut String) -> User {
    let mut user = User::new(grammar);
    let Ok(rules) = merge_selectors(rules) else {
        *errors += &format!("{at}: Unmatched parenthesis in selector definition.");
        return user;
    };
    // Later ones may only be wrong because the first was.
    let mut told = false;
    for rule in &rules {
        let rule = trimmed(rule, b"\t\r\n");
        match user.apply(grammar, rule) {
            Ok(()) => {}
            Err(error @ RuleError::Unknown) => {
                let rule = shown(rule);
                *errors += &format!("{at}: Error in applying operation '{rule}': {error}. ");
            }
            // Not with the rule, which may hold a password.
            Err(error) if !told => {
                *errors += &format!("{at}: {error}. ");
                told = true;
            }
            Err(_) => {}
        }
    }
    user
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::from_raw_os_error(
            rustix::io::Errno::FBIG.raw_os_error(),
        ));
    }
    Ok(text)
}

impl Server {
    /// Puts the users of the ACL file in the place of all there are.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub fn load_acl_file(&self, conn: Option<&mut Conn>) -> Result<(), String> {
        let name = self.config.load().aclfile.clone();
        let text = read(Path::new(&name)).map_err(|error| {
            let reason = os_reason(&error);
            format!("Error loading ACLs, opening file '{name}': {reason}")
        })?;
        self.replace_users(conn, parse(&text, &name, &self.acl_grammar())?);
        Ok(())
    }

    /// Writes all users to the ACL file, in one step.
    ///
    /// # Errors
    /// That of the system call that failed; the file is then as it was.
    pub fn save_acl_file(&self) -> io::Result<()> {
        let name = self.config.load().aclfile.clone();
        let lines = self.accounts.lines();
        let text: Vec<u8> = lines
            .iter()
            .flat_map(|line| [b"user ", &line[..], b"\n"].concat())
            .collect();
        replace_file(Path::new(&name), &text)
    }
}
