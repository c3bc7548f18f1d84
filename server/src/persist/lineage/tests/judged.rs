//! One test for each case. `World` is a data directory in good order; a test spoils it.

use super::super::judge::*;
use super::super::*;

const OURS: DataSetId = DataSetId([1; 16]);
const OTHER: DataSetId = DataSetId([2; 16]);
/// When the record was written; the files were written before.
const RECORDED: u64 = 1000;

struct World {
    found: Found,
    settings: Settings,
}

fn settings(appendonly: bool) -> Settings {
    Settings {
        appendonly,
        dbfilename: "dump.rdb".to_owned(),
        appenddirname: "appendonlydir".to_owned(),
        ..Settings::default()
    }
}

fn empty(appendonly: bool) -> World {
    World {
        found: Found {
            lineage: Ok(None),
            rdb: None,
            aof: FoundAof::Nothing,
        },
        settings: settings(appendonly),
    }
}

fn tag(id: DataSetId, index: u64) -> Tag {
    Tag {
        id: Some(id),
        index: Some(index),
    }
}

fn file(kind: &str, seq: u64, len: u64) -> FoundFile {
    FoundFile {
        name: format!("a.{seq}.{kind}"),
        seq,
        len: Some(len),
    }
}

fn expected(kind: &str, seq: u64, len: u64) -> ExpectedFile {
    ExpectedFile {
        name: format!("a.{seq}.{kind}"),
        seq,
        len,
    }
}

fn rdb(tag: Tag) -> FoundRdb {
    FoundRdb {
        len: 500,
        modified_ms: 900,
        changed_ms: 900,
        tag: Ok(tag),
    }
}

fn log(tag: Tag) -> FoundLog {
    FoundLog {
        base: Some(file("base", 2, 400)),
        incr: vec![file("incr", 3, 90), file("incr", 4, 30)],
        tag,
        changed_ms: 950,
        modified_ms: 990,
    }
}

