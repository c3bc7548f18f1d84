//! The whole log on a simulated disk: engine, sink, writer threads, folder, rewrites, record and
//! loader, taken through faults, kills and power cuts.
//!
//! A client appends 1, 2, 3 ... to a list and notes up to which number it was promised that
//! nothing is lost: by the gate of its replies for a kill, by what is synced for a power cut.
//! Whatever the disk did, the next start must not be refused, and must find 1..n without a
//! gap, with n at least what was promised. Then it goes on from there, for a second crash.
//!
//! Threads make the order of calls differ from run to run; what must hold does not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use basalt_engine::env::disk::{Crash, Disk, DiskOp, Fault, FaultKind, SimDisk};
use basalt_engine::{Reply, Session};

use basalt_formats::aof::Manifest;

use super::durable::Until;
use super::files::{AofFile, AofFiles};
use super::load::LoadedAof;
use crate::app::build_with;
use crate::config::{AppendFsync, Config};
use crate::persist::Persist;
use crate::persist::lineage::facts::{FoundAof, Settings, Tag};
use crate::persist::lineage::judge::judge;
use crate::persist::lineage::start::{Files, last_batch};
use crate::persist::lineage::survey::{Listed, Probe, survey};
use crate::persist::lineage::verdict::{Load, Verdict};
use crate::persist::mapped::MappedFile;
use crate::persist::place::Place;
use crate::server::{Server, unix_ms};

const DATA: &str = "/data";
const FOLDER: &str = "/data/appendonlydir";
const MANIFEST: &str = "appendonly.aof.manifest";

fn config(policy: AppendFsync) -> Config {
    Config {
        appendonly: true,
        appendfsync: policy,
        auto_aof_rewrite_percentage: 0,
        ..Config::default()
    }
}

fn server(disk: &SimDisk, policy: AppendFsync) -> Arc<Server> {
    let persist = Persist {
        place: Place {
            disk: Arc::new(disk.clone()),
            dir: PathBuf::from(DATA),
        },
        ..Persist::default()
    };
    build_with(config(policy), &[], persist).expect("a server")
}

fn until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

/// A server and its only client.
struct Life {
    server: Arc<Server>,
    session: Session,
    /// Numbers appended.
    sent: u64,
    /// Promised to survive a kill, and a power cut.
    kept: u64,
    synced: u64,
}

impl Life {
    /// Starts with what was loaded.
    fn begin(
        server: Arc<Server>,
        loaded: Option<&LoadedAof>,
        count: u64,
    ) -> Result<Life, Box<dyn std::error::Error>> {
        server.open_log(loaded)?;
        Ok(Life {
            server,
            session: Session::new(1),
            sent: count,
            kept: count,
            synced: count,
        })
    }

    /// Appends the next number, unless writes are refused; beside it something that fills blocks of
    /// the file.
    fn push(&mut self) {
        if self.server.persist.aof.refusal().is_some() {
            return;
        }
        self.sent += 1;
        let number = self.sent.to_string();
        let filling = vec![b'x'; self.sent as usize * 977 % 9000];
        let engine = &self.server.engine;
        for words in [
            [b"SET", &b"f"[..], &filling],
            [b"RPUSH", b"l", number.as_bytes()],
        ] {
            let mut out = Reply::new(2);
            engine.execute(&mut self.session, &words, &mut out, unix_ms());
        }
    }

    /// Waits for the reply, as long as it may come.
    fn answered(&mut self) {
        let aof = &self.server.persist.aof;
        let index = self.session.log_index;
        until(Duration::from_millis(20), || {
            aof.durable.has(index, Until::Promised) || aof.refusal().is_some()
        });
        self.note();
    }

    fn note(&mut self) {
        let durable = &self.server.persist.aof.durable;
        if durable.has(self.session.log_index, Until::Promised) {
            self.kept = self.sent;
        }
        if durable.has(self.session.log_index, Until::Synced) {
            self.synced = self.sent;
        }
    }

    /// A rewrite from begin to end.
    fn rewrite(&self) {
        // One may run that the log asked for.
        let _ = self.server.rewrite_log();
        let aof = &self.server.persist.aof;
        assert!(
            until(Duration::from_secs(10), || !aof.is_rewriting()),
            "the rewrite does not end"
        );
    }

    fn work(&mut self, disk: &SimDisk) {
        for round in 0..12 {
            if !disk.is_powered() {
                break;
            }
            (0..round % 3 + 1).for_each(|_| self.push());
            self.answered();
            if round % 5 == 3 {
                self.rewrite();
            }
            self.server.check_log();
        }
        self.note();
    }

    /// Ends the threads; nothing reaches the disk any more.
    fn end(self, disk: &SimDisk) -> (u64, u64, u64) {
        disk.cut_power();
        self.server.persist.aof.rewrites.cancel();
        self.server.switch_log_off();
        let aof = &self.server.persist.aof;
        until(Duration::from_secs(10), || !aof.is_rewriting());
        (self.kept, self.synced, self.sent)
    }
}

