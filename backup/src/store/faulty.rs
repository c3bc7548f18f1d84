//! A store that fails on demand, to test what is built on stores.
//!
//! It passes every operation to the store below and counts them. A script says what goes wrong at which of them. The same
//! script over the same calls gives the same faults, so a failing test repeats.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::error::Operation;
use super::{BackupStore, ObjectInfo, ObjectName, StoreError};

/// What goes wrong.
///
/// [`Tear`](Fault::Tear) and [`Corrupt`](Fault::Corrupt) concern bodies; operations without one just fail, as does the
/// corruption of an empty body, so that a scripted fault is never without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation is not carried out and fails.
    Fail,
    /// The operation is carried out, but reports a failure.
    LoseReply,
    /// Of the body only this many bytes get through. A write stores them and fails: a store that breaks its contract. A
    /// read returns them as if they were all.
    Tear(usize),
    /// The lowest bit of the body's byte at this index, counted around its end, is flipped, and nobody is told.
    Corrupt(usize),
    /// This operation and all after it fail and change nothing, as if the machine had lost the store.
    Crash,
}

/// A [`BackupStore`] with scripted faults.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn BackupStore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    script: Vec<Scripted>,
    calls: Vec<(Operation, Option<ObjectName>)>,
    crashed: bool,
}

#[derive(Debug)]
struct Scripted {
    /// Counts only these; `None` counts every operation.
    operation: Option<Operation>,
    /// How many of them still pass before the fault.
    pass: usize,
    fault: Fault,
    spent: bool,
}

impl FaultyStore {
    /// A store without faults so far.
    pub fn new(inner: Arc<dyn BackupStore>) -> Self {
        FaultyStore {
            inner,
            state: Mutex::default(),
        }
    }

    /// Lets the operation fail before which, from now on, `pass` others have been made.
    pub fn fail_after(&self, pass: usize, fault: Fault) {
        self.schedule(None, pass, fault);
    }

    /// Like [`fail_after`](Self::fail_after), but only counts and hits operations of this kind.
    pub fn fail_kind_after(&self, operation: Operation, pass: usize, fault: Fault) {
        self.schedule(Some(operation), pass, fault);
    }

    /// The operations so far, in order, with the object or folder they were about.
    pub fn calls(&self) -> Vec<(Operation, Option<ObjectName>)> {
        self.state().calls.clone()
    }

    /// Ends a crash and forgets the faults that have not happened.
    pub fn heal(&self) {
        let mut state = self.state();
        state.crashed = false;
        state.script.clear();
    }

