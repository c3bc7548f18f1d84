//! Cuts the end off a file, and keeps it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How many names are tried for the part cut off.
const NAMES: u32 = 100;

/// Shortens `path`, whose content is `bytes`, to `keep` bytes. Returns where the rest is now: on disk before the file is changed.
pub(super) fn cut(path: &Path, bytes: &[u8], keep: usize) -> io::Result<PathBuf> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() != bytes.len() as u64 {
        return Err(io::Error::other(
            "it changed while it was checked; is a server writing to it?",
        ));
    }
    let kept = keep_aside(path, bytes.get(keep..).unwrap_or_default(), keep)?;
    file.set_len(keep as u64)?;
    file.sync_all()?;
    Ok(kept)
}

fn keep_aside(path: &Path, rest: &[u8], offset: usize) -> io::Result<PathBuf> {
    let mut attempt = 0;
    let (mut file, name) = loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".cut-{offset}"));
        if attempt > 0 {
            name.push(format!(".{attempt}"));
        }
        let name = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < NAMES => {
                attempt += 1
            }
            opened => break (opened?, name),
        }
    };
    file.write_all(rest)?;
    file.sync_all()?;
    sync_folder(path)?;
    Ok(name)
}

/// Makes names in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
