//! The scripts that EVALSHA finds, by their SHA1.

use std::collections::HashMap;
use std::sync::Arc;

use super::ScriptFlags;

/// A script in the cache.
pub(super) struct Script {
    /// Its source as it was sent.
    pub body: Arc<[u8]>,
    /// What its first line says.
    pub flags: ScriptFlags,
}

/// Scripts by SHA1 in lower-case hex.
#[derive(Default)]
pub(super) struct Cache {
    scripts: HashMap<[u8; 40], Script>,
    bytes: usize,
}

impl Cache {
    pub fn insert(&mut self, sha: [u8; 40], body: &[u8], flags: ScriptFlags) {
        let script = Script {
            body: body.into(),
            flags,
        };
        if self.scripts.insert(sha, script).is_none() {
            self.bytes += body.len() + sha.len();
        }
    }

    /// A script by its SHA1 in any letter case.
    pub fn get(&self, sha: &[u8]) -> Option<&Script> {
        let mut key: [u8; 40] = sha.try_into().ok()?;
        key.make_ascii_lowercase();
        self.scripts.get(&key)
    }

    pub fn clear(&mut self) {
        *self = Cache::default();
    }

    /// How many there are, and the bytes they take.
    pub fn size(&self) -> (usize, usize) {
        let table = self.scripts.capacity() * size_of::<([u8; 40], Script)>();
        (self.scripts.len(), self.bytes + table)
    }
}
