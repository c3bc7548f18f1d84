//! The scripts that EVALSHA finds, by their SHA1.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use super::ScriptFlags;

/// Anything by SHA1 in lower-case hex.
pub(super) type BySha<T> = HashMap<[u8; 40], T, ShaHash>;

/// Hashes a SHA1, which is as good as random, by 64 bits of it under a secret key: who looks for
/// scripts whose places collide would have to find them equal in all of these.
#[derive(Clone)]
pub(super) struct ShaHash {
    key: [u64; 2],
    hash: u64,
}

impl Default for ShaHash {
    fn default() -> ShaHash {
        let secret = RandomState::new();
        ShaHash {
            key: [secret.hash_one(0_u8), secret.hash_one(1_u8)],
            hash: 0,
        }
    }
}

impl BuildHasher for ShaHash {
    type Hasher = ShaHash;
    fn build_hasher(&self) -> ShaHash {
        self.clone()
    }
}

impl Hasher for ShaHash {
    fn write(&mut self, digits: &[u8]) {
        let (words, _) = digits.as_chunks::<8>();
        let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        let [a, b] = [word(0) ^ self.key[0], word(1) ^ self.key[1]];
        let product = u128::from(a) * u128::from(b);
        self.hash ^= (product as u64) ^ ((product >> 64) as u64);
    }
    /// The length, which is always the same.
    fn write_usize(&mut self, _: usize) {}
    fn finish(&self) -> u64 {
        self.hash
    }
}

/// How a script came into the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was run; it may be forgotten.
    Eval,
    /// SCRIPT LOAD: it is there until SCRIPT FLUSH.
    Load,
}

/// A script in the cache.
pub(super) struct Script {
    /// Its source as it was sent.
    pub body: Arc<[u8]>,
    /// What its first line says.
    pub flags: ScriptFlags,
    /// Bytes it takes in the Lua state.
    compiled_bytes: usize,
    origin: Origin,
    /// When it was last used, in uses of any script.
    used: u64,
}

impl Script {
    fn bytes(&self) -> usize {
        self.body.len() + self.compiled_bytes
    }
}

/// Scripts by SHA1.
#[derive(Default)]
pub(super) struct Cache {
    scripts: BySha<Script>,
    bytes: usize,
    uses: u64,
    /// Bytes of the scripts that may be forgotten.
    forgettable: usize,
    /// Scripts that were forgotten.
    pub evicted: u64,
}

impl Cache {
    pub fn insert(
        &mut self,
        sha: [u8; 40],
        body: &[u8],
        flags: ScriptFlags,
        compiled_bytes: usize,
        origin: Origin,
    ) {
        self.uses += 1;
        let script = Script {
            body: body.into(),
            flags,
            compiled_bytes,
            origin,
            used: self.uses,
        };
        self.bytes += body.len() + sha.len();
        if origin == Origin::Eval {
            self.forgettable += script.bytes();
        }
        if let Some(old) = self.scripts.insert(sha, script) {
            self.left(&old);
        }
    }

    /// A script by its SHA1 in any letter case.
    pub fn get(&self, sha: &[u8]) -> Option<&Script> {
        self.scripts.get(&lower(sha)?)
    }

    /// As [`Cache::get`], for a script that is going to run.
    pub fn use_script(&mut self, sha: &[u8]) -> Option<&Script> {
        self.uses += 1;
        let script = self.scripts.get_mut(&lower(sha)?)?;
        script.used = self.uses;
        Some(script)
    }

    /// Keeps a script that is there until the cache is cleared; whether there is one.
    pub fn keep(&mut self, sha: &[u8; 40]) -> bool {
        let Some(script) = self.scripts.get_mut(sha) else {
            return false;
        };
        if script.origin == Origin::Eval {
            script.origin = Origin::Load;
            self.forgettable -= script.bytes();
        }
        true
    }

