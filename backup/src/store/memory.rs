//! A store in memory, for tests and for programs that embed the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{BackupStore, ObjectInfo, ObjectName, StoreError, range_within};

/// Keeps objects for as long as it lives itself.
#[derive(Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<ObjectName, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Bytes>> {
        // Every change is one call of the map, so a panic elsewhere cannot have left half of one.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn body(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        let found = self.objects().get(name).cloned();
        found.ok_or_else(|| StoreError::NotFound { name: name.clone() })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStore({} objects)", self.objects().len())
    }
}

impl BackupStore for MemoryStore {
    fn put(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
        self.objects().insert(name.clone(), body);
        Ok(())
    }

    fn put_new(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
        use std::collections::btree_map::Entry;
        match self.objects().entry(name.clone()) {
            Entry::Occupied(_) => Err(StoreError::AlreadyExists { name: name.clone() }),
            Entry::Vacant(place) => {
                place.insert(body);
                Ok(())
            }
        }
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Bytes, StoreError> {
        let body = self.body(name)?;
        let size_bytes = body.len() as u64;
        if size_bytes > max_bytes {
            let name = name.clone();
            return Err(StoreError::TooLarge {
                name,
                size_bytes,
                max_bytes,
            });
        }
        Ok(body)
    }

    fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let body = self.body(name)?;
        range_within(name, &range, body.len() as u64)?;
        // Both ends are at most the length, which is a usize.
        Ok(body.slice(range.start as usize..range.end as usize))
    }

    fn head(&self, name: &ObjectName) -> Result<ObjectInfo, StoreError> {
        let body = self.body(name)?;
        Ok(ObjectInfo {
            name: name.clone(),
            size_bytes: body.len() as u64,
        })
    }

    fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        // Names before the folder's own are not below it.
        let start = match (after, folder) {
            (Some(after), Some(folder)) => Bound::Excluded(after.max(folder)),
            (Some(one), None) | (None, Some(one)) => Bound::Excluded(one),
            (None, None) => Bound::Unbounded,
        };
        Ok(self
            .objects()
            .range::<ObjectName, _>((start, Bound::Unbounded))
            .filter(|(name, _)| folder.is_none_or(|folder| name.is_in(folder)))
            .take(limit)
            .map(|(name, body)| ObjectInfo {
                name: name.clone(),
                size_bytes: body.len() as u64,
            })
            .collect())
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.objects().remove(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn conforms() {
        conformance::check(&MemoryStore::new()).unwrap();
    }
}
