//! Keeps the lineage record of the running server: which data set it is, how far it has come,
//! and which files hold it.
//!
//! The commit index is a clock of the data set that outlives the process. With the log on it is
//! the index of the newest batch; without, every snapshot moves it on by one. A snapshot made
//! beside the log carries the index of the newest batch it is sure to hold.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::env::disk::parent;
use parking_lot::Mutex;

use super::verdict::{Good, Load};
use super::{AUX_ID, AUX_INDEX, DataSetId, ExpectedAof, ExpectedFile, ExpectedRdb, Lineage};
use crate::persist::aof::folder::Folder;
use crate::server::{Server, unix_ms};

/// The record in memory.
#[derive(Debug, Default)]
pub struct Keeper(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    id: Option<DataSetId>,
    /// The newest index there is.
    index: u64,
    /// Every change up to here is durable in the files.
    durable: u64,
    rdb: Option<ExpectedRdb>,
    aof: Option<ExpectedAof>,
}

impl Keeper {
    /// Goes on with a data set, as far as it was loaded.
    pub fn adopt(&self, id: Option<DataSetId>, index: u64, record: Option<&Lineage>) {
        let mut kept = self.0.lock();
        kept.id = id;
        let record = record.filter(|record| Some(record.id) == id);
        kept.index = index.max(record.map_or(0, |record| record.index));
        kept.durable = record.map_or(0, |record| record.index);
        kept.rdb = record.and_then(|record| record.rdb.clone());
        kept.aof = record.and_then(|record| record.aof.clone());
        if let Some(rdb) = &kept.rdb {
            kept.index = kept.index.max(rdb.index);
        }
    }

    /// The data set; it begins now if there was none.
    pub fn id(&self) -> DataSetId {
        let mut kept = self.0.lock();
        *kept.id.get_or_insert_with(|| {
            DataSetId::random().unwrap_or_else(|error| {
                // Random enough to tell data sets apart, which is all it is for.
                tracing::warn!("No random numbers for the data set id: {error}");
                DataSetId((unix_ms() as u128 * u128::from(std::process::id())).to_be_bytes())
            })
        })
    }

    /// How much of a file of the log was synced, as far as the record says.
    pub fn synced_len(&self, name: &str) -> u64 {
        let kept = self.0.lock();
        let incr = kept.aof.iter().flat_map(|aof| &aof.incr);
        let found = incr.filter(|file| file.name == name).map(|file| file.len);
        found.max().unwrap_or(0)
    }

    /// The index of the next batch or snapshot.
    pub fn next_index(&self) -> u64 {
        self.0.lock().index.saturating_add(1)
    }

    /// The log has come to this index.
    pub fn reached(&self, index: u64) {
        let mut kept = self.0.lock();
        kept.index = kept.index.max(index);
    }
}

impl Server {
    /// The commit index of a snapshot that is being cut. Read before the cut, so that the
    /// snapshot holds at least this.
    pub(in crate::persist) fn snapshot_index(&self) -> u64 {
        let aof = &self.persist.aof;
        if aof.promised.load(Relaxed) {
            return aof.facts.last_index.load(Relaxed);
        }
        let mut kept = self.persist.lineage.0.lock();
        kept.index = kept.index.saturating_add(1);
        kept.index
    }

    /// What a snapshot says of its data set.
    pub(in crate::persist) fn lineage_fields(&self, index: u64) -> [(Vec<u8>, Vec<u8>); 2] {
        let id = self.persist.lineage.id().to_string();
        [
            (AUX_ID.into(), id.into_bytes()),
            (AUX_INDEX.into(), index.to_string().into_bytes()),
        ]
    }

    /// A snapshot is in its place.
    pub(in crate::persist) fn record_snapshot(&self, name: &str, len: u64, index: u64) {
        let mut kept = self.persist.lineage.0.lock();
        kept.rdb = Some(ExpectedRdb {
            name: name.to_owned(),
            len,
            index,
        });
        if kept.aof.is_none() {
            kept.durable = index;
        }
        self.store_record(&kept);
    }

    /// The files of the log have changed. `None`: they only count with a base that is in the
    /// making.
    pub(in crate::persist) fn record_log(&self, log: Option<(&Folder, u64)>) {
        let Some((folder, len)) = log else { return };
        let facts = &self.persist.aof.facts;
        // Makes it known if this is the first of all.
        let _ = self.persist.lineage.id();
        let mut kept = self.persist.lineage.0.lock();
        kept.index = kept.index.max(facts.last_index.load(Relaxed));
        kept.durable = facts.durable_index.load(Relaxed);
        kept.aof = Some(expected(folder, len));
        // Beside the log, wherever `CONFIG SET dir` has brought the process.
        self.store_record_in(&kept, parent(folder.dir()));
    }

    /// The log is off from now on.
    pub(in crate::persist) fn record_log_off(&self) {
        let facts = &self.persist.aof.facts;
        let _ = self.persist.lineage.id();
        let mut kept = self.persist.lineage.0.lock();
        kept.index = kept.index.max(facts.last_index.load(Relaxed));
        kept.durable = kept.rdb.as_ref().map_or(0, |rdb| rdb.index);
        kept.aof = None;
        self.store_record(&kept);
    }

    /// What is not loaded is put aside, and no more expected.
    pub(in crate::persist) fn record_aside(&self, good: &Good) {
        let _ = self.persist.lineage.id();
        let mut kept = self.persist.lineage.0.lock();
        if good.load != Load::Aof {
            kept.aof = None;
            kept.durable = kept.rdb.as_ref().map_or(0, |rdb| rdb.index);
        }
        if good.load != Load::Rdb {
            kept.rdb = None;
        }
        self.store_record(&kept);
    }

    fn store_record(&self, kept: &Kept) {
        self.store_record_in(kept, &self.persist.place.dir);
    }

    fn store_record_in(&self, kept: &Kept, dir: &Path) {
        let Some(id) = kept.id else { return };
        let record = Lineage {
            id,
            index: kept.durable,
            updated_ms: u64::try_from(unix_ms()).unwrap_or(0),
            rdb: kept.rdb.clone(),
            aof: kept.aof.clone(),
        };
        if let Err(error) = record.store(self.persist.place.disk.as_ref(), dir) {
            // It is behind then, and claims less than there is.
            tracing::warn!("Cannot write {}: {error}", super::FILE_NAME);
        }
    }
}

/// What the next start should find of the log.
fn expected(folder: &Folder, last_len: u64) -> ExpectedAof {
    let last = folder.manifest.incr.last();
    let file = |info: &basalt_formats::aof::FileInfo| {
        let len = if Some(info) == last {
            last_len
        } else {
            folder.disk().len(&folder.path(&info.name)).unwrap_or(0)
        };
        ExpectedFile {
            name: String::from_utf8_lossy(&info.name).into_owned(),
            seq: u64::try_from(info.seq).unwrap_or(0),
            len,
        }
    };
    let dir = folder.dir().file_name().unwrap_or_default();
    ExpectedAof {
        dir: String::from_utf8_lossy(dir.as_bytes()).into_owned(),
        base: folder.manifest.base.as_ref().map(file),
        incr: folder.manifest.incr.iter().map(file).collect(),
    }
}
