//! Backups of a running server that come back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{Client, Server, eventually};

/// Runs the tool.
fn basalt(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
    command.args(args).env_remove("BASALT_PASSPHRASE");
    command.output().expect("the tool runs")
}

#[track_caller]
pub fn good(args: &[&str]) -> String {
    let output = basalt(args);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {err}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
pub fn bad(args: &[&str]) -> String {
    let output = basalt(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// A place for everything of one test.
pub struct Place {
    root: tempfile::TempDir,
    recipient: String,
}

impl Place {
    pub fn new() -> Place {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["data", "repository"] {
            fs::create_dir(root.path().join(name)).expect("a directory");
        }
        let identity = root.path().join("identity.txt");
        let recipient = good(&["keygen", "-o", identity.to_str().expect("UTF-8")]);
        Place {
            root,
            recipient: recipient.trim().to_owned(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    pub fn start(&self, options: &[&str]) -> Server {
        let repository = self.text("repository");
        let mut all = vec![
            "--backup-url",
            &repository,
            "--backup-recipients",
            &self.recipient,
        ];
        all.extend(options);
        Server::start(&self.path("data"), &all)
    }

    /// All files of the repository.
    fn objects(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).expect("readable") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => walk(&path, found),
                    false => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path("repository"), &mut found);
        found.sort();
        found
    }
}

/// Data of every type in several databases.
pub fn fill(client: &mut Client, seed: u32) {
    for i in 0..2000 {
        client.ask(&format!("SET planted-key-{i} planted-value-{seed}-{i}"));
    }
    for i in 0..300 {
        client.ask(&format!("HSET hash f{i} planted-field-{seed}"));
        client.ask(&format!("ZADD zset {i}.5 m{i}"));
        client.ask(&format!("SADD set m{i}"));
        client.ask(&format!("RPUSH list e{i}"));
        client.ask(&format!("XADD stream {}-1 a {i} b x", i + 1));
    }
    for line in [
        "SADD ints 3 1 2",
        "HSET small b 2 a 1",
        "ZADD tiny -0 zero inf last",
        "PEXPIREAT planted-key-1 33000000000000",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group me COUNT 5 STREAMS stream >",
        "XDEL stream 7-1",
        "SELECT 9",
        "SET elsewhere 1",
        "RPUSH l a b c",
        "SELECT 0",
    ] {
        let reply = client.ask(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

/// Makes a backup and returns its ID.
#[track_caller]
pub fn back_up(client: &mut Client) -> String {
    let before = client.info("backup_count");
    assert_eq!(client.ask("BACKUP NOW"), "Backup started");
    eventually("the backup ends", || {
        client.info("backup_in_progress") == "0"
            && client.info("backup_last_try_time") != "0"
            && (client.info("backup_count") != before || client.info("backup_last_status") == "err")
    });
    assert_eq!(client.info("backup_last_status"), "ok");
    assert_ne!(client.info("backup_count"), before);
    client.info("backup_last_success_id")
}

#[test]
fn an_encrypted_backup_is_restored() {
    let place = Place::new();
    let server = place.start(&[]);
    let mut client = server.client();
    fill(&mut client, 1);
    let digest = client.ask("DEBUG DIGEST");
    let id = back_up(&mut client);
    assert!(client.ask("BACKUP LIST").contains(&id));
    assert_eq!(client.ask("BACKUP VERIFY"), "Verification started");
    eventually("it is verified", || {
        client.info("backup_last_verified_id") == id
    });
    // What comes later is not in it.
    client.ask("FLUSHALL");
    server.kill();

    for path in place.objects() {
        let body = fs::read(&path).expect("readable");
        let found = body
            .windows(12)
            .any(|part| part == b"planted-key-" || part == b"planted-valu");
        assert!(!found, "{} holds what is planted", path.display());
    }
    let (repository, identity) = (place.text("repository"), place.text("identity.txt"));
    assert!(good(&["list", &repository]).contains(&id));
    good(&["verify", &repository]);
    good(&["verify", &repository, "-i", &identity, "--drill", "--json"]);
    // Without the identity nothing can be restored, and the target stays as it is.
    let restored = place.text("restored");
    let error = bad(&["restore", &repository, "--to", &restored]);
    assert!(error.contains("an identity is needed"), "{error}");
    assert!(!place.path("restored").exists());
    good(&[
        "restore",
        &repository,
        "--to",
        &restored,
        "-i",
        &identity,
        "--dry-run",
    ]);
    assert!(!place.path("restored").exists());
    good(&["restore", &repository, "--to", &restored, "-i", &identity]);
    let again = bad(&["restore", &repository, "--to", &restored, "-i", &identity]);
    assert!(again.contains("is not empty"), "{again}");

    let server = Server::start(&place.path("restored"), &[]);
    let mut client = server.client();
    assert_eq!(client.ask("DEBUG DIGEST"), digest);
    assert_eq!(client.ask("GET planted-key-77"), "planted-value-1-77");
    client.ask("SELECT 9");
    assert_eq!(client.ask("LRANGE l 0 -1"), "a b c");
}

#[test]
fn what_has_not_changed_is_not_uploaded_again() {
    let place = Place::new();
    let server = place.start(&[]);
    let mut client = server.client();
    fill(&mut client, 1);
    client.ask("DEBUG POPULATE 40000 more 20");
    back_up(&mut client);
    let full: u64 = client
        .info("backup_last_success_uploaded_bytes")
        .parse()
        .expect("a number");
    client.ask("SAVE");
    server.kill();
    // Also after a restart.
    let server = place.start(&[]);
    let mut client = server.client();
    back_up(&mut client);
    assert_eq!(client.info("backup_last_success_uploaded_bytes"), "0");
    client.ask("SET more:7 changed");
    let digest = client.ask("DEBUG DIGEST");
    back_up(&mut client);
    let some: u64 = client
        .info("backup_last_success_uploaded_bytes")
        .parse()
        .expect("a number");
    assert!(some > 0 && some < full / 3, "{some} of {full}");
    drop(server);

    let (repository, identity) = (place.text("repository"), place.text("identity.txt"));
    // The first backup goes, its chunks that are still needed stay.
    good(&["prune", &repository, "--retention", "1"]);
    good(&["verify", &repository, "-i", &identity, "--drill"]);
    good(&[
        "restore",
        &repository,
        "--to",
        &place.text("restored"),
        "-i",
        &identity,
    ]);
    let server = Server::start(&place.path("restored"), &[]);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}

#[test]
fn every_damage_is_found_and_nothing_damaged_is_restored() {
    let place = Place::new();
    let server = place.start(&["--backup-compression", "lz4"]);
    let mut client = server.client();
    fill(&mut client, 2);
    back_up(&mut client);
    drop(server);
    let (repository, identity) = (place.text("repository"), place.text("identity.txt"));
    let restored = place.text("restored");
    let damaged = |what: &str| {
        bad(&["verify", &repository]);
        bad(&["restore", &repository, "--to", &restored, "-i", &identity]);
        assert!(!place.path("restored").exists(), "{what}");
    };
    for path in place.objects() {
        let good = fs::read(&path).expect("readable");
        let name = path.display().to_string();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            fs::write(&path, &bytes).expect("written");
            if name.contains("/keys/") {
                // Nobody but the holder of the identity can tell.
                bad(&["restore", &repository, "--to", &restored, "-i", &identity]);
                assert!(!place.path("restored").exists());
            } else {
                damaged(&name);
            }
        }
        fs::remove_file(&path).expect("removed");
        damaged(&name);
        fs::write(&path, &good).expect("written");
    }
    good(&["verify", &repository, "-i", &identity, "--drill"]);
    let other = place.text("other.txt");
    good(&["keygen", "-o", &other]);
    bad(&["restore", &repository, "--to", &restored, "-i", &other]);
    assert!(!place.path("restored").exists());
}

#[test]
fn writers_are_not_in_the_way() {
    let place = Place::new();
    let server = place.start(&["--rdb-key-save-delay", "300"]);
    let mut client = server.client();
    fill(&mut client, 3);
    let digest = client.ask("DEBUG DIGEST");
    assert_eq!(client.ask("BACKUP NOW"), "Backup started");
    eventually("the cut is made", || {
        client.info("backup_current_keys_total") != "0"
    });
    // From here on nothing belongs to the backup.
    let mut changes = 0;
    while client.info("backup_in_progress") == "1" && changes < 1500 {
        client.ask(&format!("SET planted-key-{changes} changed"));
        client.ask(&format!("DEL planted-key-{}", changes + 200));
        changes += 1;
    }
    assert!(changes > 20, "the backup was over after {changes} changes");
    eventually("the backup ends", || {
        client.info("backup_in_progress") == "0"
    });
    assert_eq!(client.info("backup_last_status"), "ok");
    drop(server);
    let (repository, identity) = (place.text("repository"), place.text("identity.txt"));
    good(&[
        "export",
        &repository,
        "-i",
        &identity,
        "-o",
        &place.text("dump.rdb"),
    ]);
    fs::create_dir(place.path("restored")).expect("a directory");
    fs::rename(place.path("dump.rdb"), place.path("restored/dump.rdb")).expect("moved");
    let server = Server::start(&place.path("restored"), &[]);
    assert_eq!(server.client().ask("DEBUG DIGEST"), digest);
}

#[test]
fn cancelled_and_impossible_backups_leave_no_trace() {
    let place = Place::new();
    let server = place.start(&["--rdb-key-save-delay", "2000"]);
    let mut client = server.client();
    fill(&mut client, 4);
    assert!(
        client
            .ask("BACKUP CANCEL")
            .starts_with("-ERR there is no backup job")
    );
    client.ask("BACKUP NOW");
    assert!(client.ask("BACKUP NOW").contains("already in progress"));
    eventually("it runs", || {
        client.info("backup_current_keys_processed") != "0"
    });
    assert_eq!(client.ask("BACKUP CANCEL"), "Backup job cancelled");
    eventually("it ends", || client.info("backup_in_progress") == "0");
    assert!(client.ask("BACKUP STATUS").contains("cancelled"));
    assert_eq!(client.info("backup_rpo_sec"), "-1");
    let left = place.objects();
    assert!(
        left.iter()
            .all(|path| path.to_string_lossy().contains("/keys/")),
        "{left:?}"
    );
    // A place that is gone is an error that is told.
    fs::remove_dir_all(place.path("repository")).expect("removed");
    client.ask("BACKUP NOW");
    eventually("it fails", || {
        client.ask("BACKUP STATUS").contains("cannot open")
    });
    assert_eq!(client.info("backup_last_status"), "err");
    assert!(
        client
            .ask("BACKUP NONSENSE")
            .starts_with("-ERR unknown subcommand")
    );
    assert!(
        client
            .ask("CONFIG SET backup-recipients AGE-SECRET-KEY-1QQQQ")
            .starts_with('-')
    );
    drop(server);
    let bare = Server::start(&place.path("data"), &[]);
    let mut client = bare.client();
    assert!(client.ask("BACKUP NOW").contains("set backup-url"));
    assert!(!client.ask("INFO everything").contains("# Backup"));
}

#[test]
fn a_schedule_and_a_retention_need_nobody() {
    let place = Place::new();
    let server = place.start(&["--backup-schedule", "every 1s", "--backup-retention", "2"]);
    let mut client = server.client();
    client.ask("SET a 1");
    eventually("four backups", || {
        client
            .info("backup_count")
            .parse::<u32>()
            .expect("a number")
            >= 4
    });
    let manifests = place.objects();
    let manifests = manifests
        .iter()
        .filter(|path| path.to_string_lossy().contains("/backups/"));
    assert!(manifests.count() <= 3);
    assert_eq!(client.info("backup_failures"), "0");
}

/// Unix milliseconds.
fn now_ms() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_millis()
}

#[test]
fn any_moment_of_the_archive_comes_back() {
    let place = Place::new();
    let options = ["--backup-archive", "yes", "--backup-archive-interval", "1"];
    let server = place.start(&options);
    let mut client = server.client();
    client.ask("SET counter 0");
    eventually("the archive begins", || {
        client.info("backup_archive_active") == "1" && client.info("backup_count") == "1"
    });
    // What the counter was at which moment; half of it is in transactions, a moment may not split one.
    let mut model = vec![(now_ms(), 0u64)];
    for round in 1..=600u64 {
        if round % 2 == 0 {
            client.ask("MULTI");
            client.ask("INCR counter");
            client.ask(&format!("SET twin {round}"));
            client.ask("EXEC");
        } else {
            client.ask("INCR counter");
        }
        model.push((now_ms(), round));
        if round == 300 {
            // Another backup in between.
            back_up(&mut client);
        }
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    let lost_at = now_ms();
    std::thread::sleep(std::time::Duration::from_millis(20));
    client.ask("FLUSHALL");
    let segments = || fs::read_dir(place.path("repository/logs")).map_or(0, |dir| dir.count());
    eventually("all is shipped", || {
        segments() > 0 && client.info("backup_rpo_sec") == "0"
    });
    server.kill();
    fs::remove_dir_all(place.path("data")).expect("removed");

    let (repository, identity) = (place.text("repository"), place.text("identity.txt"));
    let counter_at = |at: &str| {
        let target = tempfile::tempdir().expect("a directory");
        let dir = target.path().join("data");
        let text = dir.to_str().expect("UTF-8");
        good(&[
            "restore",
            &repository,
            "-i",
            &identity,
            "--to",
            text,
            "--at",
            at,
        ]);
        let server = Server::start(&dir, &["--appendonly", "yes"]);
        let mut client = server.client();
        (client.ask("GET counter"), client.ask("GET twin"))
    };
    let moment = |ms: u128| basalt_backup_moment(ms);
    for (at, expected) in [
        model[5], model[123], model[299], model[301], model[444], model[600],
    ] {
        // The moment after a reply: everything up to it, nothing later.
        let (counter, twin) = counter_at(&moment(at));
        assert_eq!(counter, expected.to_string(), "at {at}");
        if expected > 1 && expected != 0 {
            assert_eq!(twin, (expected / 2 * 2).to_string());
        }
    }
    assert_eq!(counter_at(&moment(lost_at)).0, "600");
    assert_eq!(counter_at("latest").0, "nil");
    let target = place.text("never");
    for at in ["1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "yesterday"] {
        bad(&[
            "restore",
            &repository,
            "-i",
            &identity,
            "--to",
            &target,
            "--at",
            at,
        ]);
        assert!(!place.path("never").exists(), "{at}");
    }
}

/// A moment as the tool reads it.
fn basalt_backup_moment(ms: u128) -> String {
    basalt_backup::repo::time_text(i64::try_from(ms).expect("in range"))
}
