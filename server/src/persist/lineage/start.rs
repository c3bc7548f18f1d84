//! At start: what is to be loaded, by what is there and what should be.
//!
//! The files are looked at, judged, and found for loading. Damage that the loader would name
//! better is left to the loader when no record says anything about the files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use basalt_engine::env::disk::{Disk, DiskError, RealDisk};
use basalt_formats::aof::annotation::{self, BATCH_BYTES, HEADER_BYTES, Line, LineError};
use basalt_formats::aof::{Manifest, manifest_name};
use basalt_formats::rdb::file::{FileReader, Record};

use super::facts::{Found, FoundAof, Settings, Tag};
use super::judge::judge;
use super::survey::{Listed, Probe, survey};
use super::verdict::{Cause, Good, Load, Verdict};
use super::{AUX_ID, AUX_INDEX, DataSetId};
use crate::config::Config;
use crate::persist::aof::AofFiles;
use crate::persist::load::{LoadFailure, Source, find, snapshot_at, tell_of_snapshot};
use crate::persist::mapped::MappedFile;
use crate::server::{Server, unix_ms};

/// Auxiliary fields stand at the begin of a snapshot.
const HEAD_BYTES: usize = 64 * 1024;

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The files are not those that should be there.
    #[error("Refusing to start: {cause}. {hint}")]
    Judged {
        /// What is wrong.
        cause: Cause,
        /// What the operator can do.
        hint: String,
    },
    /// The disk does not let us look.
    #[error("Can't look at the data directory: {0}")]
    Disk(#[from] DiskError),
    /// Files that are not loaded cannot be moved out of the way.
    #[error("Can't keep {name} aside: {cause}")]
    Aside {
        /// The file or folder.
        name: String,
        /// Why.
        cause: DiskError,
    },
}

/// Reads what files say of themselves.
pub(in crate::persist) struct Files;

impl Probe for Files {
    fn rdb(&self, disk: &dyn Disk, path: &Path) -> Result<Tag, String> {
        let head = disk
            .read_range(path, 0, HEAD_BYTES)
            .map_err(|error| error.to_string())?;
        let mut reader = FileReader::new(&head).map_err(|error| error.to_string())?;
        let mut tag = Tag::default();
        while let Ok(Record::Aux { key, value }) = reader.next_record() {
            let text = std::str::from_utf8(&value).unwrap_or_default();
            if key == AUX_ID.as_bytes() {
                tag.id = text.parse().ok();
            } else if key == AUX_INDEX.as_bytes() {
                tag.index = text.parse().ok();
            }
        }
        Ok(tag)
    }

    fn manifest(&self, bytes: &[u8]) -> Result<Listed, String> {
        let manifest = Manifest::parse(bytes).map_err(|error| error.to_string())?;
        let file = |info: &basalt_formats::aof::FileInfo| {
            let name = String::from_utf8_lossy(&info.name).into_owned();
            (name, u64::try_from(info.seq).unwrap_or(0))
        };
        Ok(Listed {
            id: manifest.lineage.map(|lineage| DataSetId(lineage.0)),
            base: manifest.base.as_ref().map(file),
            incr: manifest.incr.iter().map(file).collect(),
        })
    }

    fn log(&self, _: &dyn Disk, dir: &Path, listed: &Listed) -> Tag {
        let mut tag = Tag::default();
        for (name, _) in listed.incr.iter().rev() {
            let Ok(file) = MappedFile::open(&dir.join(OsStr::from_bytes(name.as_bytes()))) else {
                continue;
            };
            if let Some((id, index)) = last_batch(file.bytes()) {
                tag.id = Some(id);
                tag.index = index;
                return tag;
            }
        }
        tag
    }
}

/// Whose a file of the log is, and the index of its last whole batch, unless it cannot be told.
/// Goes from line to line without reading the batches.
pub(in crate::persist) fn last_batch(bytes: &[u8]) -> Option<(DataSetId, Option<u64>)> {
    let Ok((Line::Header(header), _)) = annotation::read(bytes) else {
        return None;
    };
    let id = DataSetId(header.lineage.0);
    let mut index = header.first.saturating_sub(1);
    let mut at = HEADER_BYTES;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let batch = match annotation::read(rest) {
            Ok((Line::Batch(batch), _)) => batch,
            Err(LineError::Torn) => break,
            // The loader will say what it is.
            _ => return Some((id, None)),
        };
        let length = usize::try_from(batch.length).unwrap_or(usize::MAX);
        at = at.saturating_add(BATCH_BYTES).saturating_add(length);
        if at > bytes.len() {
            break;
        }
        index = batch.index;
    }
    Some((id, Some(index)))
}