/// A snapshot of commit index 100, and no log.
fn with_rdb() -> World {
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
fn with_log() -> World {
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
    fn lineage(&mut self) -> &mut Lineage {
        self.found.lineage.as_mut().unwrap().as_mut().unwrap()
    }

    fn rdb(&mut self) -> &mut FoundRdb {
        self.found.rdb.as_mut().unwrap()
    }

    fn log(&mut self) -> &mut FoundLog {
        match &mut self.found.aof {
            FoundAof::Log(log) => log,
            other => panic!("{other:?}"),
        }
    }

    fn good(&self) -> Good {
        match judge(&self.found, &self.settings) {
            Verdict::Good(good) => good,
            other => panic!("{other:?}"),
        }
    }

    fn loads(&self, load: Load, id: Option<DataSetId>) -> Good {
        let good = self.good();
        assert_eq!((good.load, good.id), (load, id), "{:?}", good.notes);
        good
    }

    /// The text of a refusal. Whatever is refused starts with the override, and as a new data
    /// set.
    fn refused(&mut self) -> String {
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
    fn overridden(&mut self) -> Load {
        self.refused();
        self.good().load
    }
}

fn noted(good: &Good, text: &str) {
    assert!(
        good.notes.iter().any(|note| note.contains(text)),
        "{:?}",
        good.notes
    );
}

// --- no record

#[test]
fn an_empty_directory_is_fresh() {
    for appendonly in [false, true] {
        let world = empty(appendonly);
        assert_eq!(judge(&world.found, &world.settings), Verdict::Fresh);
    }
}

#[test]
fn an_empty_directory_that_should_hold_a_data_set_is_refused() {
    let mut world = empty(false);
    world.settings.data_set_id = Some(OURS);
    let Verdict::Refuse { cause, hint } = judge(&world.found, &world.settings) else {
        panic!("it starts")
    };
    assert!(cause.to_string().contains("is the volume mounted"));
    assert!(hint.contains("remove data-set-id"));
}

#[test]
fn the_data_set_that_was_asked_for_is_checked() {
    let mut world = with_rdb();
    world.settings.data_set_id = Some(OURS);
    world.loads(Load::Rdb, Some(OURS));
    world.settings.data_set_id = Some(OTHER);
    assert!(world.refused().contains("belongs to data set 01010101"));
    let mut redis = empty(false);
    redis.found.rdb = Some(rdb(Tag::default()));
    redis.settings.data_set_id = Some(OURS);
    assert!(redis.refused().contains("was not written by this data set"));
}

#[test]
fn a_dump_of_redis_is_taken_over() {
    let mut world = empty(false);
    world.found.rdb = Some(rdb(Tag::default()));
    noted(&world.loads(Load::Rdb, None), "taking over dump.rdb");
}

/// Redis starts empty here, the most common way to lose a data set when switching the log on.
#[test]
fn a_dump_is_loaded_when_the_log_was_switched_on_in_the_file() {
    let mut world = empty(true);
    world.found.rdb = Some(rdb(Tag::default()));
    world.loads(Load::Rdb, None);
    let mut ours = with_rdb();
    ours.settings.appendonly = true;
    noted(
        &ours.loads(Load::Rdb, Some(OURS)),
        "the log will begin with dump.rdb",
    );
}

#[test]
fn a_log_of_redis_is_taken_over() {
    let mut world = empty(true);
    world.found.aof = FoundAof::Log(log(Tag::default()));
    noted(&world.loads(Load::Aof, None), "taking over the log");
    world.found.rdb = Some(rdb(Tag::default()));
    world.loads(Load::Aof, None);
}

#[test]
fn a_log_of_redis_that_would_not_be_loaded_is_refused_if_it_is_newer() {
    let mut world = empty(false);
    world.found.aof = FoundAof::Log(log(Tag::default()));
    world.found.rdb = Some(rdb(Tag::default()));
    assert!(
        world
            .refused()
            .contains("appendonly is off, and the log in appendonlydir is newer")
    );
    assert_eq!(world.good().load, Load::Rdb);
    world.settings.allow_data_loss = false;
    world.rdb().modified_ms = 991;
    let good = world.loads(Load::Rdb, None);
    assert!(good.keep_aside);
}

#[test]
fn a_log_without_a_dump_is_refused_when_the_log_is_off() {
    let mut world = empty(false);
    world.found.aof = FoundAof::Log(log(Tag::default()));
    assert!(world.refused().contains("dump.rdb, which is missing"));
    assert_eq!(world.good().load, Load::Nothing);
    let mut empty_log = empty(false);
    empty_log.found.aof = FoundAof::Log(FoundLog {
        base: None,
        incr: vec![file("incr", 1, 0)],
        ..log(Tag::default())
    });
    assert_eq!(judge(&empty_log.found, &empty_log.settings), Verdict::Fresh);
}

#[test]
fn our_own_files_go_on_after_the_record_was_removed() {
    let mut world = with_log();
    world.found.lineage = Ok(None);
    noted(
        &world.loads(Load::Aof, Some(OURS)),
        "there is no basalt.lineage",
    );
    let mut world = with_rdb();
    world.found.lineage = Ok(None);
    noted(
        &world.loads(Load::Rdb, Some(OURS)),
        "there is no basalt.lineage",
    );
}

#[test]
fn a_log_without_its_manifest_is_refused() {
    for appendonly in [true, false] {
        let mut world = empty(appendonly);
        world.found.aof = FoundAof::NoManifest {
            example: "a.1.base".to_owned(),
        };
        let told = world.refused();
        assert!(
            told.contains("a.1.base and no manifest") || !appendonly,
            "{told}"
        );
    }
    let mut world = with_log();
    world.found.aof = FoundAof::NoManifest {
        example: "a.1.base".to_owned(),
    };
    assert_eq!(world.overridden(), Load::Rdb);
}

#[test]
fn an_unreadable_manifest_is_refused() {
    for mut world in [empty(true), with_log()] {
        world.found.aof = FoundAof::BadManifest("line 2 is blank".to_owned());
        assert!(world.refused().contains("line 2 is blank"));
    }
    // Nobody asks for the log, and the dump is all that was ever recorded.
    let mut world = with_rdb();
    world.found.aof = FoundAof::BadManifest("line 2 is blank".to_owned());
    world.loads(Load::Rdb, Some(OURS));
}

#[test]
fn a_file_that_the_manifest_lists_must_be_there() {
    for lineage in [true, false] {
        for spoilt in 0..3 {
            let mut world = with_log();
            if !lineage {
                world.found.lineage = Ok(None);
            }
            let log = world.log();
            let file = match spoilt {
                0 => log.base.as_mut().unwrap(),
                n => &mut log.incr[n - 1],
            };
            file.len = None;
            let name = file.name.clone();
            assert_eq!(world.refused(), format!("appendonlydir/{name} is missing"));
            assert_eq!(world.good().load, Load::Rdb);
        }
    }
}

#[test]
fn an_unreadable_dump_is_refused() {
    for mut world in [with_rdb(), empty(false)] {
        world.found.rdb = Some(FoundRdb {
            len: 0,
            tag: Err("it is empty".to_owned()),
            ..rdb(Tag::default())
        });
        assert_eq!(world.refused(), "can't read dump.rdb: it is empty");
        assert_eq!(world.good().load, Load::Nothing);
    }
}

#[test]
fn an_unreadable_record_is_refused() {
    let mut world = with_rdb();
    world.found.lineage = Err("it is empty".to_owned());
    let Verdict::Refuse { hint, .. } = judge(&world.found, &world.settings) else {
        panic!("it starts")
    };
    assert!(hint.contains("remove basalt.lineage"));
    assert!(world.refused().contains("basalt.lineage: it is empty"));
    assert_eq!(world.good().load, Load::Rdb);
}

// --- a record of a snapshot

#[test]
fn the_recorded_dump_is_loaded() {
    let good = with_rdb().loads(Load::Rdb, Some(OURS));
    assert!(good.notes.is_empty() && !good.keep_aside);
}

/// The process died between the rename of the dump and the record.
#[test]
fn a_newer_dump_is_loaded() {
    let mut world = with_rdb();
    world.found.rdb = Some(FoundRdb {
        len: 20,
        ..rdb(tag(OURS, 101))
    });
    world.loads(Load::Rdb, Some(OURS));
}

#[test]
fn a_missing_dump_is_refused() {
    for appendonly in [false, true] {
        let mut world = with_rdb();
        world.settings.appendonly = appendonly;
        world.found.rdb = None;
        assert_eq!(world.refused(), "dump.rdb is missing");
        assert_eq!(world.good().load, Load::Nothing);
    }
}

#[test]
fn a_dump_under_another_name_is_named() {
    let mut world = with_rdb();
    world.found.rdb = None;
    world.settings.dbfilename = "new.rdb".to_owned();
    assert_eq!(
        world.refused(),
        "new.rdb (the data was in dump.rdb) is missing"
    );
}

#[test]
fn an_older_dump_of_ours_is_refused_even_if_it_was_put_there() {
    let mut world = with_rdb();
    world.found.rdb = Some(FoundRdb {
        changed_ms: RECORDED + 1,
        ..rdb(tag(OURS, 99))
    });
    assert_eq!(
        world.refused(),
        "dump.rdb is of commit index 99, and 100 was durable"
    );
    assert_eq!(world.good().load, Load::Rdb);
}

#[test]
fn a_dump_that_lost_its_end_is_refused() {
    let mut world = with_rdb();
    world.rdb().len = 499;
    assert_eq!(
        world.refused(),
        "dump.rdb has 499 bytes, and 500 were synced"
    );
}

#[test]
fn a_dump_of_another_data_set_is_refused() {
    let mut world = with_rdb();
    world.found.rdb = Some(FoundRdb {
        changed_ms: RECORDED + 1,
        ..rdb(tag(OTHER, 500))
    });
    assert!(
        world
            .refused()
            .contains("dump.rdb belongs to data set 02020202")
    );
}

/// Stop, copy, start, as with Redis.
#[test]
fn a_dump_of_redis_that_was_put_there_is_a_restore() {
    let mut world = with_rdb();
    world.found.rdb = Some(FoundRdb {
        changed_ms: RECORDED + 1,
        modified_ms: 5,
        ..rdb(Tag::default())
    });
    noted(&world.loads(Load::Rdb, None), "it begins a new data set");
}

/// It was there all the time: nobody has restored anything, and ours is gone.
#[test]
fn a_dump_of_redis_that_was_there_before_is_refused() {
    let mut world = with_rdb();
    world.found.rdb = Some(rdb(Tag::default()));
    assert!(
        world
            .refused()
            .contains("was there before its last run ended")
    );
}

#[test]
fn a_log_written_by_redis_since_is_not_passed_over() {
    let mut world = with_rdb();
    world.found.aof = FoundAof::Log(FoundLog {
        modified_ms: RECORDED + 10,
        ..log(Tag::default())
    });
    assert!(world.refused().contains("appendonly is off"));
    world.settings.allow_data_loss = false;
    // Redis saved a dump after that.
    world.found.rdb = Some(FoundRdb {
        modified_ms: RECORDED + 11,
        changed_ms: RECORDED + 11,
        ..rdb(Tag::default())
    });
    world.loads(Load::Rdb, None);
}

#[test]
fn a_record_without_files_takes_what_is_there_unless_it_is_foreign() {
    let mut world = with_rdb();
    world.lineage().rdb = None;
    world.loads(Load::Rdb, Some(OURS));
    world.found.rdb = Some(rdb(tag(OTHER, 100)));
    assert!(world.refused().contains("belongs to data set 02020202"));
    world.settings.allow_data_loss = false;
    world.found.rdb = None;
    assert_eq!(judge(&world.found, &world.settings), Verdict::Fresh);
}

// --- a record of a log

#[test]
fn the_recorded_log_is_loaded() {
    let good = with_log().loads(Load::Aof, Some(OURS));
    assert!(good.notes.is_empty() && !good.keep_aside);
    let mut unknown_end = with_log();
    unknown_end.log().tag.index = None;
    unknown_end.loads(Load::Aof, Some(OURS));
}

#[test]
fn a_missing_log_is_refused_and_not_replaced_by_the_dump() {
    let mut world = with_log();
    world.found.aof = FoundAof::Nothing;
    assert_eq!(world.refused(), "the log in appendonlydir is missing");
    assert_eq!(world.good().load, Load::Rdb);
}

#[test]
fn a_log_in_another_directory_is_named() {
    let mut world = with_log();
    world.found.aof = FoundAof::Nothing;
    world.settings.appenddirname = "elsewhere".to_owned();
    assert_eq!(world.refused(), "the log in appendonlydir is missing");
}

#[test]
fn a_log_of_another_data_set_is_refused() {
    let mut world = with_log();
    world.log().tag.id = Some(OTHER);
    assert!(
        world
            .refused()
            .contains("the log in appendonlydir belongs to data set 0202")
    );
}

#[test]
fn a_log_without_an_id_is_refused_unless_redis_wrote_it_since() {
    let mut world = with_log();
    world.log().tag = Tag::default();
    assert!(world.refused().contains("was not written by this data set"));
    world.settings.allow_data_loss = false;
    let log = world.log();
    log.changed_ms = RECORDED + 1;
    log.base = Some(file("base", 3, 10));
    log.incr = vec![file("incr", 5, 0)];
    noted(&world.loads(Load::Aof, None), "written by another server");
}

#[test]
fn a_log_that_lost_its_end_is_refused() {
    let mut world = with_log();
    world.log().incr[1].len = Some(9);
    assert_eq!(
        world.refused(),
        "appendonlydir/a.4.incr has 9 bytes, and 10 were synced"
    );
    assert_eq!(world.good().load, Load::Aof);
    let mut sealed = with_log();
    sealed.log().incr[0].len = Some(0);
    assert!(
        sealed
            .refused()
            .contains("a.3.incr has 0 bytes, and 90 were synced")
    );
}

#[test]
fn a_base_that_changed_is_refused() {
    for len in [399, 401, 0] {
        let mut world = with_log();
        world.log().base.as_mut().unwrap().len = Some(len);
        assert!(world.refused().contains("a.2.base has"));
    }
}

#[test]
fn an_older_manifest_is_refused() {
    let mut incr = with_log();
    incr.log().incr.pop();
    assert!(incr.refused().contains("it does not know a.4.incr"));
    let mut base = with_log();
    base.log().base = Some(file("base", 1, 400));
    assert!(base.refused().contains("it does not know a.2.base"));
    let mut none = with_log();
    none.log().base = None;
    assert!(none.refused().contains("it does not know a.2.base"));
}

/// The process died between the swap of the manifest and the record.
#[test]
fn a_newer_manifest_is_loaded() {
    let mut rewritten = with_log();
    let log = rewritten.log();
    log.base = Some(file("base", 3, 7));
    log.incr = vec![file("incr", 5, 0)];
    rewritten.loads(Load::Aof, Some(OURS));
    let mut rotated = with_log();
    rotated.log().incr.push(file("incr", 5, 0));
    rotated.loads(Load::Aof, Some(OURS));
    // A base that is newer, with increments that are not.
    let mut mixed = with_log();
    let log = mixed.log();
    log.base = Some(file("base", 3, 7));
    log.incr = vec![file("incr", 2, 0)];
    assert!(mixed.refused().contains("it does not know a.3.incr"));
}

#[test]
fn a_log_that_ends_too_early_is_refused() {
    let mut world = with_log();
    world.log().tag.index = Some(149);
    assert!(
        world
            .refused()
            .contains("is of commit index 149, and 150 was durable")
    );
    world.settings.allow_data_loss = false;
    world.log().tag.index = Some(150);
    world.loads(Load::Aof, Some(OURS));
}

/// Under `everysec` the power cut took the log's last second, and a snapshot was synced.
#[test]
fn a_dump_that_is_ahead_of_the_log_is_loaded() {
    let mut world = with_log();
    world.found.rdb = Some(rdb(tag(OURS, 201)));
    let good = world.loads(Load::Rdb, Some(OURS));
    assert!(good.keep_aside);
    noted(&good, "newer than the log");
    world.found.rdb = Some(rdb(tag(OTHER, 500)));
    world.loads(Load::Aof, Some(OURS));
}

#[test]
fn the_log_needs_no_dump_beside_it() {
    let mut world = with_log();
    world.found.rdb = None;
    noted(
        &world.loads(Load::Aof, Some(OURS)),
        "dump.rdb is missing; the log has all",
    );
    world.found.rdb = Some(FoundRdb {
        tag: Err("damaged".to_owned()),
        ..rdb(Tag::default())
    });
    world.loads(Load::Aof, Some(OURS));
}

// --- `appendonly` changed in the file

#[test]
fn switching_the_log_off_is_refused_while_the_dump_is_behind() {
    let mut world = with_log();
    world.settings.appendonly = false;
    assert!(
        world
            .refused()
            .contains("appendonly is off, and the log in appendonlydir is newer than dump.rdb")
    );
    assert_eq!(world.good().load, Load::Rdb);
    let mut none = with_log();
    none.settings.appendonly = false;
    none.found.rdb = None;
    assert!(none.refused().contains("dump.rdb, which is missing"));
    let mut damaged = with_log();
    damaged.settings.appendonly = false;
    damaged.rdb().tag = Err("damaged".to_owned());
    assert!(damaged.refused().contains("can't read dump.rdb"));
}

#[test]
fn switching_the_log_off_is_fine_when_the_dump_has_all() {
    let mut world = with_log();
    world.settings.appendonly = false;
    world.found.rdb = Some(rdb(tag(OURS, 200)));
    assert!(world.loads(Load::Rdb, Some(OURS)).keep_aside);
    // The log's end is not known, and it has grown since the record.
    world.log().tag.index = None;
    assert!(world.refused().contains("appendonly is off"));
    world.settings.allow_data_loss = false;
    world.log().incr[1].len = Some(10);
    world.loads(Load::Rdb, Some(OURS));
}

/// The procedure that Redis documents for restoring a dump: appendonly no, copy, start.
#[test]
fn a_dump_of_redis_is_restored_with_the_log_switched_off() {
    let mut world = with_log();
    world.settings.appendonly = false;
    world.found.rdb = Some(FoundRdb {
        changed_ms: RECORDED + 1,
        ..rdb(Tag::default())
    });
    let good = world.loads(Load::Rdb, None);
    assert!(good.keep_aside);
    world.rdb().changed_ms = RECORDED;
    assert!(world.refused().contains("appendonly is off"));
}

/// The log was switched off by CONFIG SET, and the file says `yes`: Redis goes back in time.
#[test]
fn a_stale_log_does_not_replace_a_newer_dump() {
    let mut world = with_rdb();
    world.settings.appendonly = true;
    for index in [Some(40), None] {
        let stale = Tag {
            index,
            ..tag(OURS, 0)
        };
        world.found.aof = FoundAof::Log(log(stale));
        assert!(world.loads(Load::Rdb, Some(OURS)).keep_aside);
    }
    world.found.aof = FoundAof::BadManifest("rubbish".to_owned());
    assert!(world.loads(Load::Rdb, Some(OURS)).keep_aside);
}

/// The process died between the log's first manifest and the record.
#[test]
fn a_log_that_began_after_the_record_is_loaded() {
    let mut world = with_rdb();
    world.settings.appendonly = true;
    world.found.aof = FoundAof::Log(log(tag(OURS, 120)));
    world.loads(Load::Aof, Some(OURS));
    for id in [Some(OURS), None] {
        world.found.aof = FoundAof::Log(FoundLog {
            changed_ms: RECORDED + 1,
            ..log(Tag { id, index: None })
        });
        world.loads(Load::Aof, id);
    }
}
