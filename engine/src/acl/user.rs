//! A user: passwords, and selectors of which the first, the root, is written without parentheses.

use basalt_formats::words::split_args;
use sha2::{Digest, Sha256};

use super::rule::{Grammar, RuleError};
use super::selector::Selector;

/// SHA-256 of a password.
type Hash = [u8; 32];

/// What a user may do and how it logs in.
#[derive(Clone, Debug)]
pub struct User {
    enabled: bool,
    nopass: bool,
    skips_checks: bool,
    passwords: Vec<Hash>,
    root: Selector,
    more: Vec<Selector>,
}

/// The hash that a password is kept as.
fn hashed(password: &[u8]) -> Hash {
    Sha256::digest(password).into()
}

/// Reads 64 lower-case hex digits.
fn parse_hash(text: &[u8]) -> Result<Hash, RuleError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(RuleError::Hash),
    };
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() {
        return Err(RuleError::Hash);
    }
    for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(hash)
}

/// A hash as it is written.
fn hex(hash: &Hash) -> Vec<u8> {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.into_bytes()
}

impl User {
    /// A new user: disabled, without passwords, who may do nothing.
    pub fn new(grammar: &Grammar<'_>) -> User {
        User {
            enabled: false,
            nopass: false,
            skips_checks: false,
            passwords: Vec::new(),
            root: Selector::new(grammar),
            more: Vec::new(),
        }
    }

    /// The user of connections that did not log in, as it is at first: without a password, and
    /// allowed everything.
    pub fn all_powerful(grammar: &Grammar<'_>) -> User {
        let mut user = User::new(grammar);
        (user.enabled, user.nopass) = (true, true);
        user.root.all_keys = true;
        user.root.all_channels = true;
        user.root.commands.set_all(grammar, true);
        user
    }

    /// Applies one rule.
    ///
    /// # Errors
    /// What is wrong with it; the user has not changed then.
    pub fn apply(&mut self, grammar: &Grammar<'_>, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if rule.is_empty() {
            // Nothing is asked for.
        } else if is("on") || is("off") {
            self.enabled = is("on");
        } else if is("skip-sanitize-payload") || is("sanitize-payload") {
            self.skips_checks = is("skip-sanitize-payload");
        } else if is("nopass") || is("resetpass") {
            self.nopass = is("nopass");
            self.passwords.clear();
        } else if is("clearselectors") {
            self.more.clear();
        } else if is("reset") {
            *self = User::new(grammar);
        } else {
            match rule {
                [b'>', password @ ..] => self.add_password(hashed(password)),
                [b'#', hash @ ..] => self.add_password(parse_hash(hash)?),
                [b'<', password @ ..] => self.remove_password(hashed(password))?,
                [b'!', hash @ ..] => self.remove_password(parse_hash(hash)?)?,
                [b'(', rules @ .., b')'] => {
                    let mut selector = Selector::new(grammar);
                    for rule in split_args(rules).ok_or(RuleError::Syntax)? {
                        selector.apply(grammar, &rule)?;
                    }
                    self.more.push(selector);
                }
                _ => self.root.apply(grammar, rule)?,
            }
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Hash) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.nopass = false;
    }

    fn remove_password(&mut self, hash: Hash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|own| *own == hash);
        self.passwords.remove(at.ok_or(RuleError::NoPassword)?);
        Ok(())
    }

    /// Makes this the only password; without one, any will do.
    pub fn set_password(&mut self, password: Option<&[u8]>) {
        self.passwords.clear();
        self.nopass = password.is_none();
        self.passwords.extend(password.map(hashed));
    }

    /// Whether it may log in.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether it needs no password.
    pub fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// Hashes of its passwords.
    pub fn passwords(&self) -> &[[u8; 32]] {
        &self.passwords
    }

    /// Whether every request is allowed, so that none need be looked at.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors().any(Selector::allows_all)
    }

    /// The root and the other selectors, in order.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.more)
    }

    /// The words for what is switched on or off, in the order of ACL LIST.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let checks = if self.skips_checks {
            "skip-sanitize-payload"
        } else {
            "sanitize-payload"
        };
        [
            Some(if self.enabled { "on" } else { "off" }),
            self.nopass.then_some("nopass"),
            Some(checks),
        ]
        .into_iter()
        .flatten()
    }

    /// Its passwords as ACL GETUSER shows them.
    pub fn hex_passwords(&self) -> impl Iterator<Item = Vec<u8>> {
        self.passwords.iter().map(hex)
    }

    /// All rules as one text: that of ACL LIST, of ACL files and of `user` lines.
    pub fn describe(&self) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = self.flags().map(|flag| flag.as_bytes().to_vec()).collect();
        parts.extend(self.hex_passwords().map(|hash| [b"#", &hash[..]].concat()));
        parts.push(self.root.describe());
        let more = self.more.iter();
        parts.extend(more.map(|one| [b"(", &one.describe()[..], b")"].concat()));
        parts.join(&b' ')
    }
}
