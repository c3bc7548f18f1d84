//! Looking up a watched key without owning it: `(db, &[u8])` against `(db, Box<[u8]>)`.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// A watched key, owned or borrowed.
pub trait WatchKey {
    /// Its parts.
    fn parts(&self) -> (usize, &[u8]);
}

impl WatchKey for (usize, Box<[u8]>) {
    fn parts(&self) -> (usize, &[u8]) {
        (self.0, &self.1)
    }
}

impl WatchKey for (usize, &[u8]) {
    fn parts(&self) -> (usize, &[u8]) {
        (self.0, self.1)
    }
}

impl<'a> Borrow<dyn WatchKey + 'a> for (usize, Box<[u8]>) {
    fn borrow(&self) -> &(dyn WatchKey + 'a) {
        self
    }
}

impl Hash for dyn WatchKey + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (db, key) = self.parts();
        db.hash(state);
        key.hash(state);
    }
}

impl PartialEq for dyn WatchKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn WatchKey + '_ {}
