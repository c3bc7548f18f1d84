//! `World` is a data directory in good order; a test spoils it and asks the judge.

pub(super) use super::super::facts::*;
pub(super) use super::super::judge::*;
pub(super) use super::super::verdict::*;
pub(super) use super::super::*;

pub(super) const OURS: DataSetId = DataSetId([1; 16]);
pub(super) const OTHER: DataSetId = DataSetId([2; 16]);
/// When the record was written; the files were written before.
pub(super) const RECORDED: u64 = 1000;

pub(super) struct World {
    pub(super) found: Found,
    pub(super) settings: Settings,
}

pub(super) fn settings(appendonly: bool) -> Settings {
    Settings {
        appendonly,
        dbfilename: "dump.rdb".to_owned(),
        appenddirname: "appendonlydir".to_owned(),
        ..Settings::default()
    }
}

pub(super) fn empty(appendonly: bool) -> World {
    World {
        found: Found {
            lineage: Ok(None),
            rdb: None,
            aof: FoundAof::Nothing,
        },
        settings: settings(appendonly),
    }
}

pub(super) fn tag(id: DataSetId, index: u64) -> Tag {
    Tag {
        id: Some(id),
        index: Some(index),
    }
}

pub(super) fn file(kind: &str, seq: u64, len: u64) -> FoundFile {
    FoundFile {
        name: format!("a.{seq}.{kind}"),
        seq,
        len: Some(len),
    }
}

pub(super) fn expected(kind: &str, seq: u64, len: u64) -> ExpectedFile {
    ExpectedFile {
        name: format!("a.{seq}.{kind}"),
        seq,
        len,
    }
}

pub(super) fn rdb(tag: Tag) -> FoundRdb {
    FoundRdb {
        len: 500,
        modified_ms: 900,
        changed_ms: 900,
        tag: Ok(tag),
    }
}

pub(super) fn log(tag: Tag) -> FoundLog {
    FoundLog {
        base: Some(file("base", 2, 400)),
        incr: vec![file("incr", 3, 90), file("incr", 4, 30)],
        tag,
        changed_ms: 950,
        modified_ms: 990,
    }
}

/// A snapshot of commit index 100, and no log.
pub(super) fn with_rdb() -> World {
    let mut world = empty(false);
    world.found.rdb = Some(rdb(tag(OURS, 100)));
    world.found.lineage = Ok(Some(Lineage {
        id: OURS,
        index: 100,
        updated_ms: RECORDED,
        rdb: Some(ExpectedRdb {
            name: "dump.rdb".to_owned(),
            len: 500,
            index: 100,
        }),
        aof: None,
    }));
    world
}

/// A log up to commit index 200, recorded up to 150; and an older snapshot.
pub(super) fn with_log() -> World {
    let mut world = with_rdb();
    world.settings.appendonly = true;
    world.found.aof = FoundAof::Log(log(tag(OURS, 200)));
    let lineage = world.lineage();
    lineage.index = 150;
    lineage.aof = Some(ExpectedAof {
        dir: "appendonlydir".to_owned(),
        base: Some(expected("base", 2, 400)),
        incr: vec![expected("incr", 3, 90), expected("incr", 4, 10)],
    });
    world
}

impl World {
    pub(super) fn lineage(&mut self) -> &mut Lineage {
        self.found.lineage.as_mut().unwrap().as_mut().unwrap()
    }

    pub(super) fn rdb(&mut self) -> &mut FoundRdb {
        self.found.rdb.as_mut().unwrap()
    }

    pub(super) fn log(&mut self) -> &mut FoundLog {
        match &mut self.found.aof {
            FoundAof::Log(log) => log,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn good(&self) -> Good {
        match judge(&self.found, &self.settings) {
            Verdict::Good(good) => good,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn loads(&self, load: Load, id: Option<DataSetId>) -> Good {
        let good = self.good();
        assert_eq!((good.load, good.id), (load, id), "{:?}", good.notes);
        good
    }

    /// The text of a refusal. Whatever is refused starts with the override, and as a new data
    /// set.
    pub(super) fn refused(&mut self) -> String {
        let Verdict::Refuse { cause, hint } = judge(&self.found, &self.settings) else {
            panic!("it starts: {:?}", self.good());
        };
        assert!(hint.contains("allow-data-loss yes"), "{hint}");
        self.settings.allow_data_loss = true;
        let good = self.good();
        assert_eq!((good.id, good.keep_aside), (None, true));
        assert!(
            good.notes[0].contains(&cause.to_string()),
            "{:?}",
            good.notes
        );
        cause.to_string()
    }

    /// What the override loads.
    pub(super) fn overridden(&mut self) -> Load {
        self.refused();
        self.good().load
    }
}

pub(super) fn noted(good: &Good, text: &str) {
    assert!(
        good.notes.iter().any(|note| note.contains(text)),
        "{:?}",
        good.notes
    );
}