/// What the files say, on the simulated disk.
struct Look;

impl Probe for Look {
    fn rdb(&self, _: &dyn Disk, _: &Path) -> Result<Tag, String> {
        Err("there is none".into())
    }

    fn manifest(&self, bytes: &[u8]) -> Result<Listed, String> {
        Files.manifest(bytes)
    }

    fn log(&self, disk: &dyn Disk, dir: &Path, listed: &Listed) -> Tag {
        let newest = listed.incr.iter().rev().find_map(|(name, _)| {
            let bytes = disk.read(&dir.join(name), 1 << 30).ok()?;
            last_batch(&bytes)
        });
        Tag {
            id: newest.map(|(id, _)| id),
            index: newest.and_then(|(_, index)| index),
        }
    }
}

/// A start: the files are judged by the record, and loaded. `Err` is a refusal.
fn start(
    disk: &SimDisk,
    policy: AppendFsync,
) -> Result<(Arc<Server>, Option<LoadedAof>, u64), String> {
    let settings = Settings {
        appendonly: true,
        dbfilename: "dump.rdb".into(),
        appenddirname: "appendonlydir".into(),
        allow_data_loss: false,
        data_set_id: None,
    };
    let found = survey(disk, Path::new(DATA), MANIFEST, &settings, &Look)
        .map_err(|error| error.to_string())?;
    let server = server(disk, policy);
    let record = found.lineage.as_ref().ok().and_then(Option::as_ref);
    let good = match judge(&found, &settings) {
        Verdict::Fresh => return Ok((server, None, 0)),
        Verdict::Refuse { cause, .. } => return Err(cause.to_string()),
        Verdict::Good(good) => good,
    };
    let index = match &found.aof {
        FoundAof::Log(log) => log.tag.index.unwrap_or(0),
        _ => 0,
    };
    server.persist.lineage.adopt(good.id, index, record);
    if good.load != Load::Aof {
        return Ok((server, None, 0));
    }
    let bytes = disk.peek(format!("{FOLDER}/{MANIFEST}"));
    let manifest = Manifest::parse(&bytes.ok_or("no manifest")?).map_err(|e| e.to_string())?;
    if manifest.is_empty() {
        return Ok((server, None, 0));
    }
    // The loader maps files.
    let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
    let files = manifest.files().map(|info| {
        let name = String::from_utf8_lossy(&info.name).into_owned();
        let bytes = disk.peek(format!("{FOLDER}/{name}"));
        let bytes = bytes.ok_or_else(|| format!("{name} is missing"))?;
        let path = copy.path().join(&name);
        std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
        Ok::<_, String>(AofFile {
            content: MappedFile::open(&path).map_err(|error| error.to_string())?,
            name,
            path,
            seq: info.seq,
            kind: info.kind,
        })
    });
    let files = files.collect::<Result<Vec<_>, _>>()?;
    let log = AofFiles { manifest, files };
    let round = server.loading_begins(log.total_bytes());
    let loaded = server
        .load_aof(&log, &round)
        .map_err(|error| format!("{error}: {error:?}"))?;
    server.loading_ends();
    for file in &log.files {
        // A torn tail was cut off.
        let len = std::fs::metadata(&file.path).map_err(|error| error.to_string())?;
        let there = PathBuf::from(FOLDER).join(&file.name);
        if disk.len(&there).map_err(|error| error.to_string())? != len.len() {
            disk.truncate(&there, len.len())
                .map_err(|error| error.to_string())?;
        }
    }
    let count = list(&server)?;
    Ok((server, Some(loaded), count))
}

/// The length of the list, if it is 1..n.
fn list(server: &Server) -> Result<u64, String> {
    let mut out = Reply::new(2);
    let words: [&[u8]; 4] = [b"LRANGE", b"l", b"0", b"-1"];
    server
        .engine
        .execute(&mut Session::new(2), &words, &mut out, unix_ms());
    let text = String::from_utf8_lossy(&out.buf).into_owned();
    let mut count = 0;
    for number in text.split("\r\n").skip(2).step_by(2) {
        count += 1;
        if number != count.to_string() {
            return Err(format!("{number} where {count} should be"));
        }
    }
    Ok(count)
}

