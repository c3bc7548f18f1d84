//! Whether what is on disk is what should be there, and what to load. Pure: it looks at nothing.
//!
//! | lineage | files | verdict |
//! |---|---|---|
//! | none | none | fresh |
//! | none | from Redis, or ours with the record removed | load them, with a note |
//! | says files | they are there, as new as recorded or newer | load them |
//! | says files | missing, shorter, older, foreign, unreadable | refuse |
//! | says a log | `appendonly no`, and the snapshot is behind | refuse |
//! | says files | a snapshot by Redis, put there after the record | load it, with a note |
//! | unreadable | any | refuse |
//!
//! **Restoring on purpose.** To put a dump of Redis in place must stay as simple as with Redis:
//! stop, copy `dump.rdb`, start. Such a file has no id of ours, and its inode changed after the
//! record was written (copying tools can set back the time of modification, not that of
//! change). Nothing but a restore makes such a file, so it is loaded, as a new data set. An
//! *own* older dump is refused: that is also how a volume that was rolled back looks. The
//! refusal says what to do, which is `allow-data-loss yes` for one start, or removing
//! `basalt.lineage`. What is not loaded is then kept aside, not written over.
//!
//! **Which of two files.** With the log on, the log is loaded, as Redis does, unless the
//! snapshot is of the same data set and known to be newer: after `appendonly` was off for a
//! while the log is behind, and Redis goes back in time there.

use std::fmt;

use super::{DataSetId, ExpectedAof, ExpectedFile, ExpectedRdb, FILE_NAME, Lineage};

/// What of the configuration matters.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `appendonly`.
    pub appendonly: bool,
    /// `dbfilename`.
    pub dbfilename: String,
    /// `appenddirname`.
    pub appenddirname: String,
    /// `allow-data-loss`.
    pub allow_data_loss: bool,
    /// `data-set-id`: the data set that `dir` must hold. It alone tells an empty directory that
    /// should not be empty (a volume that is not mounted) from a new one.
    pub data_set_id: Option<DataSetId>,
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Its data set; none in files of Redis.
    pub id: Option<DataSetId>,
    /// Its commit index: of an RDB file that of its cut, of a log that of its last batch.
    pub index: Option<u64>,
}

/// What is on disk.
#[derive(Clone, Debug)]
pub struct Found {
    /// The lineage record; the text says why it can't be read.
    pub lineage: Result<Option<Lineage>, String>,
    /// The snapshot file.
    pub rdb: Option<FoundRdb>,
    /// The log.
    pub aof: FoundAof,
}

/// A snapshot file that is there.
#[derive(Clone, Debug)]
pub struct FoundRdb {
    /// Its length.
    pub len: u64,
    /// When its content was written.
    pub modified_ms: u64,
    /// When it was put in its place.
    pub changed_ms: u64,
    /// What it says of itself, or why it can't be read.
    pub tag: Result<Tag, String>,
}

/// What there is of a log.
#[derive(Clone, Debug)]
pub enum FoundAof {
    /// Nothing.
    Nothing,
    /// Files of a log, and no manifest.
    NoManifest {
        /// One of the files.
        example: String,
    },
    /// A manifest that can't be read.
    BadManifest(String),
    /// A log.
    Log(FoundLog),
}

/// A log with a readable manifest.
#[derive(Clone, Debug)]
pub struct FoundLog {
    /// The base.
    pub base: Option<FoundFile>,
    /// The increments, oldest first.
    pub incr: Vec<FoundFile>,
    /// What the files say; `index` only if their end was looked at.
    pub tag: Tag,
    /// When the manifest was put in its place.
    pub changed_ms: u64,
    /// When the newest of its files was written.
    pub modified_ms: u64,
}

/// A file that a manifest names.
#[derive(Clone, Debug)]
pub struct FoundFile {
    /// Its name.
    pub name: String,
    /// Its number.
    pub seq: u64,
    /// Its length; none if it is not there.
    pub len: Option<u64>,
}

/// What to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Nothing: begin empty.
    Nothing,
    /// The snapshot file.
    Rdb,
    /// The log.
    Aof,
}

/// What to do at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no data and there should be none.
    Fresh,
    /// Go on.
    Good(Good),
    /// Do not start.
    Refuse {
        /// What is wrong.
        cause: Cause,
        /// What the operator can do.
        hint: String,
    },
}

