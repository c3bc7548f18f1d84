//! The suite that every store must pass, and stores with known faults that must not pass it.
//!
//! `basalt check-store` runs it on any store, which tells whether backups can rely on a server that speaks somebody's protocol.

use std::io::Write;
use std::thread;

use bytes::Bytes;

use super::{BackupStore, ObjectName, StoreError};
use crate::repo::depot::nameless;
use crate::repo::object::PART_BYTES;

macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

/// The first promise that is broken.
pub type Check = Result<(), String>;

/// Checks the contract of [`BackupStore`] on an empty store, which is empty again if all is well. It writes some 60 MB.
///
/// # Errors
/// What is not as the contract says.
pub fn check(store: &dyn BackupStore) -> Check {
    ensure!(
        list(store, None, None, 9)?.is_empty(),
        "the store is not empty at first"
    );
    missing(store)?;
    bodies(store)?;
    parts(store)?;
    adopting(store)?;
    creating(store)?;
    ranges(store)?;
    listing(store)?;
    racing_creates(store)?;
    whole_replacements(store)?;
    for object in store.list(None, None, usize::MAX).map_err(text)? {
        store.delete(&object.name).map_err(text)?;
    }
    ensure!(
        list(store, None, None, 9)?.is_empty(),
        "objects survive their deletion"
    );
    Ok(())
}

fn missing(store: &dyn BackupStore) -> Check {
    let nothing = name("missing/object");
    let is_not_found =
        |error| matches!(error, Some(StoreError::NotFound { name }) if name == nothing);
    ensure!(is_not_found(store.head(&nothing).err()), "head of nothing");
    ensure!(is_not_found(store.get(&nothing, 9).err()), "get of nothing");
    ensure!(
        is_not_found(store.get_range(&nothing, 0..1).err()),
        "range of nothing"
    );
    ensure!(
        is_not_found(store.get_range(&nothing, 0..0).err()),
        "empty range of nothing"
    );
    store
        .delete(&nothing)
        .map_err(|error| format!("delete of nothing: {error}"))
}

fn bodies(store: &dyn BackupStore) -> Check {
    let large = pattern(300_000);
    for body in [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        large.clone(),
        Bytes::from_static(b"x"),
    ] {
        let object = name("bodies/one");
        store.put(&object, body.clone()).map_err(text)?;
        let size = body.len() as u64;
        ensure!(
            store.head(&object).map_err(text)?.size_bytes == size,
            "size {size}"
        );
        ensure!(
            store.get(&object, size).map_err(text)? == body,
            "body of {size}"
        );
        ensure!(
            store.get(&object, u64::MAX).map_err(text)? == body,
            "body of {size}, no limit"
        );
    }
    let object = name("bodies/large");
    store.put(&object, large).map_err(text)?;
    let refused = matches!(
        store.get(&object, 299_999),
        Err(StoreError::TooLarge {
            size_bytes: 300_000,
            max_bytes: 299_999,
            ..
        })
    );
    ensure!(refused, "a body longer than the limit is returned");
    store.delete(&object).map_err(text)?;
    let gone = matches!(store.get(&object, 9), Err(StoreError::NotFound { .. }));
    ensure!(gone, "a deleted object is still there");
    store
        .delete(&object)
        .map_err(|error| format!("second delete: {error}"))
}

/// Objects that come in pieces.
fn parts(store: &dyn BackupStore) -> Check {
    let object = name("parts/one");
    let body = pattern(2 * PART_BYTES as u32 + 5);
    for length in [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, body.len()] {
        let body = body.slice(..length);
        let mut at = 0;
        store
            .put_parts(&object, &mut || {
                let part = body.slice(at..length.min(at + PART_BYTES));
                at += part.len();
                Ok((!part.is_empty()).then_some(part))
            })
            .map_err(text)?;
        ensure!(
            store.get(&object, u64::MAX).map_err(text)? == body,
            "{length} bytes in parts"
        );
    }
    let mut given = 0;
    let broken = store.put_parts(&name("parts/broken"), &mut || {
        given += 1;
        match given {
            1 | 2 => Ok(Some(body.slice(..PART_BYTES))),
            _ => Err(std::io::Error::other("scripted")),
        }
    });
    ensure!(broken.is_err(), "an upload whose source fails succeeds");
    ensure!(
        matches!(
            store.head(&name("parts/broken")),
            Err(StoreError::NotFound { .. })
        ),
        "a broken upload is an object"
    );
    Ok(())
}

