//! Looks at a data directory for [`judge`](super::judge::judge): names, lengths, times, and what the
//! files say of themselves. It reads and changes nothing else.

use std::path::{Path, PathBuf};

use basalt_engine::env::disk::{Disk, DiskError, FileMeta};

use super::facts::{Found, FoundAof, FoundFile, FoundLog, FoundRdb, Settings, Tag};
use super::{Lineage, LineageError};

/// A manifest has a line for each file, and no log has that many.
const MANIFEST_MAX: usize = 16 << 20;

/// Reads what the files say. It knows their formats, which this module does not.
pub trait Probe {
    /// The tag of an RDB file, from its AUX fields.
    ///
    /// # Errors
    /// Why the file is no RDB file.
    fn rdb(&self, disk: &dyn Disk, path: &Path) -> Result<Tag, String>;

    /// The files that a manifest lists (base, increments), and the data set it names if it does.
    ///
    /// # Errors
    /// Why it can't be read.
    fn manifest(&self, bytes: &[u8]) -> Result<Listed, String>;

    /// The index of the last whole batch of the log, if it can be told without loading it, and
    /// the data set if the files name one.
    fn log(&self, disk: &dyn Disk, dir: &Path, listed: &Listed) -> Tag;
}

/// What a manifest lists, by name and number.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The data set, if the manifest names it.
    pub id: Option<super::DataSetId>,
    /// The base.
    pub base: Option<(String, u64)>,
    /// The increments, oldest first.
    pub incr: Vec<(String, u64)>,
}

/// Looks at `dir`. `manifest` is the name of the manifest.
///
/// # Errors
/// When the disk does not let us look. That something is missing or damaged is no error here.
pub fn survey(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &str,
    settings: &Settings,
    probe: &dyn Probe,
) -> Result<Found, DiskError> {
    let lineage = match Lineage::load(disk, dir) {
        Err(LineageError::Disk(error)) => return Err(error),
        other => other.map_err(|error| error.to_string()),
    };
    let path = dir.join(&settings.dbfilename);
    let rdb = disk.stat(&path)?.map(|meta| FoundRdb {
        len: meta.len,
        modified_ms: meta.modified_ms,
        changed_ms: meta.changed_ms,
        tag: probe.rdb(disk, &path),
    });
    let aof = survey_log(disk, &dir.join(&settings.appenddirname), manifest, probe)?;
    Ok(Found { lineage, rdb, aof })
}

fn survey_log(
    disk: &dyn Disk,
    dir: &Path,
    manifest: &str,
    probe: &dyn Probe,
) -> Result<FoundAof, DiskError> {
    if !matches!(disk.stat(dir)?, Some(meta) if meta.is_dir) {
        return Ok(FoundAof::Nothing);
    }
    let path = dir.join(manifest);
    let Some(meta) = disk.stat(&path)? else {
        return orphans(disk, dir, manifest);
    };
    // Too large is damage, not trouble with the disk.
    let bytes = disk.read_range(&path, 0, MANIFEST_MAX)?;
    match probe.manifest(&bytes) {
        Err(reason) => Ok(FoundAof::BadManifest(reason)),
        Ok(listed) => Ok(FoundAof::Log(look(disk, dir, meta, &listed, probe)?)),
    }
}

fn look(
    disk: &dyn Disk,
    dir: &Path,
    manifest: FileMeta,
    listed: &Listed,
    probe: &dyn Probe,
) -> Result<FoundLog, DiskError> {
    let mut modified_ms = manifest.modified_ms;
    let mut file = |(name, seq): &(String, u64)| -> Result<FoundFile, DiskError> {
        let meta = disk.stat(&dir.join(name))?.filter(|meta| !meta.is_dir);
        modified_ms = modified_ms.max(meta.map_or(0, |meta| meta.modified_ms));
        Ok(FoundFile {
            name: name.clone(),
            seq: *seq,
            len: meta.map(|meta| meta.len),
        })
    };
    let base = listed.base.as_ref().map(&mut file).transpose()?;
    let incr = listed
        .incr
        .iter()
        .map(&mut file)
        .collect::<Result<_, _>>()?;
    let mut tag = probe.log(disk, dir, listed);
    tag.id = listed.id.or(tag.id);
    Ok(FoundLog {
        base,
        incr,
        tag,
        changed_ms: manifest.changed_ms,
        modified_ms,
    })
}

/// Files of a log without a manifest. None of them holds anything that was acknowledged when all
/// are empty, or when the very first manifest is still waiting under its temporary name: the
/// writer puts it there, synced, before it creates the files it names.
fn orphans(disk: &dyn Disk, dir: &Path, manifest: &str) -> Result<FoundAof, DiskError> {
    let names = disk.list(dir)?;
    if names.contains(&PathBuf::from(format!("temp-{manifest}"))) {
        return Ok(FoundAof::Nothing);
    }
    for name in names.iter().filter_map(|name| name.to_str()) {
        let is_data =
            !name.starts_with("temp-") && (name.contains(".base.") || name.contains(".incr."));
        if is_data && disk.len(&dir.join(name))? > 0 {
            return Ok(FoundAof::NoManifest {
                example: name.to_owned(),
            });
        }
    }
    Ok(FoundAof::Nothing)
}