/// How to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    /// What to load.
    pub load: Load,
    /// The data set this continues; none if a new one begins.
    pub id: Option<DataSetId>,
    /// Whether there are files, not loaded, that must be moved aside before new ones of their
    /// name are written.
    pub keep_aside: bool,
    /// What to log.
    pub notes: Vec<String>,
}

/// Why not to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The lineage record can't be read.
    #[error("can't read the lineage record {FILE_NAME}: {0}")]
    LineageUnreadable(String),
    /// `data-set-id` names a data set, and the directory is empty.
    #[error(
        "the directory holds no data, and data-set-id says that it holds data set {0}: is the volume mounted, and is 'dir' right?"
    )]
    NoDataSet(DataSetId),
    /// Another data set.
    #[error("{what} belongs to data set {found}, expected is {expected}")]
    Foreign {
        /// The file.
        what: String,
        /// Whose it should be.
        expected: DataSetId,
        /// Whose it is.
        found: DataSetId,
    },
    /// A file of unknown origin where one of ours was.
    #[error(
        "{what} was not written by this data set ({expected}) and was there before its last run ended"
    )]
    Unknown {
        /// The file.
        what: String,
        /// Whose it should be.
        expected: DataSetId,
    },
    /// A file is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// There is a log without its manifest.
    #[error("{dir} holds {example} and no manifest")]
    NoManifest {
        /// The directory.
        dir: String,
        /// A file in it.
        example: String,
    },
    /// The manifest can't be read.
    #[error("can't read the manifest in {dir}: {reason}")]
    BadManifest {
        /// The directory.
        dir: String,
        /// Why.
        reason: String,
    },
    /// The snapshot file can't be read.
    #[error("can't read {name}: {reason}")]
    BadRdb {
        /// The file.
        name: String,
        /// Why.
        reason: String,
    },
    /// A file has lost its end.
    #[error("{name} has {found} bytes, and {recorded} were synced")]
    Truncated {
        /// The file.
        name: String,
        /// What was recorded.
        recorded: u64,
        /// What is there.
        found: u64,
    },
    /// A file that does not change has changed.
    #[error("{name} has {found} bytes, and had {recorded}")]
    Changed {
        /// The file.
        name: String,
        /// What was recorded.
        recorded: u64,
        /// What is there.
        found: u64,
    },
    /// Data of an earlier moment.
    #[error("{what} is of commit index {found}, and {recorded} was durable")]
    Older {
        /// What.
        what: String,
        /// What was recorded.
        recorded: u64,
        /// What is there.
        found: u64,
    },
    /// A manifest of an earlier moment.
    #[error("the manifest in {dir} is an older one: it does not know {name}")]
    OlderManifest {
        /// The directory.
        dir: String,
        /// A file that was recorded.
        name: String,
    },
    /// `appendonly no`, though the log holds more.
    #[error("appendonly is off, and the log in {dir} is newer than {rdb}")]
    LogNotLoaded {
        /// The directory.
        dir: String,
        /// The snapshot file, or that there is none.
        rdb: String,
    },
}

/// Decides whether to start, and with which data.
pub fn judge(found: &Found, settings: &Settings) -> Verdict {
    let judged = Judge { found, settings }.verdict();
    match judged {
        Ok(verdict) => verdict,
        Err(cause) if settings.allow_data_loss => overridden(found, settings, &cause),
        Err(cause) => Verdict::Refuse {
            hint: hint(&cause),
            cause,
        },
    }
}

/// What can be loaded in spite of all, as a new data set.
fn overridden(found: &Found, settings: &Settings, cause: &Cause) -> Verdict {
    let log_is_whole = match &found.aof {
        FoundAof::Log(log) => log.missing().is_none() && log.has_data(),
        _ => false,
    };
    let load = if settings.appendonly && log_is_whole {
        Load::Aof
    } else if matches!(&found.rdb, Some(rdb) if rdb.tag.is_ok()) {
        Load::Rdb
    } else {
        Load::Nothing
    };
    let loaded = match load {
        Load::Nothing => "starting empty".to_owned(),
        Load::Rdb => format!("loading {}", settings.dbfilename),
        Load::Aof => format!("loading {}", settings.appenddirname),
    };
    Verdict::Good(Good {
        load,
        id: None,
        keep_aside: true,
        notes: vec![format!(
            "allow-data-loss is set: {loaded} although {cause}. Remove it from the configuration now."
        )],
    })
}