/// A store with a place for files takes them as objects, or says that it cannot.
fn adopting(store: &dyn BackupStore) -> Check {
    let Some(place) = store.staging() else {
        return Ok(());
    };
    let object = name("adopted/deeper/one");
    for size in [0, 5_000_000, 7] {
        let body = pattern(size);
        let mut file = nameless(&place).map_err(|error| error.to_string())?;
        file.write_all(&body).map_err(|error| error.to_string())?;
        if !store.adopt(&object, &file).map_err(text)? {
            return Ok(());
        }
        drop(file);
        ensure!(
            store.get(&object, u64::MAX).map_err(text)? == body,
            "an adopted file of {size} bytes is another object"
        );
    }
    ensure!(
        list(store, Some("adopted"), None, 9)?.len() == 1,
        "an adopted file has several names"
    );
    store.delete(&object).map_err(text)
}

fn creating(store: &dyn BackupStore) -> Check {
    let object = name("creating/one");
    store
        .put_new(&object, Bytes::from_static(b"first"))
        .map_err(text)?;
    for other in ["second", ""] {
        let again = store.put_new(&object, Bytes::from_static(other.as_bytes()));
        let refused = matches!(again, Err(StoreError::AlreadyExists { name }) if name == object);
        ensure!(refused, "create of an existing object is not refused");
        ensure!(
            store.get(&object, 9).map_err(text)? == "first",
            "create overwrote"
        );
    }
    store.delete(&object).map_err(text)?;
    store
        .put_new(&object, Bytes::from_static(b"third"))
        .map_err(text)?;
    ensure!(
        store.get(&object, 9).map_err(text)? == "third",
        "create after delete"
    );
    Ok(())
}

fn ranges(store: &dyn BackupStore) -> Check {
    let (object, body) = (name("ranges/one"), pattern(100_000));
    store.put(&object, body.clone()).map_err(text)?;
    for (start, end) in [
        (0, 100_000),
        (0, 1),
        (99_999, 100_000),
        (7, 70_000),
        (5, 5),
        (100_000, 100_000),
    ] {
        let part = store.get_range(&object, start..end).map_err(text)?;
        ensure!(
            part == body.slice(start as usize..end as usize),
            "range {start}..{end}"
        );
    }
    #[allow(clippy::reversed_empty_ranges)]
    for range in [
        0..100_001,
        99_999..u64::MAX,
        100_000..100_001,
        100_001..100_001,
        200_000..200_001,
        7..5,
    ] {
        let answer = store.get_range(&object, range.clone());
        let refused = matches!(
            answer,
            Err(StoreError::OutOfRange {
                size_bytes: 100_000,
                ..
            })
        );
        ensure!(refused, "range {range:?} of 100000 bytes: {answer:?}");
    }
    Ok(())
}

