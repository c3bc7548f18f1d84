//! Error replies. The text is part of the protocol: clients parse the first
//! word, test suites compare the rest, so each constant text lives here once.

use std::borrow::Cow;
use std::fmt;

/// An error reply, without the leading `-` and the trailing CRLF; the first
/// word is the error code (`ERR`, `WRONGTYPE`, ...).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplyError(pub Cow<'static, str>);

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        impl ReplyError { $($(#[$doc])* pub const $name: ReplyError = ReplyError(Cow::Borrowed($text));)* }
    };
}

texts! {
    /// The key holds another type.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// Words in the wrong place.
    SYNTAX = "ERR syntax error";
    /// Not a strict decimal 64-bit integer.
    NOT_INTEGER = "ERR value is not an integer or out of range";
    /// Not a floating point number.
    NOT_FLOAT = "ERR value is not a valid float";
    /// An index outside the value.
    INDEX_OUT_OF_RANGE = "ERR index out of range";
    /// A value outside what is allowed.
    OUT_OF_RANGE = "ERR value is out of range";
    /// A value that must be positive and is not.
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    /// The key does not exist.
    NO_SUCH_KEY = "ERR no such key";
    /// Result of an increment outside 64 bits.
    OVERFLOW = "ERR increment or decrement would overflow";
    /// Result of a float increment not finite.
    NAN_OR_INF = "ERR increment would produce NaN or Infinity";
    /// String longer than `proto-max-bulk-len`.
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// A cursor that is no unsigned 64-bit integer.
    INVALID_CURSOR = "ERR invalid cursor";
    /// A database number out of range.
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    /// A timeout that is not a float.
    TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range";
    /// A timeout that is not an integer.
    TIMEOUT_NOT_INTEGER = "ERR timeout is not an integer or out of range";
    /// A timeout below zero.
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    /// A score bound that cannot be parsed.
    MIN_MAX_NOT_FLOAT = "ERR min or max is not a float";
    /// A lex bound that cannot be parsed.
    MIN_MAX_NOT_LEX = "ERR min or max not valid string range item";
    /// Transaction refused because queueing failed.
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    /// EXEC outside MULTI.
    EXEC_WITHOUT_MULTI = "ERR EXEC without MULTI";
    /// DISCARD outside MULTI.
    DISCARD_WITHOUT_MULTI = "ERR DISCARD without MULTI";
    /// MULTI inside MULTI.
    NESTED_MULTI = "ERR MULTI calls can not be nested";
    /// WATCH inside MULTI.
    WATCH_IN_MULTI = "ERR WATCH inside MULTI is not allowed";
    /// A command that MULTI cannot hold.
    NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
    /// RESTORE over an existing key.
    BUSY_KEY = "BUSYKEY Target key name already exists.";
    /// Writes need more replicas than there are (`min-replicas-to-write`).
    NO_REPLICAS = "NOREPLICAS Not enough good replicas to write.";
    /// Out of memory under `maxmemory`.
    OOM = "OOM command not allowed when used memory > 'maxmemory'.";
    /// Not authenticated.
    NO_AUTH = "NOAUTH Authentication required.";
    /// Data is not complete yet.
    LOADING = "LOADING Redis is loading the dataset in memory";
    /// Writes are refused because snapshots fail.
    SNAPSHOTS_FAIL = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    /// Same key as source and destination.
    SAME_OBJECT = "ERR source and destination objects are the same";
}

impl ReplyError {
    /// An error with the code `ERR` and this message.
    pub fn err(message: impl fmt::Display) -> ReplyError {
        ReplyError(Cow::Owned(format!("ERR {message}")))
    }

    /// An error with its own code as first word.
    pub fn raw(text: impl Into<Cow<'static, str>>) -> ReplyError {
        ReplyError(text.into())
    }

    /// `wrong number of arguments` for a command (`name` or `container|sub`).
    pub fn wrong_arity(full_name: &str) -> ReplyError {
        ReplyError::err(format_args!(
            "wrong number of arguments for '{full_name}' command"
        ))
    }

    /// `invalid expire time` in a command.
    pub fn invalid_expire(full_name: &str) -> ReplyError {
        ReplyError::err(format_args!("invalid expire time in '{full_name}' command"))
    }

    /// The error of a container called with a subcommand it does not have.
    pub fn unknown_subcommand(container: &str, sub: &[u8]) -> ReplyError {
        let sub = shown(&sub[..sub.len().min(128)]);
        ReplyError::err(format_args!(
            "unknown subcommand '{sub}'. Try {} HELP.",
            container.to_uppercase()
        ))
    }

    /// The code, i.e. the first word.
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or("ERR")
    }
}

/// Bytes of 0x80 and above in a word stand in error texts as these characters.
const RAW: u32 = 0xf700;

/// A word of a request for use in an error text: up to its first NUL, as C prints it, with every
/// byte kept as it is on the wire.
pub fn shown(word: &[u8]) -> String {
    let word = word.split(|&b| b == 0).next().unwrap_or_default();
    word.iter()
        .map(|&b| {
            if b < 0x80 {
                char::from(b)
            } else {
                char::from_u32(RAW + u32::from(b)).unwrap_or('?')
            }
        })
        .collect()
}

impl ReplyError {
    /// The text as bytes for the wire.
    pub fn wire_bytes(&self) -> Cow<'_, [u8]> {
        if self.0.is_ascii() {
            return Cow::Borrowed(self.0.as_bytes());
        }
        let mut bytes = Vec::with_capacity(self.0.len());
        for c in self.0.chars() {
            match u8::try_from(u32::from(c).wrapping_sub(RAW)) {
                Ok(raw) => bytes.push(raw),
                Err(_) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Cow::Owned(bytes)
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReplyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_bytes_up_to_a_nul() {
        let error = ReplyError::err(format_args!("bad '{}'", shown(b"a\x8b\xffz\0hidden")));
        assert_eq!(error.wire_bytes().as_ref(), b"ERR bad 'a\x8b\xffz'");
        assert_eq!(
            ReplyError::SYNTAX.wire_bytes().as_ref(),
            b"ERR syntax error"
        );
    }
}