fn hint(cause: &Cause) -> String {
    let first = match cause {
        Cause::NoDataSet(_) => {
            return "Mount the volume, correct 'dir', or remove data-set-id to begin a new data set."
                .to_owned();
        }
        Cause::LineageUnreadable(_) => &format!(
            "If the data files are right, remove {FILE_NAME} and start again: they are then taken as they are."
        ),
        Cause::LogNotLoaded { .. } => {
            "Start with 'appendonly yes', and switch it off with CONFIG SET once the data is loaded."
        }
        Cause::BadManifest { .. } | Cause::NoManifest { .. } => {
            "Put the manifest back from a copy."
        }
        Cause::BadRdb { .. } => "'basalt check-rdb' says what can be read of it.",
        _ => "Check that 'dir' is right and its volume mounted, or put the files back.",
    };
    format!(
        "{first} To start in spite of this, without what is missing: 'allow-data-loss yes', for one start; files that are not loaded are kept aside."
    )
}

impl FoundLog {
    fn files(&self) -> impl Iterator<Item = &FoundFile> {
        self.base.iter().chain(&self.incr)
    }

    /// The name of a file that the manifest lists and that is not there.
    fn missing(&self) -> Option<&str> {
        self.files()
            .find(|file| file.len.is_none())
            .map(|file| file.name.as_str())
    }

    fn has_data(&self) -> bool {
        self.base.is_some() || self.incr.iter().any(|file| file.len != Some(0))
    }

    fn bytes(&self) -> u64 {
        let lens = self.files().filter_map(|file| file.len);
        lens.fold(0, u64::saturating_add)
    }

    fn listed(&self, of: &ExpectedFile) -> Option<&FoundFile> {
        self.files().find(|file| file.name == of.name)
    }
}

impl ExpectedAof {
    fn bytes(&self) -> u64 {
        let lens = self.base.iter().chain(&self.incr).map(|file| file.len);
        lens.fold(0, u64::saturating_add)
    }
}

struct Judge<'a> {
    found: &'a Found,
    settings: &'a Settings,
}

type Judged = Result<Verdict, Cause>;

fn good(load: Load, id: Option<DataSetId>) -> Good {
    Good {
        load,
        id,
        keep_aside: false,
        notes: Vec::new(),
    }
}

impl Good {
    fn note(mut self, note: impl fmt::Display) -> Self {
        self.notes.push(note.to_string());
        self
    }

    fn aside(mut self, keep_aside: bool) -> Self {
        self.keep_aside |= keep_aside;
        self
    }
}

