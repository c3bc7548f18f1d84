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
//!
//! A long body is a file without a name in the root (see [`depot`](crate::repo::depot)) and only gets its name; a crash before
//! that leaves nothing of it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use rustix::fs::{AtFlags, CWD, linkat};
use rustix::io::Errno;

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
    let files = LocalFileSystem::new_with_prefix(&real)
        .map_err(|error| failed(error.into()))?
        .with_fsync(true);
    let directory = Directory {
        files: Arc::new(files),
        root: real.into(),
    };
    BucketStore::in_directory(directory, deadline).map_err(|error| failed(error.into()))
}

/// The directory of a store.
#[derive(Debug)]
pub(super) struct Directory {
    files: Arc<LocalFileSystem>,
    root: Arc<Path>,
}

impl Directory {
    /// What reads and lists it.
    pub(super) fn files(&self) -> Arc<LocalFileSystem> {
        self.files.clone()
    }

    pub(super) fn root(&self) -> Arc<Path> {
        self.root.clone()
    }

    /// Gives a file without a name the name of an object; false if the system does not do that.
    ///
    /// # Errors
    /// The file or the folder cannot be synced.
    pub(super) fn adopt(&self, location: &Location, file: &File) -> io::Result<bool> {
        let path = self.files.path_to_filesystem(location)?;
        let Some(folder) = path.parent() else {
            return Ok(false);
        };
        file.sync_all()?;
        let mut linked = link(file, &path);
        if linked == Err(Errno::NOENT) {
            self.make(folder)?;
            linked = link(file, &path);
        }
        if linked == Err(Errno::EXIST) {
            // A link never replaces, a rename does.
            let aside = aside(&path)?;
            linked = link(file, &aside);
            if linked.is_ok()
                && let Err(error) = fs::rename(&aside, &path)
            {
                let _ = fs::remove_file(&aside);
                return Err(error);
            }
        }
        if linked.is_err() {
            return Ok(false);
        }
        sync(folder)?;
        Ok(true)
    }

    /// Makes a folder of the store, for good.
    fn make(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let above = folder.ancestors().skip(1);
        for above in above.take_while(|above| above.starts_with(&self.root)) {
            sync(above)?;
        }
        Ok(())
    }
}

/// A name beside an object that is none, as bodies on their way have.
fn aside(path: &Path) -> io::Result<PathBuf> {
    let random = getrandom::u32().map_err(io::Error::other)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{random}"));
    Ok(name.into())
}

fn link(file: &File, path: &Path) -> Result<(), Errno> {
    // Who may not link by the number of a file may link what /proc shows of it.
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::conformance;
    use super::super::{BackupStore, DEFAULT_DEADLINE, ObjectName};
    use super::*;
    use crate::repo::depot::nameless;

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
    fn a_file_without_a_name_becomes_an_object() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let staging = store.staging().unwrap();
        let file = |body: &[u8]| {
            let mut file = nameless(&staging).unwrap();
            io::Write::write_all(&mut file, body).unwrap();
            file
        };
        let object = name("new/folder/a.rdb");
        assert!(store.adopt(&object, &file(b"body")).unwrap());
        assert_eq!(store.get(&object, 9).unwrap(), "body");
        // The one of that name is replaced, as `put` does, and nothing stays beside it.
        assert!(store.adopt(&object, &file(b"other")).unwrap());
        assert_eq!(store.get(&object, 9).unwrap(), "other");
        assert_eq!(store.list(None, None, 10).unwrap().len(), 1);
        let folder = root.path().join("new/folder");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
        // A file that is gone already cannot get a name again: its bytes have to be sent.
        let named = root.path().join("named");
        fs::write(&named, b"x").unwrap();
        let gone = File::open(&named).unwrap();
        fs::remove_file(&named).unwrap();
        assert!(!store.adopt(&name("b"), &gone).unwrap());
        assert!(store.head(&name("b")).is_err());
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