fn listing(store: &dyn BackupStore) -> Check {
    // In byte order `-` and `.` come before `/`, which a walk over folders gets wrong.
    let names = [
        "list/a-b",
        "list/a.b",
        "list/a/b",
        "list/a/b.c",
        "list/a/b0/c",
        "list/a0",
        "list/b",
    ];
    for (index, text_name) in names.iter().rev().enumerate() {
        let body = Bytes::from(vec![0; names.len() - index]);
        store.put(&name(text_name), body).map_err(text)?;
    }
    store.put(&name("list-2"), Bytes::new()).map_err(text)?;
    let folder = name("list");
    let all = store.list(Some(&folder), None, 99).map_err(text)?;
    let sizes: Vec<u64> = all.iter().map(|object| object.size_bytes).collect();
    ensure!(
        sizes == [1, 2, 3, 4, 5, 6, 7],
        "sizes in a listing: {sizes:?}"
    );
    ensure!(
        list(store, Some("list"), None, 99)? == names,
        "order: {all:?}"
    );
    ensure!(
        list(store, Some("list/a"), None, 99)? == names[2..5],
        "a folder ends at its slash"
    );
    ensure!(
        list(store, Some("list/none"), None, 99)?.is_empty(),
        "a folder without objects"
    );
    ensure!(
        list(store, Some("list/b"), None, 99)?.is_empty(),
        "an object is no folder"
    );
    ensure!(
        list(store, Some("list"), None, 0)?.is_empty(),
        "a limit of 0"
    );
    ensure!(
        list(store, Some("list"), None, 2)? == names[..2],
        "a limit of 2"
    );
    for (index, after) in names.iter().enumerate() {
        let rest = list(store, Some("list"), Some(after), 3)?;
        let end = names.len().min(index + 4);
        ensure!(rest == names[index + 1..end], "3 after {after}: {rest:?}");
    }
    let between = list(store, Some("list"), Some("list/a/b.zzz"), 1)?;
    ensure!(
        between == ["list/a/b0/c"],
        "after a name that does not exist: {between:?}"
    );
    let before = list(store, Some("list/a"), Some("bodies"), 9)?;
    ensure!(
        before == names[2..5],
        "after a name before the folder: {before:?}"
    );
    ensure!(
        list(store, Some("list"), Some("zzz"), 9)?.is_empty(),
        "after a name behind the folder"
    );
    let whole = list(store, None, Some("list-1"), 2)?;
    ensure!(
        whole == ["list-2", "list/a-b"],
        "the whole store: {whole:?}"
    );
    Ok(())
}

fn racing_creates(store: &dyn BackupStore) -> Check {
    for round in 0..8 {
        let object = name(&format!("race/{round}"));
        let won: Vec<Result<bool, String>> = thread::scope(|scope| {
            let one = |id: u8| {
                let object = &object;
                move || match store.put_new(object, Bytes::from(vec![id; 1000])) {
                    Ok(()) => Ok(true),
                    Err(StoreError::AlreadyExists { .. }) => Ok(false),
                    Err(error) => Err(text(error)),
                }
            };
            let threads: Vec<_> = (0..4).map(|id| scope.spawn(one(id))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(panicked).and_then(|won| won))
                .collect()
        });
        let won: Vec<bool> = won.into_iter().collect::<Result<_, _>>()?;
        ensure!(
            won.iter().filter(|&&won| won).count() == 1,
            "winners of a race: {won:?}"
        );
        let winner = won.iter().position(|&won| won).unwrap_or_default() as u8;
        let body = store.get(&object, 1000).map_err(text)?;
        ensure!(body == vec![winner; 1000], "the winner's body is not there");
    }
    Ok(())
}

fn whole_replacements(store: &dyn BackupStore) -> Check {
    let object = name("whole/one");
    let old_and_new = [Bytes::from(vec![1; 50_000]), Bytes::from(vec![2; 70_000])];
    store.put(&object, old_and_new[0].clone()).map_err(text)?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (0..20).try_for_each(|turn| store.put(&object, old_and_new[(turn + 1) % 2].clone()))
        });
        while !writer.is_finished() {
            let seen = store.get(&object, u64::MAX).map_err(text)?;
            ensure!(
                old_and_new.contains(&seen),
                "a reader saw {} mixed bytes",
                seen.len()
            );
        }
        writer.join().map_err(panicked)?.map_err(text)
    })
}