impl Judge<'_> {
    fn verdict(&self) -> Judged {
        let lineage = self.found.lineage.as_ref();
        let lineage = lineage.map_err(|reason| Cause::LineageUnreadable(reason.clone()))?;
        let verdict = match lineage {
            Some(lineage) => self.with_lineage(lineage)?,
            None => self.without_lineage()?,
        };
        self.check_wanted(lineage.as_ref(), verdict)
    }

    /// Checks against `data-set-id`.
    fn check_wanted(&self, lineage: Option<&Lineage>, verdict: Verdict) -> Judged {
        let Some(wanted) = self.settings.data_set_id else {
            return Ok(verdict);
        };
        let (what, found) = match (lineage, &verdict) {
            (Some(lineage), _) => (FILE_NAME.to_owned(), Some(lineage.id)),
            (None, Verdict::Good(good)) => ("the data".to_owned(), good.id),
            (None, _) => return Err(Cause::NoDataSet(wanted)),
        };
        match found {
            Some(found) if found == wanted => Ok(verdict),
            Some(found) => Err(Cause::Foreign {
                what,
                expected: wanted,
                found,
            }),
            None => Err(Cause::Unknown {
                what,
                expected: wanted,
            }),
        }
    }

    // --- no record: files of Redis, or ours after the record was removed

    fn without_lineage(&self) -> Judged {
        let rdb = self.found.rdb.as_ref();
        if self.settings.appendonly {
            return match self.log()? {
                Some(log) if log.has_data() || rdb.is_none() => {
                    Ok(Verdict::Good(self.adopt_log(log)))
                }
                // No log beside a snapshot, or an empty one: Redis would start empty here.
                _ => self.adopt_rdb(),
            };
        }
        match (&self.found.aof, rdb) {
            (FoundAof::Nothing, None) => Ok(Verdict::Fresh),
            (FoundAof::Log(log), None) if !log.has_data() => Ok(Verdict::Fresh),
            (FoundAof::Log(log), Some(rdb)) if log.has_data() && newer_log(log, rdb) => {
                Err(self.log_not_loaded())
            }
            (_, Some(_)) => self.adopt_rdb(),
            (_, None) => Err(self.log_not_loaded()),
        }
    }

    fn adopt_log(&self, log: &FoundLog) -> Good {
        if let Some(newer) = self.newer_rdb(log) {
            return newer;
        }
        let dir = &self.settings.appenddirname;
        match log.tag.id {
            Some(id) => good(Load::Aof, Some(id)).note(format!(
                "there is no {FILE_NAME}; going on with data set {id} from {dir}"
            )),
            None => good(Load::Aof, None).note(format!("taking over the log in {dir}")),
        }
    }

    fn adopt_rdb(&self) -> Judged {
        let Some(rdb) = &self.found.rdb else {
            return Ok(Verdict::Fresh);
        };
        let tag = self.rdb_tag(rdb)?;
        let name = &self.settings.dbfilename;
        let taken = good(Load::Rdb, tag.id).aside(self.has_log());
        Ok(Verdict::Good(match tag.id {
            Some(id) => taken.note(format!(
                "there is no {FILE_NAME}; going on with data set {id} from {name}"
            )),
            None => taken.note(format!("taking over {name}")),
        }))
    }

    // --- a record

    fn with_lineage(&self, lineage: &Lineage) -> Judged {
        match (&lineage.aof, self.settings.appendonly) {
            (Some(aof), true) => self.expect_log(lineage, aof),
            (Some(aof), false) => self.log_switched_off(lineage, aof),
            (None, true) => self.log_switched_on(lineage),
            (None, false) => match &lineage.rdb {
                _ if self.logged_since(lineage) => Err(self.log_not_loaded()),
                Some(rdb) => Ok(Verdict::Good(self.expect_rdb(lineage, rdb)?)),
                None => self.nothing_recorded(lineage),
            },
        }
    }

    /// The record names no file: what is there must not be of another data set.
    fn nothing_recorded(&self, lineage: &Lineage) -> Judged {
        let verdict = self.without_lineage()?;
        if let Verdict::Good(good) = &verdict
            && let Some(found) = good.id
        {
            same_id("the data", lineage, found)?;
        }
        Ok(verdict)
    }

    fn expect_log(&self, lineage: &Lineage, expected: &ExpectedAof) -> Judged {
        let dir = &self.settings.appenddirname;
        let Some(log) = self.log()? else {
            return Err(Cause::Missing(format!("the log in {}", expected.dir)));
        };
        if let Some(found) = log.tag.id {
            same_id(&format!("the log in {dir}"), lineage, found)?;
        } else if log.changed_ms <= lineage.updated_ms {
            // A log that Redis wrote since would have a later manifest.
            return Err(Cause::Unknown {
                what: format!("the log in {dir}"),
                expected: lineage.id,
            });
        }
        check_files(dir, log, expected)?;
        if let Some(newer) = self.newer_rdb(log) {
            return Ok(Verdict::Good(newer));
        }
        if let Some(found) = log.tag.index.filter(|found| *found < lineage.index) {
            return Err(Cause::Older {
                what: format!("the log in {dir}"),
                recorded: lineage.index,
                found,
            });
        }
        let mut taken = good(Load::Aof, log.tag.id);
        if log.tag.id.is_none() {
            taken = taken.note(format!(
                "the log in {dir} was written by another server since"
            ));
        }
        if let (Some(expected), None) = (&lineage.rdb, &self.found.rdb) {
            taken = taken.note(format!("{} is missing; the log has all", expected.name));
        }
        Ok(Verdict::Good(taken))
    }

    /// A snapshot of the same data set that is ahead of the log.
    fn newer_rdb(&self, log: &FoundLog) -> Option<Good> {
        let tag = self.found.rdb.as_ref()?.tag.as_ref().ok()?;
        let (rdb, in_log) = (tag.index?, log.tag.index?);
        (tag.id.is_some() && tag.id == log.tag.id && rdb > in_log).then(|| {
            good(Load::Rdb, tag.id).aside(true).note(format!(
                "{} (commit index {rdb}) is newer than the log in {} (commit index {in_log})",
                self.settings.dbfilename, self.settings.appenddirname
            ))
        })
    }

    /// Another server ran here with a log since the record was written, and wrote no snapshot
    /// after it.
    fn logged_since(&self, lineage: &Lineage) -> bool {
        let FoundAof::Log(log) = &self.found.aof else {
            return false;
        };
        let saved = self.found.rdb.as_ref().map_or(0, |rdb| rdb.modified_ms);
        log.has_data() && log.modified_ms > lineage.updated_ms.max(saved)
    }

    /// The log was on, and now is off: all of it must be in the snapshot.
    fn log_switched_off(&self, lineage: &Lineage, expected: &ExpectedAof) -> Judged {
        let Some(rdb) = &self.found.rdb else {
            return Err(self.log_not_loaded());
        };
        let tag = self.rdb_tag(rdb)?;
        let name = &self.settings.dbfilename;
        let Some(id) = tag.id else {
            return match self.restored(lineage, rdb) {
                Some(restored) => Ok(Verdict::Good(restored)),
                None => Err(self.log_not_loaded()),
            };
        };
        same_id(name, lineage, id)?;
        let grown = match &self.found.aof {
            FoundAof::Log(log) => match log.tag.index {
                Some(index) => Some(index) > tag.index,
                None => log.bytes() != expected.bytes(),
            },
            _ => false,
        };
        if grown || tag.index < Some(lineage.index) {
            return Err(self.log_not_loaded());
        }
        let taken = good(Load::Rdb, Some(id)).aside(self.has_log());
        Ok(Verdict::Good(taken.note(format!(
            "appendonly is off now; {name} has all that the log has"
        ))))
    }

    /// The log was off, and now is on: what is there of one is stale, unless it says otherwise.
    fn log_switched_on(&self, lineage: &Lineage) -> Judged {
        let dir = &self.settings.appenddirname;
        let log = self.log().ok().flatten().filter(|log| log.has_data());
        if let Some(log) = log {
            let rdb = self
                .found
                .rdb
                .as_ref()
                .and_then(|rdb| rdb.tag.as_ref().ok());
            let ours = log.tag.id == Some(lineage.id) && log.tag.index >= Some(lineage.index);
            let ahead = ours && log.tag.index >= rdb.and_then(|tag| tag.index);
            let since =
                log.tag.id.is_none_or(|id| id == lineage.id) && log.changed_ms > lineage.updated_ms;
            if ahead || since {
                return Ok(Verdict::Good(
                    good(Load::Aof, log.tag.id)
                        .note(format!("the log in {dir} is newer than {FILE_NAME}")),
                ));
            }
        }
        let Some(expected) = &lineage.rdb else {
            return self.nothing_recorded(lineage);
        };
        let taken = self.expect_rdb(lineage, expected)?;
        Ok(Verdict::Good(taken.aside(self.has_log()).note(format!(
            "appendonly is on now; the log will begin with {}",
            self.settings.dbfilename
        ))))
    }

    fn expect_rdb(&self, lineage: &Lineage, expected: &ExpectedRdb) -> Result<Good, Cause> {
        let name = &self.settings.dbfilename;
        let Some(rdb) = &self.found.rdb else {
            return Err(Cause::Missing(if *name == expected.name {
                name.clone()
            } else {
                format!("{name} (the data was in {})", expected.name)
            }));
        };
        let tag = self.rdb_tag(rdb)?;
        let Some(id) = tag.id else {
            return self.restored(lineage, rdb).ok_or_else(|| Cause::Unknown {
                what: name.clone(),
                expected: lineage.id,
            });
        };
        same_id(name, lineage, id)?;
        let found = tag.index.unwrap_or(0);
        if found < expected.index {
            return Err(Cause::Older {
                what: name.clone(),
                recorded: expected.index,
                found,
            });
        }
        if found == expected.index && rdb.len < expected.len {
            return Err(Cause::Truncated {
                name: name.clone(),
                recorded: expected.len,
                found: rdb.len,
            });
        }
        Ok(good(Load::Rdb, Some(id)))
    }

    /// A snapshot by Redis that was put there since the record was written.
    fn restored(&self, lineage: &Lineage, rdb: &FoundRdb) -> Option<Good> {
        let restored = rdb.changed_ms > lineage.updated_ms;
        restored.then(|| {
            good(Load::Rdb, None).aside(self.has_log()).note(format!(
                "{} was put there after data set {} was last saved; it begins a new data set",
                self.settings.dbfilename, lineage.id
            ))
        })
    }

    // --- what is there

    fn rdb_tag(&self, rdb: &FoundRdb) -> Result<Tag, Cause> {
        rdb.tag.clone().map_err(|reason| Cause::BadRdb {
            name: self.settings.dbfilename.clone(),
            reason,
        })
    }

    fn has_log(&self) -> bool {
        match &self.found.aof {
            FoundAof::Nothing => false,
            FoundAof::Log(log) => log.has_data(),
            FoundAof::NoManifest { .. } | FoundAof::BadManifest(_) => true,
        }
    }

    /// The log, if there is one and its files are there.
    fn log(&self) -> Result<Option<&FoundLog>, Cause> {
        let dir = self.settings.appenddirname.clone();
        match &self.found.aof {
            FoundAof::Nothing => Ok(None),
            FoundAof::NoManifest { example } => Err(Cause::NoManifest {
                dir,
                example: example.clone(),
            }),
            FoundAof::BadManifest(reason) => Err(Cause::BadManifest {
                dir,
                reason: reason.clone(),
            }),
            FoundAof::Log(log) => match log.missing() {
                Some(name) => Err(Cause::Missing(format!("{dir}/{name}"))),
                None => Ok(Some(log)),
            },
        }
    }

    fn log_not_loaded(&self) -> Cause {
        let name = &self.settings.dbfilename;
        Cause::LogNotLoaded {
            dir: self.settings.appenddirname.clone(),
            rdb: match &self.found.rdb {
                Some(_) => name.clone(),
                None => format!("{name}, which is missing"),
            },
        }
    }
}