    fn schedule(&self, operation: Option<Operation>, pass: usize, fault: Fault) {
        self.state().script.push(Scripted {
            operation,
            pass,
            fault,
            spent: false,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation and tells what goes wrong with it.
    fn enter(&self, operation: Operation, name: Option<&ObjectName>) -> Option<Fault> {
        let mut state = self.state();
        state.calls.push((operation, name.cloned()));
        if state.crashed {
            return Some(Fault::Crash);
        }
        let mut hit = None;
        for scripted in &mut state.script {
            if scripted.operation.is_some_and(|only| only != operation) || scripted.spent {
                continue;
            }
            if scripted.pass > 0 {
                scripted.pass -= 1;
            } else if hit.is_none() {
                scripted.spent = true;
                hit = Some(scripted.fault);
            }
        }
        state.crashed = hit == Some(Fault::Crash);
        hit
    }

    /// An operation without a body.
    fn plain<T>(
        &self,
        operation: Operation,
        name: Option<&ObjectName>,
        run: impl FnOnce(&dyn BackupStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.enter(operation, name) {
            None => run(self.inner.as_ref()),
            Some(fault) => {
                if fault == Fault::LoseReply {
                    run(self.inner.as_ref())?;
                }
                Err(scripted(operation, name, fault))
            }
        }
    }

    fn write(
        &self,
        operation: Operation,
        name: &ObjectName,
        body: Bytes,
        run: impl Fn(Bytes) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let fault = match self.enter(operation, Some(name)) {
            None => return run(body),
            Some(fault) => fault,
        };
        match fault {
            Fault::Fail | Fault::Crash => {}
            Fault::LoseReply => run(body)?,
            Fault::Tear(keep) => run(body.slice(..keep.min(body.len())))?,
            Fault::Corrupt(at) => {
                if let Some(wrong) = flip(&body, at) {
                    return run(wrong);
                }
            }
        }
        Err(scripted(operation, Some(name), fault))
    }

    fn read(
        &self,
        operation: Operation,
        name: &ObjectName,
        run: impl FnOnce() -> Result<Bytes, StoreError>,
    ) -> Result<Bytes, StoreError> {
        let fault = match self.enter(operation, Some(name)) {
            None => return run(),
            Some(fault) => fault,
        };
        match fault {
            Fault::Fail | Fault::Crash | Fault::LoseReply => {}
            Fault::Tear(keep) => {
                let body = run()?;
                return Ok(body.slice(..keep.min(body.len())));
            }
            Fault::Corrupt(at) => {
                if let Some(wrong) = flip(&run()?, at) {
                    return Ok(wrong);
                }
            }
        }
        Err(scripted(operation, Some(name), fault))
    }
}

impl BackupStore for FaultyStore {
    fn put(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
        self.write(Operation::Put, name, body, |body| {
            self.inner.put(name, body)
        })
    }

    fn put_new(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
        self.write(Operation::PutNew, name, body, |body| {
            self.inner.put_new(name, body)
        })
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Bytes, StoreError> {
        self.read(Operation::Get, name, || self.inner.get(name, max_bytes))
    }

    fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.read(Operation::GetRange, name, || {
            self.inner.get_range(name, range)
        })
    }

    fn head(&self, name: &ObjectName) -> Result<ObjectInfo, StoreError> {
        self.plain(Operation::Head, Some(name), |inner| inner.head(name))
    }

    fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        self.plain(Operation::List, folder, |inner| {
            inner.list(folder, after, limit)
        })
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.plain(Operation::Delete, Some(name), |inner| inner.delete(name))
    }
}

/// The body with one bit flipped; `None` if it has none.
fn flip(body: &Bytes, at: usize) -> Option<Bytes> {
    let mut wrong = BytesMut::from(body.as_ref());
    let at = at.checked_rem(wrong.len())?;
    *wrong.get_mut(at)? ^= 1;
    Some(wrong.freeze())
}

fn scripted(operation: Operation, name: Option<&ObjectName>, fault: Fault) -> StoreError {
    let what = name.map_or("the store", ObjectName::as_str);
    StoreError::failed(operation, what, format!("scripted fault {fault:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::super::{MemoryStore, Published, publish};
    use super::*;

    fn store() -> FaultyStore {
        FaultyStore::new(Arc::new(MemoryStore::new()))
    }

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).unwrap()
    }

    fn body(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn conforms_without_faults() {
        conformance::check(&store()).unwrap();
    }

    #[test]
    fn the_kth_operation_fails_and_only_that() {
        let store = store();
        store.fail_after(1, Fault::Fail);
        store.put(&name("a"), body("1")).unwrap();
        let error = store.put(&name("b"), body("2")).unwrap_err();
        assert_eq!(error.to_string(), "cannot put b: scripted fault Fail");
        store.put(&name("c"), body("3")).unwrap();
        let listed = store.list(None, None, 9).unwrap();
        let names: Vec<&str> = listed.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        let calls = [
            Operation::Put,
            Operation::Put,
            Operation::Put,
            Operation::List,
        ];
        let made: Vec<Operation> = store.calls().into_iter().map(|call| call.0).collect();
        assert_eq!(made, calls);
    }

    #[test]
    fn faults_of_one_kind_count_only_that() {
        let store = store();
        store.fail_kind_after(Operation::Get, 1, Fault::Fail);
        store.put(&name("a"), body("1")).unwrap();
        store.get(&name("a"), 1).unwrap();
        store.head(&name("a")).unwrap();
        store.get(&name("a"), 1).unwrap_err();
        store.get(&name("a"), 1).unwrap();
    }

    #[test]
    fn torn_and_corrupt_writes() {
        let store = store();
        store.fail_after(0, Fault::Tear(2));
        store.put(&name("a"), body("12345")).unwrap_err();
        assert_eq!(store.get(&name("a"), 9).unwrap(), "12");
        store.fail_after(0, Fault::Corrupt(6));
        store.put(&name("a"), body("12345")).unwrap();
        assert_eq!(store.get(&name("a"), 9).unwrap(), "13345");
        store.fail_after(0, Fault::Corrupt(0));
        store.put(&name("a"), body("")).unwrap_err();
    }

    #[test]
    fn torn_and_corrupt_reads_leave_the_object() {
        let store = store();
        store.put(&name("a"), body("12345")).unwrap();
        store.fail_after(0, Fault::Tear(3));
        assert_eq!(store.get(&name("a"), 9).unwrap(), "123");
        store.fail_after(0, Fault::Corrupt(0));
        assert_eq!(store.get_range(&name("a"), 1..3).unwrap(), "33");
        assert_eq!(store.get(&name("a"), 9).unwrap(), "12345");
    }

    #[test]
    fn a_crash_lasts_until_healed() {
        let store = store();
        store.put(&name("a"), body("1")).unwrap();
        store.fail_after(0, Fault::Crash);
        store.delete(&name("a")).unwrap_err();
        store.head(&name("a")).unwrap_err();
        store.list(None, None, 1).unwrap_err();
        store.heal();
        assert_eq!(store.head(&name("a")).unwrap().size_bytes, 1);
    }

    #[test]
    fn publish_survives_a_lost_reply() {
        let store = store();
        store.fail_after(0, Fault::LoseReply);
        publish(&store, &name("m"), body("one")).unwrap_err();
        let again = publish(&store, &name("m"), body("one")).unwrap();
        assert_eq!(again, Published::Already);
    }

    #[test]
    fn publish_never_replaces() {
        let store = store();
        assert_eq!(
            publish(&store, &name("m"), body("one")).unwrap(),
            Published::Created
        );
        for other in ["two", "longer", "o", ""] {
            let error = publish(&store, &name("m"), body(other)).unwrap_err();
            assert!(matches!(error, StoreError::AlreadyExists { .. }), "{error}");
        }
        assert_eq!(store.get(&name("m"), 9).unwrap(), "one");
        // What cannot be compared is not called the same.
        store.fail_kind_after(Operation::Get, 0, Fault::Fail);
        let error = publish(&store, &name("m"), body("one")).unwrap_err();
        assert!(matches!(error, StoreError::Failed { .. }), "{error}");
    }
}
