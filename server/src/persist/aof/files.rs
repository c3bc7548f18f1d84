//! Which files make up the log: by the manifest, or a single file of a server before Redis 7.
//!
//! ```text
//! dir/appendonly.aof                       before Redis 7: moved into the folder
//! dir/appendonlydir/appendonly.aof.manifest
//! dir/appendonlydir/appendonly.aof.1.base.rdb, .1.incr.aof, .2.incr.aof ...
//! ```
//!
//! Invariant: if there are signs of a log, there is one to load or the process ends. A folder
//! with files but no manifest is no empty log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use basalt_formats::aof::{FileType, Manifest, manifest_name, temporary_manifest_name};

use super::load::AofFailure;
use crate::config::Config;
use crate::config::text::os_reason;
use crate::persist::mapped::MappedFile;

/// One file of the log.
#[derive(Debug)]
pub struct AofFile {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its sequence number in the manifest.
    pub seq: i64,
    /// Base or increment.
    pub kind: FileType,
    /// Its content.
    pub content: MappedFile,
}

/// The log as its manifest describes it.
#[derive(Debug)]
pub struct AofFiles {
    /// The manifest.
    pub manifest: Manifest,
    /// The files in the order of loading.
    pub files: Vec<AofFile>,
}

impl AofFiles {
    /// Finds the log that the configuration names; `None` if there is none. A single file of an
    /// older layout is moved into the folder.
    ///
    /// # Errors
    /// When there are signs of a log, but it cannot be loaded as a whole.
    pub fn find(config: &Config) -> Result<Option<AofFiles>, AofFailure> {
        let dir = Path::new(&config.appenddirname);
        let old = Path::new(&config.appendfilename);
        let manifest_path = dir.join(file_name(&manifest_name(config.appendfilename.as_bytes())));
        let mut manifest = match fs::read(&manifest_path) {
            Ok(text) => Manifest::parse(&text).map_err(AofFailure::Manifest)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Manifest::default(),
            Err(cause) => {
                return Err(AofFailure::Open {
                    name: manifest_path.display().to_string(),
                    cause,
                });
            }
        };
        if old.is_file() && is_older_layout(&manifest, dir, config) {
            manifest = Manifest::upgrade(config.appendfilename.as_bytes());
            adopt(&manifest, dir, config)?;
        }
        if manifest.is_empty() && manifest.lineage.is_some() {
            // Made before the first files, which never came to count.
            return Ok(None);
        }
        if manifest.is_empty() {
            return match orphan(dir) {
                Some(name) => Err(AofFailure::NoManifest {
                    manifest: manifest_path.display().to_string(),
                    name,
                }),
                None => Ok(None),
            };
        }
        let files = manifest
            .files()
            .map(|info| {
                let name = file_name(&info.name);
                let path = dir.join(&name);
                match MappedFile::open(&path) {
                    Ok(content) => Ok(AofFile {
                        name,
                        path,
                        seq: info.seq,
                        kind: info.kind,
                        content,
                    }),
                    Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                        Err(AofFailure::Missing { name })
                    }
                    Err(cause) => Err(AofFailure::Open { name, cause }),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Some(AofFiles { manifest, files }))
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        let sizes = self.files.iter().map(|file| file.content.bytes().len());
        sizes.map(|size| size as u64).sum()
    }
}

/// A name from a manifest as the system takes it.
fn file_name(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Whether the single file is the log: there is no other, or an upgrade was cut short before
/// the file was moved.
fn is_older_layout(manifest: &Manifest, dir: &Path, config: &Config) -> bool {
    let unmoved = manifest.incr.is_empty()
        && manifest.base.as_ref().is_some_and(|base| {
            base.name == config.appendfilename.as_bytes()
                && !dir.join(&config.appendfilename).exists()
        });
    !dir.is_dir() || manifest.is_empty() && orphan(dir).is_none() || unmoved
}

/// A file of a log that no manifest names.
fn orphan(dir: &Path) -> Option<String> {
    fs::read_dir(dir).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_part = name.contains(".base.") || name.contains(".incr.");
        let filled = entry.metadata().is_ok_and(|facts| facts.len() > 0);
        (is_part && filled && !name.starts_with("temp-")).then_some(name)
    })
}

/// Moves a single file into the folder, its manifest first: whatever happens in between, the
/// next start finds what is left to do.
fn adopt(manifest: &Manifest, dir: &Path, config: &Config) -> Result<(), AofFailure> {
    let cannot = |what: &'static str| {
        move |cause: io::Error| AofFailure::Upgrade {
            what,
            reason: os_reason(&cause),
        }
    };
    if let Err(error) = fs::create_dir(dir)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(cannot("create the folder")(error));
    }
    write_manifest(manifest, dir, config).map_err(cannot("write the manifest"))?;
    let old = &config.appendfilename;
    fs::rename(old, dir.join(old)).map_err(cannot("move the file"))?;
    sync_dir(dir)
        .and_then(|()| sync_dir(Path::new(".")))
        .map_err(cannot("force the folder to the disk"))?;
    tracing::info!(
        "Successfully migrated an old-style AOF file ({old}) into the AOF directory ({}).",
        config.appenddirname
    );
    Ok(())
}

/// Puts a manifest in the place of the one before, on the disk.
///
/// # Errors
/// What the system says; the one before is in its place then.
pub fn write_manifest(manifest: &Manifest, dir: &Path, config: &Config) -> io::Result<()> {
    use std::io::Write;
    let prefix = config.appendfilename.as_bytes();
    let temporary = dir.join(file_name(&temporary_manifest_name(prefix)));
    let mut file = File::create(&temporary)?;
    file.write_all(&manifest.to_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(file_name(&manifest_name(prefix))))?;
    sync_dir(dir)
}

/// Forces the entries of a folder to the disk.
///
/// # Errors
/// What the system says.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
