//! Without a record, and with one of a snapshot: one test for each case.

use super::world::*;

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
