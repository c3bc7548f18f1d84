//! Data files as one slice of bytes: mapped, read-only and private.
//!
//! Loading reads a file from several threads and keeps nothing of it, so mapping spares the copy
//! through a buffer, and the kernel reads ahead. This is the one module that maps files.
//!
//! Invariants: the map is never written; it is only made of regular files; an empty file, which
//! cannot be mapped, is an empty slice.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// A file whose content is a slice. Memory is only used for the parts that are being read.
#[derive(Debug)]
pub struct MappedFile {
    /// `None` for an empty file.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps the whole file as it is now.
    ///
    /// # Errors
    /// When it cannot be opened or mapped, or is no regular file.
    pub fn open(path: &Path) -> io::Result<MappedFile> {
        let file = File::open(path)?;
        let facts = file.metadata()?;
        if facts.is_dir() {
            return Err(rustix::io::Errno::ISDIR.into());
        }
        if !facts.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        if facts.len() == 0 {
            return Ok(MappedFile { map: None });
        }
        // SAFETY: the map is private and read-only, so nothing here can change the file or the
        // bytes seen through a shared slice. What remains is another process: if it changes the
        // file, other bytes are read, which every decoder must bear anyway as it trusts none;
        // if it makes the file shorter, touching a page behind the new end raises SIGBUS and the
        // process ends while it loads, before anything is served. Snapshots are only ever
        // replaced by renaming another over them, by us and by Redis, and that leaves the mapped
        // file as it is; the loader of the log, which cuts torn tails, reads nothing behind the
        // cut from then on. The index of the last backup is mapped while clients are served; it too
        // is only ever replaced by a rename, and lies where nobody but the server writes.
        let map = unsafe { Mmap::map(&file)? };
        // Only a hint.
        let _ = map.advise(Advice::Sequential);
        Ok(MappedFile { map: Some(map) })
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_its_bytes() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        fs::write(&path, b"twelve bytes").expect("written");
        let mapped = MappedFile::open(&path).expect("mapped");
        assert_eq!(mapped.bytes(), b"twelve bytes");
    }

    #[test]
    fn an_empty_file_is_an_empty_slice() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        fs::write(&path, b"").expect("written");
        assert_eq!(MappedFile::open(&path).expect("mapped").bytes(), b"");
    }

    #[test]
    fn a_replaced_file_keeps_its_bytes_while_mapped() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, other) = (dir.path().join("file"), dir.path().join("other"));
        fs::write(&path, vec![b'a'; 10_000]).expect("written");
        let mapped = MappedFile::open(&path).expect("mapped");
        fs::write(&other, b"short").expect("written");
        fs::rename(&other, &path).expect("replaced");
        assert!(mapped.bytes().iter().all(|byte| *byte == b'a'));
        assert_eq!(mapped.bytes().len(), 10_000);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let kind = |path: &Path| {
            MappedFile::open(path)
                .map(drop)
                .expect_err("no file")
                .kind()
        };
        assert_eq!(kind(dir.path()), io::ErrorKind::IsADirectory);
        assert_eq!(kind(&dir.path().join("none")), io::ErrorKind::NotFound);
        assert_eq!(kind(Path::new("/dev/null")), io::ErrorKind::InvalidInput);
    }
}
