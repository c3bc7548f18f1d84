//! A store that asks again.
//!
//! What fails for a reason that may pass is repeated after a pause that doubles each time, with a random part so that many
//! servers do not come back at once. Refusals (no permission, no such object) are not repeated. A create whose reply was lost
//! is recognised by its body.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;

use super::{BackupStore, NextPart, ObjectInfo, ObjectName, StoreError};

/// How often and how soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How often anything is tried, the first time included.
    pub attempts: u32,
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            attempts: 6,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The pause after so many failures: between half of the full time and all of it.
    fn pause(&self, failures: u32) -> Duration {
        let factor = 1u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(factor).min(self.longest);
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        full.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

/// A store over another that fails now and then.
#[derive(Debug)]
pub struct RetryingStore {
    inner: Arc<dyn BackupStore>,
    backoff: Backoff,
    retries: AtomicU64,
}

impl RetryingStore {
    /// Repeats what fails in `inner`.
    pub fn new(inner: Arc<dyn BackupStore>, backoff: Backoff) -> RetryingStore {
        RetryingStore {
            inner,
            backoff,
            retries: AtomicU64::new(0),
        }
    }

    /// How often something was repeated.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    fn run<T>(
        &self,
        mut operation: impl FnMut(u32) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut failures = 0;
        loop {
            match operation(failures) {
                Err(error) if !error.is_permanent() => {
                    failures += 1;
                    if failures >= self.backoff.attempts {
                        return Err(error);
                    }
                    self.retries.fetch_add(1, Relaxed);
                    tracing::debug!("Backup store: {error}; trying again");
                    std::thread::sleep(self.backoff.pause(failures));
                }
                other => return other,
            }
        }
    }
}

impl BackupStore for RetryingStore {
    fn put(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
        self.run(|_| self.inner.put(name, body.clone()))
    }

    /// Pieces can be had only once, so here only the store below repeats single requests.
    fn put_parts(&self, name: &ObjectName, next: &mut NextPart<'_>) -> Result<(), StoreError> {
        self.inner.put_parts(name, next)
    }

    fn staging(&self) -> Option<Arc<Path>> {
        self.inner.staging()
    }

    /// What the disk has refused once is not asked for again: it may have lost the bytes.
    fn adopt(&self, name: &ObjectName, file: &File) -> Result<bool, StoreError> {
        self.inner.adopt(name, file)
    }

    fn put_new(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
        self.run(|failures| match self.inner.put_new(name, body.clone()) {
            Err(taken @ StoreError::AlreadyExists { .. }) if failures > 0 => {
                match self.inner.get(name, body.len() as u64) {
                    Ok(there) if there == body => Ok(()),
                    Ok(_) | Err(StoreError::TooLarge { .. }) => Err(taken),
                    Err(error) => Err(error),
                }
            }
            other => other,
        })
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Bytes, StoreError> {
        self.run(|_| self.inner.get(name, max_bytes))
    }

    fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.run(|_| self.inner.get_range(name, range.clone()))
    }

    fn head(&self, name: &ObjectName) -> Result<ObjectInfo, StoreError> {
        self.run(|_| self.inner.head(name))
    }

    fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        self.run(|_| self.inner.list(folder, after, limit))
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.run(|_| self.inner.delete(name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fault, FaultyStore, MemoryStore, conformance};
    use super::*;

    const QUICK: Backoff = Backoff {
        attempts: 4,
        first: Duration::from_micros(10),
        longest: Duration::from_micros(50),
    };

    #[test]
    fn conforms() {
        let store = RetryingStore::new(Arc::new(MemoryStore::new()), QUICK);
        conformance::check(&store).unwrap();
    }

    #[test]
    fn a_lost_reply_is_no_collision() {
        let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        faulty.fail_after(0, Fault::LoseReply);
        let store = RetryingStore::new(faulty, QUICK);
        let name = ObjectName::new("a").unwrap();
        store.put_new(&name, Bytes::from_static(b"1")).unwrap();
        assert_eq!(store.retries(), 1);
        let other = store.put_new(&name, Bytes::from_static(b"2"));
        assert!(matches!(other, Err(StoreError::AlreadyExists { .. })));
        assert_eq!(store.get(&name, 9).unwrap(), "1");
    }

    #[test]
    fn it_gives_up_with_the_cause() {
        let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        for nth in 0..4 {
            faulty.fail_after(nth, Fault::Fail);
        }
        let store = RetryingStore::new(faulty, QUICK);
        let name = ObjectName::new("a").unwrap();
        let error = store.put(&name, Bytes::new()).unwrap_err();
        assert!(error.to_string().contains("cannot put a"), "{error}");
        assert_eq!(store.retries(), 3);
        store.put(&name, Bytes::new()).unwrap();
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let backoff = Backoff::default();
        for failures in [1, 2, 3, 40] {
            let full = (200u64 << (failures - 1).min(20)).min(10_000);
            let pause = backoff.pause(failures).as_millis();
            assert!(pause <= u128::from(full) && pause >= u128::from(full / 2) - 1);
        }
    }
}