/// Two lives with a crash behind each; the faults come in the first. Whether they all came.
fn run(seed: u64, policy: AppendFsync, faults: &[Fault], kill: bool) -> bool {
    let disk = SimDisk::new(seed);
    disk.put_dir(DATA);
    faults.iter().for_each(|fault| disk.inject(*fault));
    let what = format!("seed {seed}, {policy:?}, {faults:?}, kill {kill}");
    let mut came = true;
    let mut promised = 0;
    let mut sent = 0;
    for life in 0..2 {
        let (server, loaded, count) = match start(&disk, policy) {
            Ok(started) => started,
            Err(reason) => panic!("{what}, life {life}: refused: {reason}\n{}", disk.trace()),
        };
        assert!(
            (promised..=sent).contains(&count),
            "{what}, life {life}: {count} of {sent} came back, {promised} were promised\n{}",
            disk.trace()
        );
        let begun = Life::begin(server, loaded.as_ref(), count);
        if life == 0 {
            came = disk.faults_waiting() == 0;
        }
        let Ok(mut begun) = begun else {
            // A fault at the start ends it; what was there stays.
            (promised, sent) = (count, count);
            disk.cut_power();
            crash(&disk, kill);
            continue;
        };
        begun.work(&disk);
        came |= disk.faults_waiting() == 0;
        let (kept, synced, all) = begun.end(&disk);
        (promised, sent) = (if kill { kept } else { synced }, all);
        crash(&disk, kill);
    }
    match start(&disk, policy) {
        Ok((_, _, count)) => assert!(
            (promised..=sent).contains(&count),
            "{what}: {count} of {sent} came back at last, {promised} were promised\n{}",
            disk.trace()
        ),
        Err(reason) => panic!("{what}: refused at last: {reason}\n{}", disk.trace()),
    }
    came
}

fn crash(disk: &SimDisk, kill: bool) {
    if kill {
        disk.kill();
    } else {
        disk.crash(Crash::Blocks);
    }
}

/// So many runs in each loop; `BASALT_SIM_RUNS` for more.
fn runs(usual: u64) -> u64 {
    let more = std::env::var("BASALT_SIM_RUNS").ok();
    more.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn policy(number: u64) -> AppendFsync {
    if number.is_multiple_of(2) {
        AppendFsync::Always
    } else {
        AppendFsync::EverySec
    }
}

#[test]
fn nothing_promised_is_lost_whichever_call_meets_a_power_cut() {
    for nth in 1..=runs(40) {
        run(
            nth,
            policy(nth),
            &[Fault::nth(nth, FaultKind::PowerCut)],
            false,
        );
    }
}

#[test]
fn nothing_promised_is_lost_whichever_call_fails() {
    let kinds = [FaultKind::Eio, FaultKind::NoSpace, FaultKind::Short];
    for nth in 1..=runs(30) {
        let kind = kinds[nth as usize % 3];
        let kill = nth.is_multiple_of(2);
        run(nth, policy(nth / 2), &[Fault::nth(nth, kind)], kill);
    }
}

#[test]
fn nothing_promised_is_lost_when_two_calls_fail() {
    for seed in 1..=runs(20) {
        let (first, second) = (seed % 50 + 6, seed * 7 % 11 + 1);
        let faults = [
            Fault::nth(first, FaultKind::Eio),
            Fault::nth(first + second, FaultKind::Eio),
        ];
        run(seed, policy(seed), &faults, seed.is_multiple_of(3));
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing_answered() {
    for seed in 1..=runs(10) {
        let cut = Fault::nth(seed * 3, FaultKind::PowerCut);
        run(seed, AppendFsync::EverySec, &[cut], true);
    }
}

#[test]
fn the_log_goes_on_by_itself_after_a_failed_sync() {
    for (nth, policy) in [(8, AppendFsync::Always), (9, AppendFsync::EverySec)] {
        let disk = SimDisk::new(nth);
        disk.put_dir(DATA);
        let mut life = Life::begin(server(&disk, policy), None, 0).expect("it starts");
        disk.inject(Fault::on(DiskOp::Sync, 2, FaultKind::Eio));
        let aof = life.server.clone();
        let aof = &aof.persist.aof;
        let mut refused = false;
        let came = until(Duration::from_secs(20), || {
            life.push();
            life.answered();
            refused |= aof.refusal().is_some();
            life.server.check_log();
            refused && aof.refusal().is_none() && !aof.needs_base.load(Relaxed)
        });
        assert!(came, "refused: {refused}, {:?}", aof.refusal());
        life.push();
        let index = life.session.log_index;
        assert!(until(Duration::from_secs(10), || aof
            .durable
            .has(index, Until::Synced)));
        let sent = life.sent;
        life.end(&disk);
        disk.crash(Crash::DropAll);
        let (_, _, count) = start(&disk, policy).expect("it starts");
        assert_eq!(count, sent, "all that was synced");
    }
}

#[test]
fn believing_in_a_log_that_is_not_synced_is_caught() {
    // The harness can fail: under `everysec` a power cut takes what was only answered.
    let disk = SimDisk::new(3);
    disk.put_dir(DATA);
    let mut life = Life::begin(server(&disk, AppendFsync::No), None, 0).expect("it starts");
    (0..5).for_each(|_| life.push());
    life.answered();
    let (kept, synced, _) = life.end(&disk);
    disk.crash(Crash::DropAll);
    let (_, _, count) = start(&disk, AppendFsync::No).expect("it starts");
    assert_eq!((kept, synced, count), (5, 0, 0));
}