    /// Forgets scripts that were only run, those not used for longest first, when they take more
    /// than so many bytes; a quarter of the bytes at once, so that this is seldom. The newest
    /// stays, whatever it takes.
    pub fn evict(&mut self, most: usize) -> Vec<[u8; 40]> {
        if self.forgettable <= most {
            return Vec::new();
        }
        let mut oldest: Vec<_> = self
            .scripts
            .iter()
            .filter(|(_, script)| script.origin == Origin::Eval && script.used < self.uses)
            .map(|(sha, script)| (script.used, *sha))
            .collect();
        oldest.sort_unstable();
        let mut gone = Vec::new();
        for (_, sha) in oldest {
            if self.forgettable <= most / 4 * 3 {
                break;
            }
            if let Some(script) = self.scripts.remove(&sha) {
                self.left(&script);
                gone.push(sha);
            }
        }
        self.evicted += gone.len() as u64;
        gone
    }

    fn left(&mut self, script: &Script) {
        self.bytes -= script.body.len() + 40;
        if script.origin == Origin::Eval {
            self.forgettable -= script.bytes();
        }
    }

    pub fn clear(&mut self) {
        let evicted = self.evicted;
        *self = Cache::default();
        self.evicted = evicted;
    }

    /// How many there are, and the bytes they take.
    pub fn size(&self) -> (usize, usize) {
        let table = self.scripts.capacity() * size_of::<([u8; 40], Script)>();
        (self.scripts.len(), self.bytes + table)
    }
}

fn lower(sha: &[u8]) -> Option<[u8; 40]> {
    let mut key: [u8; 40] = sha.try_into().ok()?;
    key.make_ascii_lowercase();
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(n: u8) -> [u8; 40] {
        [n; 40]
    }

    #[test]
    fn places_of_scripts_are_spread() {
        let state = ShaHash::default();
        let digits = |n: u32| -> [u8; 40] {
            let text = format!("{:08x}{:032}", n.wrapping_mul(0x9e37_79b9), 0);
            text.as_bytes().try_into().expect("40 digits")
        };
        let mut low = vec![0_u32; 256];
        let mut high = vec![0_u32; 128];
        for n in 0..25_600 {
            let hash = state.hash_one(digits(n));
            low[(hash & 255) as usize] += 1;
            high[(hash >> 57) as usize] += 1;
        }
        // 100 and 200 of each are expected; a deviation of 8 standard deviations is none of chance.
        assert!(low.iter().all(|count| (20..180).contains(count)), "{low:?}");
        assert!(
            high.iter().all(|count| (80..320).contains(count)),
            "{high:?}"
        );
        assert_ne!(
            state.hash_one(digits(1)),
            ShaHash::default().hash_one(digits(1))
        );
    }

    #[test]
    fn what_was_run_longest_ago_is_forgotten_first() {
        let mut cache = Cache::default();
        for n in 0..10 {
            cache.insert(sha(n), b"1234567890", ScriptFlags::COMPAT, 90, Origin::Eval);
        }
        assert!(cache.keep(&sha(0)) && cache.keep(&sha(0)) && !cache.keep(&sha(77)));
        assert!(cache.use_script(&sha(1)).is_some());
        assert!(cache.evict(900).is_empty());
        // Nine of a hundred bytes; down to 600.
        assert_eq!(cache.evict(800), [sha(2), sha(3), sha(4)]);
        assert_eq!(cache.evicted, 3);
        assert_eq!(cache.size().0, 7);
        assert!(cache.get(&sha(0)).is_some() && cache.get(&sha(2)).is_none());
        assert_eq!(cache.evict(0).len(), 5);
        assert!(cache.get(&sha(0)).is_some() && cache.get(&sha(1)).is_some());
        cache.insert(sha(1), b"1", ScriptFlags::COMPAT, 1, Origin::Load);
        cache.insert(sha(0), b"1", ScriptFlags::COMPAT, 1, Origin::Eval);
        assert_eq!((cache.bytes, cache.forgettable), (82, 2));
        cache.clear();
        assert_eq!(cache.size().0, 0);
        assert_eq!(cache.evicted, 8);
    }
}