fn list(
    store: &dyn BackupStore,
    folder: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, String> {
    let (folder, after) = (folder.map(name), after.map(name));
    let objects = store
        .list(folder.as_ref(), after.as_ref(), limit)
        .map_err(text)?;
    Ok(objects
        .into_iter()
        .map(|object| object.name.to_string())
        .collect())
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a valid name")
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> String {
    "a call has panicked".to_owned()
}

fn text(error: StoreError) -> String {
    error.to_string()
}

fn pattern(length: u32) -> Bytes {
    (0..length)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::super::{MemoryStore, ObjectInfo};
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Flaw {
        CreateOverwrites,
        CreateChecksFirst,
        RangeIsCut,
        LimitIgnored,
        DeleteComplains,
        ListUnsorted,
        ListByText,
        AfterIncluded,
        PutInTwoSteps,
        SizeWrong,
    }

    /// A store that breaks one promise.
    #[derive(Debug)]
    struct Flawed(MemoryStore, Flaw);

    impl BackupStore for Flawed {
        fn put(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
            if self.1 == Flaw::PutInTwoSteps {
                self.0.put(name, body.slice(..body.len() / 2))?;
                thread::sleep(std::time::Duration::from_millis(3));
            }
            self.0.put(name, body)
        }

        fn put_new(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
            match self.1 {
                Flaw::CreateOverwrites => self.0.put(name, body),
                Flaw::CreateChecksFirst => {
                    if self.0.head(name).is_ok() {
                        return Err(StoreError::AlreadyExists { name: name.clone() });
                    }
                    thread::sleep(std::time::Duration::from_millis(3));
                    self.0.put(name, body)
                }
                _ => self.0.put_new(name, body),
            }
        }

        fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Bytes, StoreError> {
            let ignored = self.1 == Flaw::LimitIgnored;
            self.0.get(name, if ignored { u64::MAX } else { max_bytes })
        }

        fn get_range(&self, name: &ObjectName, mut range: Range<u64>) -> Result<Bytes, StoreError> {
            if self.1 == Flaw::RangeIsCut {
                range.end = range.end.min(self.0.head(name)?.size_bytes);
            }
            self.0.get_range(name, range)
        }

        fn head(&self, name: &ObjectName) -> Result<ObjectInfo, StoreError> {
            let mut info = self.0.head(name)?;
            info.size_bytes += u64::from(self.1 == Flaw::SizeWrong);
            Ok(info)
        }

        fn list(
            &self,
            folder: Option<&ObjectName>,
            after: Option<&ObjectName>,
            limit: usize,
        ) -> Result<Vec<ObjectInfo>, StoreError> {
            let mut objects = match (self.1, folder) {
                (Flaw::ListByText, Some(folder)) => {
                    let mut all = self.0.list(None, after, usize::MAX)?;
                    all.retain(|object| object.name.as_str().starts_with(folder.as_str()));
                    all.truncate(limit);
                    all
                }
                _ => self.0.list(folder, after, limit)?,
            };
            match (self.1, after) {
                (Flaw::ListUnsorted, _) => objects.reverse(),
                (Flaw::AfterIncluded, Some(after)) => objects.extend(self.0.head(after).ok()),
                _ => {}
            }
            Ok(objects)
        }

        fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
            if self.1 == Flaw::DeleteComplains {
                self.0.head(name)?;
            }
            self.0.delete(name)
        }
    }

    #[test]
    fn flawed_stores_do_not_pass() {
        use Flaw::*;
        for flaw in [
            CreateOverwrites,
            CreateChecksFirst,
            RangeIsCut,
            LimitIgnored,
            DeleteComplains,
            ListUnsorted,
            ListByText,
            AfterIncluded,
            PutInTwoSteps,
            SizeWrong,
        ] {
            assert!(
                check(&Flawed(MemoryStore::new(), flaw)).is_err(),
                "{flaw:?}"
            );
        }
    }
}
