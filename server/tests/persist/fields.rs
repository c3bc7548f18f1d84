//! Fields of hashes that expire, in everything that survives the process.

use crate::harness::{Server, eventually};

/// A time that does not come while the tests run: 2099.
const LATE: &str = "4070908800000";

#[test]
fn times_of_fields_survive() {
    for options in [
        &["--appendonly", "no"][..],
        &["--appendonly", "yes"],
        &["--appendonly", "yes", "--aof-use-rdb-preamble", "no"],
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let server = Server::start(dir.path(), options);
        let mut client = server.client();
        client.ask("HSET h a 1 b 2 c 3");
        client.ask(&format!("HPEXPIREAT h {LATE} FIELDS 2 a b"));
        client.ask("HPERSIST h FIELDS 1 b");
        for n in 0..700 {
            client.ask(&format!("HSETEX big PXAT {LATE} FIELDS 1 f{n} {n}"));
        }
        client.ask("HSET soon x 1 y 2");
        client.ask("HPEXPIRE soon 30 FIELDS 1 x");
        // Nobody asks for it: active expiry finds it.
        eventually("no active expiry", || client.info("expired_fields") == "1");
        let digest = client.ask("DEBUG DIGEST");
        if options.contains(&"yes") {
            client.ask("BGREWRITEAOF");
            eventually("no rewrite", || {
                client.info("aof_rewrite_in_progress") == "0"
                    && client.info("aof_rewrite_scheduled") == "0"
            });
        } else {
            assert_eq!(client.ask("SAVE"), "OK");
        }
        client.ask(&format!("HPEXPIREAT h {LATE} FIELDS 1 c"));
        client.ask("HPERSIST h FIELDS 1 c");
        server.kill();
        let server = Server::start(dir.path(), options);
        let mut client = server.client();
        assert_eq!(client.ask("DEBUG DIGEST"), digest, "{options:?}");
        assert_eq!(
            client.ask("HPEXPIRETIME h FIELDS 3 a b c"),
            format!("{LATE} -1 -1"),
            "{options:?}"
        );
        assert_eq!(
            client.ask("HPEXPIRETIME big FIELDS 1 f699"),
            LATE,
            "{options:?}"
        );
        assert_eq!(client.ask("HKEYS soon"), "y", "{options:?}");
    }
}
