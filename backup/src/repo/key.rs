//! The repository key: 32 random bytes from which the keys for digests and for the MAC of manifests come.
//!
//! A server keeps it beside its data; the repository keeps it encrypted to the recipients. So whoever can decrypt can
//! authenticate, and the server can compare digests with those of its earlier backups.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;

use crate::store::{BackupStore, ObjectName, StoreError};

use super::crypt::{CryptError, Identities, Recipients};
use super::layout::KEYS;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of an encrypted key at most: a header with many recipients.
const MAX_OBJECT_BYTES: u64 = 1 << 20;

/// See the head of this file. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RepositoryKey([u8; KEY_BYTES]);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file or object is not a key.
    #[error("{what} has {bytes} bytes, a repository key has 32")]
    Length {
        /// Which.
        what: String,
        /// Its length.
        bytes: usize,
    },
    /// The object holds another key than its name says.
    #[error("{0} does not hold the key it is named after")]
    Mismatch(ObjectName),
    /// The key is encrypted, and there is no identity.
    #[error("{0} is encrypted: an identity is needed")]
    NeedsIdentity(ObjectName),
    /// The object cannot be opened.
    #[error("{name}: {source}")]
    Crypt {
        /// Which.
        name: ObjectName,
        /// Why.
        source: CryptError,
    },
    /// The store's reason.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The local file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Debug for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepositoryKey({})", self.name())
    }
}

impl RepositoryKey {
    /// A key of these bytes, for tests.
    pub fn of(bytes: [u8; KEY_BYTES]) -> RepositoryKey {
        RepositoryKey(bytes)
    }

    /// Its name, which does not give it away.
    pub fn name(&self) -> String {
        let mut name = blake3::hash(&self.0).to_string();
        name.truncate(32);
        name
    }

    /// What digests are keyed with.
    pub fn digest_key(&self) -> [u8; KEY_BYTES] {
        blake3::derive_key("basalt 2026 backup digest", &self.0)
    }

    /// What the MACs of segments of the log are keyed with.
    pub fn segment_key(&self) -> [u8; KEY_BYTES] {
        blake3::derive_key("basalt 2026 backup segment", &self.0)
    }

    /// The MAC of a manifest's bytes.
    pub fn mac(&self, bytes: &[u8]) -> blake3::Hash {
        let key = blake3::derive_key("basalt 2026 backup manifest", &self.0);
        blake3::keyed_hash(&key, bytes)
    }

    /// Reads the key in this file, or draws one and writes the file, readable by its owner only.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Length`].
    pub fn load_or_create(path: &Path) -> Result<RepositoryKey, KeyError> {
        let failed = |source| KeyError::Io {
            path: path.display().to_string(),
            source,
        };
        match fs::read(path) {
            Ok(bytes) => RepositoryKey::of_bytes(&bytes, || path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = [0; KEY_BYTES];
                getrandom::fill(&mut bytes)
                    .map_err(|error| failed(io::Error::other(error.to_string())))?;
                write_secret(path, &bytes).map_err(failed)?;
                Ok(RepositoryKey(bytes))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn of_bytes(bytes: &[u8], what: impl FnOnce() -> String) -> Result<RepositoryKey, KeyError> {
        let key = bytes.try_into().map_err(|_| KeyError::Length {
            what: what(),
            bytes: bytes.len(),
        })?;
        Ok(RepositoryKey(key))
    }

    /// Where a repository keeps it for these recipients.
    pub fn object(&self, recipients: &Recipients) -> String {
        if recipients.is_empty() {
            return format!("{KEYS}/{}.key", self.name());
        }
        let mut set = blake3::hash(recipients.fingerprints().join(",").as_bytes()).to_string();
        set.truncate(8);
        format!("{KEYS}/{}-{set}.age", self.name())
    }

    /// Makes sure that the repository has it; the name of the object.
    pub fn publish(
        &self,
        store: &dyn BackupStore,
        recipients: &Recipients,
    ) -> Result<ObjectName, KeyError> {
        let text = self.object(recipients);
        let name = ObjectName::new(&text).map_err(|error| KeyError::Io {
            path: text,
            source: io::Error::other(error),
        })?;
        let sealed = recipients.seal(&self.0).map_err(|source| KeyError::Crypt {
            name: name.clone(),
            source,
        })?;
        match store.put_new(&name, Bytes::from(sealed)) {
            // Encryption is different each time; restoring compares the key with the name.
            Ok(()) | Err(StoreError::AlreadyExists { .. }) => Ok(name),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a key from a repository.
    pub fn fetch(
        store: &dyn BackupStore,
        name: &ObjectName,
        identities: &Identities,
    ) -> Result<RepositoryKey, KeyError> {
        let body = store.get(name, MAX_OBJECT_BYTES)?;
        let plain = if name.as_str().ends_with(".age") {
            if identities.is_empty() {
                return Err(KeyError::NeedsIdentity(name.clone()));
            }
            identities
                .open_short(&body, KEY_BYTES as u64)
                .map_err(|source| KeyError::Crypt {
                    name: name.clone(),
                    source,
                })?
        } else {
            body.to_vec()
        };
        let key = RepositoryKey::of_bytes(&plain, || name.to_string())?;
        let named = name.as_str().strip_prefix(KEYS).unwrap_or_default();
        if named.get(1..33) != Some(&key.name()) {
            return Err(KeyError::Mismatch(name.clone()));
        }
        Ok(key)
    }
}

/// Writes a new file that only its owner can read.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is one.
pub fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::crypt::NewIdentity;
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn a_file_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = RepositoryKey::load_or_create(&path).unwrap();
        assert_eq!(RepositoryKey::load_or_create(&path).unwrap(), key);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, b"short").unwrap();
        assert!(RepositoryKey::load_or_create(&path).is_err());
    }

    #[test]
    fn a_repository_keeps_it_for_recipients() {
        let store = MemoryStore::new();
        let key = RepositoryKey::of([7; 32]);
        let new = NewIdentity::generate("now");
        let recipients = Recipients::parse(&new.recipient).unwrap();
        let name = key.publish(&store, &recipients).unwrap();
        assert_eq!(key.publish(&store, &recipients).unwrap(), name);
        let identities = Identities::parse(&new.file(None).unwrap(), || None).unwrap();
        assert_eq!(
            RepositoryKey::fetch(&store, &name, &identities).unwrap(),
            key
        );
        assert!(RepositoryKey::fetch(&store, &name, &Identities::default()).is_err());
        // Another key under its name.
        let other = recipients.seal(&[8; 32]).unwrap();
        store.put(&name, other.into()).unwrap();
        let error = RepositoryKey::fetch(&store, &name, &identities).unwrap_err();
        assert!(matches!(error, KeyError::Mismatch(_)), "{error}");
        let plain = key.publish(&store, &Recipients::default()).unwrap();
        let fetched = RepositoryKey::fetch(&store, &plain, &Identities::default());
        assert_eq!(fetched.unwrap(), key);
    }
}
