//! With a record of a log: one test for each case.

use super::world::*;

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