/// Whether a log without a record is ahead of a snapshot: by what they say, or by their times.
fn newer_log(log: &FoundLog, rdb: &FoundRdb) -> bool {
    match (
        log.tag.index,
        rdb.tag.as_ref().ok().and_then(|tag| tag.index),
    ) {
        (Some(in_log), Some(in_rdb)) => in_log > in_rdb,
        _ => log.modified_ms > rdb.modified_ms,
    }
}

fn same_id(what: &str, lineage: &Lineage, found: DataSetId) -> Result<(), Cause> {
    if found == lineage.id {
        return Ok(());
    }
    Err(Cause::Foreign {
        what: what.to_owned(),
        expected: lineage.id,
        found,
    })
}

/// Compares the files of a log with those recorded. It may have moved on since: newer files may
/// be listed, and older ones be gone with a rewrite.
fn check_files(dir: &str, log: &FoundLog, expected: &ExpectedAof) -> Result<(), Cause> {
    let older = |name: &str| Cause::OlderManifest {
        dir: dir.to_owned(),
        name: name.to_owned(),
    };
    let base = |base: &Option<FoundFile>| base.as_ref().map_or(0, |base| base.seq);
    let rewritten = base(&log.base) > expected.base.as_ref().map_or(0, |base| base.seq);
    if let Some(expected) = &expected.base {
        match log.listed(expected) {
            Some(found) if found.len != Some(expected.len) => {
                return Err(Cause::Changed {
                    name: format!("{dir}/{}", expected.name),
                    recorded: expected.len,
                    found: found.len.unwrap_or(0),
                });
            }
            None if !rewritten => return Err(older(&expected.name)),
            _ => {}
        }
    }
    let newest = log.incr.last().map_or(0, |incr| incr.seq);
    for expected in &expected.incr {
        match log.listed(expected) {
            Some(found) if found.len < Some(expected.len) => {
                return Err(Cause::Truncated {
                    name: format!("{dir}/{}", expected.name),
                    recorded: expected.len,
                    found: found.len.unwrap_or(0),
                });
            }
            // A rewrite replaces increments by a base, and leaves a newer one.
            None if !rewritten || newest <= expected.seq => return Err(older(&expected.name)),
            _ => {}
        }
    }
    Ok(())
}
