//! Which files make up the log that a path means.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use basalt_formats::aof::{FileInfo, FileType, Manifest};

use crate::persist::mapped::MappedFile;

/// Where the manifest is unless `appenddirname` says otherwise, and the file of versions before 7.
const FOLDER: &str = "appendonlydir";
const OLD_FILE: &str = "appendonly.aof";
const SUFFIX: &str = ".manifest";

/// A log: its manifest, or one file of an older version.
pub(super) struct Log {
    pub manifest: Option<(PathBuf, Manifest)>,
    /// In the order of loading.
    pub files: Vec<NamedFile>,
}

/// A file of a log.
pub(super) struct NamedFile {
    pub path: PathBuf,
    /// What the manifest says of it.
    pub info: Option<FileInfo>,
}

impl NamedFile {
    pub fn is_base(&self) -> bool {
        self.info
            .as_ref()
            .is_some_and(|info| info.kind == FileType::Base)
    }

    pub fn is_incr(&self) -> bool {
        self.info
            .as_ref()
            .is_some_and(|info| info.kind == FileType::Incr)
    }

    pub fn label(&self) -> &'static str {
        match &self.info {
            None => "AOF",
            Some(_) if self.is_base() => "BASE AOF",
            Some(_) => "INCR AOF",
        }
    }

    /// Its name as it is printed: that of the manifest, or the path.
    pub fn display(&self) -> String {
        match &self.info {
            Some(info) => String::from_utf8_lossy(&info.name).into_owned(),
            None => self.path.display().to_string(),
        }
    }

    pub fn open(&self) -> Result<MappedFile, String> {
        open(&self.path)
    }
}

/// Maps a regular file: anything else has no end to judge.
fn open(path: &Path) -> Result<MappedFile, String> {
    MappedFile::open(path)
        .map_err(|error| format!("Cannot open file {}: {error}, aborting...", path.display()))
}

impl Log {
    /// The log that `path` means.
    pub fn find(path: &Path) -> Result<Self, String> {
        if path.is_dir() {
            return Self::in_folder(path);
        }
        let named = path.as_os_str().as_bytes().ends_with(SUFFIX.as_bytes());
        if named || looks_like_manifest(open(path)?.bytes()) {
            return Self::of_manifest(path);
        }
        Ok(Self {
            manifest: None,
            files: vec![NamedFile {
                path: path.to_owned(),
                info: None,
            }],
        })
    }

    fn in_folder(folder: &Path) -> Result<Self, String> {
        for folder in [folder, &folder.join(FOLDER)] {
            match manifests(folder)?.as_slice() {
                [] => {}
                [path] => return Self::of_manifest(path),
                [one, two, ..] => {
                    return Err(format!(
                        "There is more than one manifest: {} and {}",
                        one.display(),
                        two.display()
                    ));
                }
            }
        }
        let old = folder.join(OLD_FILE);
        match old.is_file() {
            true => Self::find(&old),
            false => Err(format!(
                "There is no manifest and no {OLD_FILE} in {}",
                folder.display()
            )),
        }
    }

    fn of_manifest(path: &Path) -> Result<Self, String> {
        let manifest = Manifest::parse(open(path)?.bytes())
            .map_err(|error| error.report().trim_end().to_owned())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = manifest
            .files()
            .map(|info| NamedFile {
                path: folder.join(OsStr::from_bytes(&info.name)),
                info: Some(info.clone()),
            })
            .collect();
        Ok(Self {
            manifest: Some((path.to_owned(), manifest)),
            files,
        })
    }
}

/// The manifests of a folder; one that is being written is none.
fn manifests(folder: &Path) -> Result<Vec<PathBuf>, String> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let fail = |error: io::Error| format!("Cannot read folder {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        if name.as_bytes().ends_with(SUFFIX.as_bytes()) && !name.as_bytes().starts_with(b"temp-") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// True if the first line that is no comment is one of a manifest.
fn looks_like_manifest(bytes: &[u8]) -> bool {
    bytes
        .split(|byte| *byte == b'\n')
        .find(|line| !line.starts_with(b"#"))
        .is_some_and(|line| line.starts_with(b"file "))
}
