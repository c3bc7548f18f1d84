//! Going down with data.

use std::fs;

use crate::harness::Server;

fn keys_after(dir: &std::path::Path) -> String {
    let server = Server::start(dir, &[]);
    server.client().ask("DBSIZE")
}

#[test]
fn shutdown_saves_when_told_or_configured() {
    for (save, line, kept) in [
        ("", "SHUTDOWN", "0"),
        ("", "SHUTDOWN SAVE", "1"),
        ("3600 1", "SHUTDOWN", "1"),
        ("3600 1", "SHUTDOWN NOSAVE", "0"),
        ("3600 1", "SHUTDOWN NOW FORCE", "1"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut server = Server::start(dir.path(), &["--save", save]);
        let mut client = server.client();
        client.ask("SET k v");
        client.send(line);
        assert_eq!(client.receive(), None);
        assert_eq!(server.end().code(), Some(0), "{line}");
        assert_eq!(keys_after(dir.path()), kept, "{save} {line}");
    }
}

#[test]
fn signals_save_as_configured() {
    for (options, signal, kept) in [
        (&["--save", "3600 1"][..], "TERM", "1"),
        (&["--save", "3600 1"], "INT", "1"),
        (&["--save", ""], "TERM", "0"),
        (&["--shutdown-on-sigterm", "save"], "TERM", "1"),
        (
            &["--save", "3600 1", "--shutdown-on-sigint", "nosave"],
            "INT",
            "0",
        ),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut server = Server::start(dir.path(), options);
        server.client().ask("SET k v");
        server.signal(signal);
        assert_eq!(server.end().code(), Some(0));
        assert_eq!(keys_after(dir.path()), kept, "{options:?} {signal}");
    }
}

/// What cannot be saved keeps the server up, unless it is forced.
#[test]
fn a_failed_save_keeps_the_server_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(dir.path(), &["--save", "3600 1"]);
    let mut client = server.client();
    client.ask("SET k v");
    fs::create_dir_all(dir.path().join("dump.rdb/full")).expect("a directory in its place");
    let failed = "-ERR Errors trying to SHUTDOWN. Check logs.";
    assert_eq!(client.ask("SHUTDOWN"), failed);
    assert_eq!(client.ask("SET k w"), "OK");
    assert!(
        server
            .log()
            .contains("Error trying to save the DB, can't exit.")
    );
    server.signal("TERM");
    crate::harness::eventually("it refuses", || {
        server
            .log()
            .contains("Errors trying to shut down the server.")
    });
    assert_eq!(client.ask("GET k"), "w");
    client.send("SHUTDOWN FORCE");
    assert_eq!(server.end().code(), Some(0));
    assert!(
        server
            .log()
            .contains("Error trying to save the DB. Exit anyway.")
    );
}

/// A background save that is under way gives way to the last one.
#[test]
fn shutdown_ends_a_background_save() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = ["--save", "3600 1", "--rdb-key-save-delay", "1000"];
    let mut server = Server::start(dir.path(), &options);
    let mut client = server.client();
    client.ask("DEBUG POPULATE 1000");
    client.ask("BGSAVE");
    client.ask("SET last 1");
    client.send("CONFIG SET rdb-key-save-delay 0");
    client.send("SHUTDOWN");
    assert_eq!(server.end().code(), Some(0));
    assert_eq!(keys_after(dir.path()), "1001");
}

/// Whoever was answered before the end finds the write in the file, whichever thread served it.
#[test]
fn nothing_answered_is_lost_at_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(dir.path(), &["--save", "3600 1", "--io-threads", "4"]);
    server.client().ask("DEBUG POPULATE 20000");
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let mut client = server.client();
            std::thread::spawn(move || {
                let mut answered = 0;
                loop {
                    client.send(&format!("SET w:{writer}:{answered} 1"));
                    match client.receive().as_deref() {
                        Some("OK") => answered += 1,
                        _ => return answered,
                    }
                }
            })
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    server.client().send("SHUTDOWN");
    assert_eq!(server.end().code(), Some(0));
    let answered: Vec<u32> = writers
        .into_iter()
        .map(|writer| writer.join().expect("a writer"))
        .collect();
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
    let server = Server::start(dir.path(), &[]);
    let mut client = server.client();
    for (writer, count) in answered.iter().enumerate() {
        let last = count - 1;
        assert_eq!(client.ask(&format!("EXISTS w:{writer}:{last}")), "1");
    }
}
