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

use super::facts::{Found, FoundAof, FoundFile, FoundLog, FoundRdb, Settings, Tag};
use super::verdict::{Cause, Good, Load, Verdict, good};
use super::{DataSetId, ExpectedAof, ExpectedRdb, FILE_NAME, Lineage};

/// Decides whether to start, and with which data.
pub fn judge(found: &Found, settings: &Settings) -> Verdict {
    let judged = Judge { found, settings }.verdict();
    match judged {
        Ok(verdict) => verdict,
        Err(cause) if settings.allow_data_loss => overridden(found, settings, &cause),
        Err(cause) => Verdict::Refuse {
            hint: cause.hint(),
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

struct Judge<'a> {
    found: &'a Found,
    settings: &'a Settings,
}

type Judged = Result<Verdict, Cause>;

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
