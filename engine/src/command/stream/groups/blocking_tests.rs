//! XREADGROUP that waits.

use crate::testing::Client;

/// A client, and others of the same engine, with an empty stream `s` that has a group `g`.
fn clients<const N: usize>() -> (Client, [Client; N]) {
    let mut c = Client::with_events();
    c.run("XGROUP CREATE s g $ MKSTREAM");
    let mut id = 100;
    let others = std::array::from_fn(|_| {
        let mut other = c.other();
        id += 1;
        other.session.id = id;
        other
    });
    (c, others)
}

fn read(ids: &[u32]) -> Option<String> {
    let entry = |n: &u32| format!("*2\r\n$3\r\n{n}-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    let entries: String = ids.iter().map(entry).collect();
    Some(format!(
        "*1\r\n*2\r\n$1\r\ns\r\n*{}\r\n{entries}",
        ids.len()
    ))
}

const NO_GROUP: &str =
    "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let (mut c, [mut one, mut two, mut three]) = clients();
    let one = one.block("XREADGROUP GROUP g a BLOCK 0 STREAMS s >");
    let two = two.block("XREADGROUP GROUP g b BLOCK 1000 STREAMS s >");
    assert_eq!(two.deadline_ms(), Some(c.now_ms + 1000));
    let log = c.record_log();
    c.run("XADD s 1-0 f v");
    assert_eq!((one.reply(), two.reply()), (read(&[1]), None));
    let three = three.block("XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    c.run("MULTI");
    c.run("XADD s 2-0 f v");
    c.run("XADD s 3-0 f v");
    c.run("EXEC");
    assert_eq!((two.reply(), three.reply()), (read(&[2, 3]), None));
    assert_eq!(three.time_out(&c).as_deref(), Some("*-1\r\n"));
    let claims: Vec<_> = log
        .take()
        .into_iter()
        .filter(|line| line.starts_with("XCLAIM"))
        .map(|line| line.split(' ').take(6).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        claims,
        [
            "XCLAIM s g a 0 1-0",
            "XCLAIM s g b 0 2-0",
            "XCLAIM s g b 0 3-0"
        ]
    );
    assert!(!c.engine().blocked.any());
}

#[test]
fn what_is_pending_already_never_waits() {
    let (c, [mut one]) = clients();
    let reply = one.begin("XREADGROUP GROUP g a BLOCK 0 STREAMS s 0");
    assert_eq!(reply.err(), read(&[]));
    assert!(!c.engine().blocked.any());
    one.run("MULTI");
    one.run("XREADGROUP GROUP g a BLOCK 0 STREAMS s >");
    assert_eq!(one.run("EXEC"), "*1\r\n*-1\r\n");
}

/// What a waiter gets after these commands, the last of which must end its wait.
fn ended_by(commands: &[&str]) -> Option<String> {
    let (mut c, [mut one]) = clients();
    c.run("XADD gone 1-0 f v");
    let waiting = one.block("XREADGROUP GROUP g a BLOCK 0 STREAMS s >");
    assert_eq!(c.engine().blocked.minded_key_count(), 1);
    let (last, first) = commands.split_last().expect("a command");
    for line in first {
        c.run(line);
        assert_eq!(waiting.reply(), None, "{line}");
    }
    c.run(last);
    let reply = waiting.reply();
    assert_eq!(c.engine().blocked.any(), reply.is_none());
    assert_eq!(
        c.engine().blocked.minded_key_count(),
        usize::from(reply.is_none())
    );
    reply
}

#[test]
fn the_loss_of_the_key_or_group_ends_the_wait() {
    for commands in [
        &["DEL s"][..],
        &["UNLINK s"],
        &["RENAME s t"],
        &["RENAME gone s"],
        &["MOVE s 1"],
        &["COPY gone s REPLACE"],
        &["FLUSHALL"],
        &["FLUSHDB"],
        &["SWAPDB 0 1"],
        &["PEXPIREAT s 1"],
        &["XGROUP DESTROY s g"],
        &[
            "XGROUP CREATE s h 0",
            "XGROUP DESTROY s h",
            "XGROUP DESTROY s g",
        ],
        &["MULTI", "DEL s", "XADD s 1-0 f v", "EXEC"],
    ] {
        assert_eq!(
            ended_by(commands).as_deref(),
            Some(NO_GROUP),
            "{commands:?}"
        );
    }
    for commands in [
        &["SET s x"][..],
        &["MULTI", "DEL s", "LPUSH s x", "EXEC"],
        &["SORT list STORE x", "RPUSH list 1", "SORT list STORE s"],
    ] {
        assert_eq!(
            ended_by(commands).as_deref(),
            Some(WRONG_TYPE),
            "{commands:?}"
        );
    }
    // The same group is there again when the wait is looked at.
    let again = ["MULTI", "DEL s", "XGROUP CREATE s g $ MKSTREAM", "EXEC"];
    assert_eq!(ended_by(&again), None);
    assert_eq!(
        ended_by(&["SET other x", "DEL other gone", "XTRIM s MAXLEN 0"]),
        None
    );
}

#[test]
fn a_reader_of_entries_alone_waits_for_the_key_to_come_back() {
    let (mut c, [mut one, mut two]) = clients();
    let plain = one.block("XREAD BLOCK 0 STREAMS s $");
    let grouped = two.block("XREADGROUP GROUP g a BLOCK 0 STREAMS s >");
    c.run("DEL s");
    assert_eq!(plain.reply(), None);
    assert_eq!(grouped.reply().as_deref(), Some(NO_GROUP));
    c.run("XADD s 7-0 f v");
    assert_eq!(plain.reply(), read(&[7]));
}

#[test]
fn expiry_ends_the_wait_whoever_notices() {
    // A key of another shard as well: who finds the first one expired does not hold its lock.
    for other in ["t", "u", "v"] {
        let (mut c, [mut one]) = clients();
        c.run(&format!("XGROUP CREATE {other} g $ MKSTREAM"));
        c.run("PEXPIRE s 10");
        let line = format!("XREADGROUP GROUP g a BLOCK 0 STREAMS s {other} > >");
        let waiting = one.block(&line);
        c.now_ms += 20;
        assert_eq!(c.run("TYPE s"), "+none\r\n");
        assert_eq!(waiting.reply().as_deref(), Some(NO_GROUP));

        c.run("XGROUP CREATE s g $ MKSTREAM");
        c.run("PEXPIRE s 10");
        let waiting = one.block(&line);
        c.now_ms += 20;
        assert_eq!(c.engine().expire_pass(c.now_ms), 1);
        assert_eq!(waiting.reply().as_deref(), Some(NO_GROUP));
    }
}
