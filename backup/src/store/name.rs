//! Names of objects: short, portable paths.
//!
//! The alphabet is what a file system, S3, GCS and Azure all keep as it is, so that a repository can be copied between
//! them with any tool. Nothing that a name can say leaves the store's root.

use std::fmt;
use std::str::FromStr;

/// The longest name in bytes; S3 allows 1024 with everything that is put before it.
pub const MAX_NAME_BYTES: usize = 600;
/// The longest part between slashes in bytes; file systems allow 255, of which a store needs some for a temporary name.
pub const MAX_SEGMENT_BYTES: usize = 200;

/// A name of an object or a folder: one or more segments of `A-Z a-z 0-9 . _ = -` joined by `/`, each of which begins
/// with a letter or a digit. Names are ordered by their bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Box<str>);

/// Why a text is no [`ObjectName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The whole is too long.
    #[error("an object name of {0} bytes is longer than {MAX_NAME_BYTES}")]
    Long(usize),
    /// A segment is empty or too long.
    #[error(
        "a segment of {length} bytes at byte {at} of an object name is not of 1 to {MAX_SEGMENT_BYTES} bytes"
    )]
    Segment {
        /// Where the segment begins.
        at: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// A byte is not in the alphabet, or not allowed to begin a segment.
    #[error("byte {byte:#04x} is not allowed at byte {at} of an object name")]
    Byte {
        /// Where the byte is.
        at: usize,
        /// The byte.
        byte: u8,
    },
}

impl ObjectName {
    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        if text.len() > MAX_NAME_BYTES {
            return Err(InvalidName::Long(text.len()));
        }
        let mut at = 0;
        for segment in text.split('/') {
            if segment.is_empty() || segment.len() > MAX_SEGMENT_BYTES {
                let length = segment.len();
                return Err(InvalidName::Segment { at, length });
            }
            let wrong = segment.bytes().enumerate().find(|&(index, byte)| {
                !(byte.is_ascii_alphanumeric() || (index > 0 && b"._=-".contains(&byte)))
            });
            if let Some((index, byte)) = wrong {
                return Err(InvalidName::Byte {
                    at: at + index,
                    byte,
                });
            }
            at += segment.len() + 1;
        }
        Ok(ObjectName(text.into()))
    }

    /// This name with `/` and more behind it.
    pub fn join(&self, rest: &str) -> Result<Self, InvalidName> {
        ObjectName::new(&format!("{self}/{rest}"))
    }

    /// The name as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name lies below `folder`.
    pub fn is_in(&self, folder: &ObjectName) -> bool {
        self.0
            .strip_prefix(folder.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl FromStr for ObjectName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        ObjectName::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet() {
        for good in ["a", "0", "a/b", "x.y_z=1-2/C.rdb.zst", "A..b"] {
            assert_eq!(ObjectName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", ".hidden", "-a", "a b", "a\0",
            "a\\b", "a%2e", "a#1", "ä", "a\n",
        ] {
            assert!(ObjectName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errors_say_where() {
        let name = |text: &str| ObjectName::new(text).unwrap_err();
        assert_eq!(name("ab/c!d"), InvalidName::Byte { at: 4, byte: b'!' });
        assert_eq!(name("ab//d"), InvalidName::Segment { at: 3, length: 0 });
    }

    #[test]
    fn lengths() {
        let segment = "s".repeat(MAX_SEGMENT_BYTES);
        assert!(ObjectName::new(&segment).is_ok());
        assert!(ObjectName::new(&format!("{segment}s")).is_err());
        assert!(ObjectName::new(&format!("{segment}/{segment}/{}", "s".repeat(198))).is_ok());
        let long = format!("{segment}/{segment}/{}", "s".repeat(199));
        assert_eq!(ObjectName::new(&long), Err(InvalidName::Long(601)));
    }

    #[test]
    fn folders() {
        let folder = ObjectName::new("a/b").unwrap();
        assert!(folder.join("c").unwrap().is_in(&folder));
        assert!(folder.join("c/d").unwrap().is_in(&folder));
        assert!(!folder.is_in(&folder));
        assert!(!ObjectName::new("a/bc").unwrap().is_in(&folder));
        assert!(folder.join("../c").is_err());
    }
}