fn settings(config: &Config) -> Settings {
    let id = config.data_set_id.as_deref().map(str::parse);
    Settings {
        appendonly: config.appendonly,
        dbfilename: config.dbfilename.clone(),
        appenddirname: config.appenddirname.clone(),
        allow_data_loss: config.allow_data_loss,
        data_set_id: id.and_then(Result::ok),
    }
}

/// A single file of a server before Redis 7, which only the loader knows.
fn has_older_layout(config: &Config) -> bool {
    let dir = Path::new(&config.appenddirname);
    let manifest = manifest_name(config.appendfilename.as_bytes());
    config.appendonly
        && Path::new(&config.appendfilename).is_file()
        && !dir.join(OsStr::from_bytes(&manifest)).exists()
}

impl Server {
    /// What is to be loaded; `None` if the data set begins empty. Files that are in the way and
    /// not loaded have other names afterwards.
    ///
    /// # Errors
    /// [`LoadFailure`]: the process must not start.
    pub fn find_data(&self, config: &Config) -> Result<Option<Source>, LoadFailure> {
        if has_older_layout(config) {
            return find(config);
        }
        let settings = settings(config);
        if config.appendonly && !config.allow_data_loss {
            // What is wrong with the log itself, the loader says in the words of Redis.
            AofFiles::find(config)?;
        }
        let manifest = manifest_name(config.appendfilename.as_bytes());
        let manifest = String::from_utf8_lossy(&manifest);
        let found = survey(&RealDisk, Path::new("."), &manifest, &settings, &Files)
            .map_err(Refusal::Disk)?;
        let good = match judge(&found, &settings) {
            Verdict::Fresh => {
                self.adopt(&found, None, Load::Nothing);
                return find(config);
            }
            Verdict::Good(good) => good,
            Verdict::Refuse {
                cause: Cause::BadRdb { .. },
                ..
            } => return find(config),
            Verdict::Refuse { cause, hint } => {
                return Err(Refusal::Judged { cause, hint }.into());
            }
        };
        for note in &good.notes {
            tracing::warn!("{note}");
        }
        self.adopt(&found, good.id, good.load);
        self.take(config, &good)
    }

    /// Goes on with a data set.
    fn adopt(&self, found: &Found, id: Option<DataSetId>, load: Load) {
        let record = found.lineage.as_ref().ok().and_then(Option::as_ref);
        let rdb = found.rdb.as_ref().and_then(|rdb| rdb.tag.as_ref().ok());
        let log = match &found.aof {
            FoundAof::Log(log) => log.tag.index,
            _ => None,
        };
        let index = match load {
            Load::Nothing => 0,
            _ => rdb.and_then(|tag| tag.index).max(log).unwrap_or(0),
        };
        self.persist.lineage.adopt(id, index, record);
    }

    fn take(&self, config: &Config, good: &Good) -> Result<Option<Source>, LoadFailure> {
        let source = match good.load {
            Load::Nothing => None,
            Load::Rdb => {
                if config.appendonly {
                    tell_of_snapshot(config);
                }
                snapshot_at(config.dbfilename.clone().into())?
            }
            Load::Aof => AofFiles::find(config)?.map(Source::Log),
        };
        if good.keep_aside {
            // First it is expected no more: a crash in between finds files, and no promise.
            self.record_aside(good);
            if good.load != Load::Aof {
                keep_aside(&config.appenddirname)?;
            }
            if good.load != Load::Rdb {
                keep_aside(&config.dbfilename)?;
            }
        }
        Ok(source)
    }
}

/// Gives something that is not loaded another name.
fn keep_aside(name: &str) -> Result<(), Refusal> {
    let kept = format!("{name}.aside-{}", unix_ms());
    let result = match RealDisk.stat(Path::new(name)) {
        Ok(None) => return Ok(()),
        Ok(Some(_)) => RealDisk
            .rename(Path::new(name), Path::new(&kept))
            .and_then(|()| RealDisk.sync_dir(Path::new("."))),
        Err(error) => Err(error),
    };
    result.map_err(|cause| Refusal::Aside {
        name: name.to_owned(),
        cause,
    })?;
    tracing::warn!("{name} is not loaded; it is kept as {kept}");
    Ok(())
}
