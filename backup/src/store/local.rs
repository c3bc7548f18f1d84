//! A store in a local directory.
//!
//! ```text
//!   root/a/b        the object a/b
//!   root/a/b#1      a body on its way; after a crash it stays and is never listed nor read
//! ```
//!
//! A body is written to a temporary file beside its place, synced, and moved there: by a rename that replaces, or by a
//! hard link that fails if the name is taken. Then the folder is synced. So a crash leaves the old object or the new one,
//! and `put_new` holds between processes too. The file system must know hard links.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;

use super::error::Operation;
use super::{BucketStore, StoreError};

/// Opens the store in the directory `root`, which must exist: a path that is wrong, or a disk that is not mounted, must
/// not look like an empty store.
///
/// # Errors
/// If `root` is not a directory, or its path is not UTF-8.
pub fn open_local(root: &Path, deadline: Duration) -> Result<BucketStore, StoreError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::failed(Operation::Open, root.display(), source)
    };
    let real = fs::canonicalize(root).map_err(|error| failed(error.into()))?;
    if !real.is_dir() {
        return Err(failed("it is not a directory".into()));
    }
    if real.to_str().is_none() {
        return Err(failed("its path is not UTF-8".into()));
    }
    let files = LocalFileSystem::new_with_prefix(real)
        .map_err(|error| failed(error.into()))?
        .with_fsync(true);
    BucketStore::new(Arc::new(files), deadline).map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::conformance;
    use super::super::{BackupStore, DEFAULT_DEADLINE, ObjectName};
    use super::*;

    fn open(root: &Path) -> BucketStore {
        open_local(root, DEFAULT_DEADLINE).unwrap()
    }

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).unwrap()
    }

    #[test]
    fn conforms() {
        let root = tempfile::tempdir().unwrap();
        conformance::check(&open(root.path())).unwrap();
    }

    #[test]
    fn objects_are_files_and_outlive_the_store() {
        let root = tempfile::tempdir().unwrap();
        open(root.path())
            .put_new(&name("a/b.rdb"), Bytes::from_static(b"body"))
            .unwrap();
        assert_eq!(fs::read(root.path().join("a/b.rdb")).unwrap(), b"body");
        assert_eq!(open(root.path()).get(&name("a/b.rdb"), 9).unwrap(), "body");
        // No temporary file stays behind a success, nor behind a refusal.
        open(root.path())
            .put_new(&name("a/b.rdb"), Bytes::from_static(b"other"))
            .unwrap_err();
        assert_eq!(fs::read_dir(root.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_leaves_is_not_an_object() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/b#1"), b"half a bo").unwrap();
        let store = open(root.path());
        assert_eq!(store.list(None, None, 10).unwrap(), []);
        assert!(matches!(
            store.head(&name("a/b")),
            Err(StoreError::NotFound { .. })
        ));
        store
            .put_new(&name("a/b"), Bytes::from_static(b"body"))
            .unwrap();
        assert_eq!(store.get(&name("a/b"), 9).unwrap(), "body");
    }

    #[test]
    fn a_missing_root_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("missing");
        assert!(open_local(&missing, DEFAULT_DEADLINE).is_err());
        assert!(!missing.exists());
        let file = root.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = open_local(&file, DEFAULT_DEADLINE).unwrap_err().to_string();
        assert!(error.ends_with("it is not a directory"), "{error}");
    }
}
