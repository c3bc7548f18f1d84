//! The writer on a simulated disk. Batches are numbers with a checksum; a base is the highest
//! number it covers. `Log` is a small owner of the writer, as the server's will be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use basalt_engine::env::Dice;
use basalt_engine::env::disk::{
    Crash, Disk, DiskOp, Fault, FaultKind, Result, SimDisk, publish, replace_file,
};

use super::*;

const RECORD: usize = 12;
const MANIFEST: &str = "/aof/manifest";

fn record(number: u64) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let whole = bytes.chunks_exact(RECORD);
    whole
        .take_while(|bytes| **bytes == record(number(bytes)))
        .map(number)
        .collect()
}

fn incr(seq: u64) -> PathBuf {
    PathBuf::from(format!("/aof/{seq}.incr"))
}

struct Log {
    disk: SimDisk,
    writer: LogWriter,
    /// The base's number, and the increments, as the manifest has them.
    base: u64,
    listed: Vec<u64>,
    next_seq: u64,
    accepted: u64,
    now_ms: u64,
    /// The number and offset of the cut that waits for its file.
    cut: Option<(u64, u64)>,
    /// Whether results of syncs come a step later, with appends in between.
    slow: bool,
    late: Option<SyncDone>,
    /// What clients under `always` were told.
    promised: u64,
}

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.put_dir("/aof");
    disk
}

impl Log {
    fn create(disk: &SimDisk, policy: Policy) -> Log {
        disk.put(incr(1), b"");
        disk.put(MANIFEST, b"0 1");
        let file = disk.open_append(&incr(1)).unwrap();
        Log {
            disk: disk.clone(),
            writer: LogWriter::new(Arc::from(file), 0, policy, 0).unwrap(),
            base: 0,
            listed: vec![1],
            next_seq: 2,
            accepted: 0,
            now_ms: 0,
            cut: None,
            slow: false,
            late: None,
            promised: 0,
        }
    }

    fn push(&mut self) {
        self.accepted += 1;
        let end = self.writer.push(&mut record(self.accepted).to_vec());
        assert_eq!(end, self.accepted * RECORD as u64);
    }

    fn step(&mut self) {
        self.now_ms += 50;
        let job = self.writer.step(self.now_ms);
        let late = self.late.take();
        match job.map(SyncJob::run) {
            Some(done) if self.slow => self.late = Some(done),
            Some(done) => self.writer.finish(done),
            None => {}
        }
        if let Some(done) = late {
            self.writer.finish(done);
        }
        self.promise();
    }

    fn promise(&mut self) {
        let durable = self.durable();
        assert!(durable >= self.promised, "durable went back");
        self.promised = durable;
    }

    fn durable(&self) -> u64 {
        self.writer.durable() / RECORD as u64
    }

    fn manifest(&self, base: u64, listed: &[u64]) -> Result<()> {
        let words: Vec<_> = listed.iter().map(u64::to_string).collect();
        let text = format!("{base} {}", words.join(" "));
        replace_file(&self.disk, Path::new(MANIFEST), text.as_bytes())
    }

    fn create_next(&mut self) -> Result<(u64, Arc<dyn DiskFile>)> {
        let seq = self.next_seq;
        self.next_seq += 1;
        let file = self.disk.create_new(&incr(seq))?;
        self.disk.sync_dir(Path::new("/aof"))?;
        Ok((seq, Arc::from(file)))
    }

    /// Cuts when a file is condemned or when asked to, and takes a waiting rotation further.
    fn tend(&mut self, rewrite: bool) -> Result<()> {
        if (rewrite || self.writer.needs_base())
            && let Some(offset) = self.writer.cut()
        {
            self.cut = Some((self.accepted, offset));
        }
        let (Some(rotation), Some((number, offset))) = (self.writer.rotation(), self.cut) else {
            return Ok(());
        };
        let (seq, file) = self.create_next()?;
        if rotation == Rotation::Append {
            let listed = [&self.listed[..], &[seq]].concat();
            self.manifest(self.base, &listed)?;
            self.listed = listed;
        }
        self.writer.rotate(file, self.now_ms)?;
        self.cut = None;
        let made = self.base(number, seq);
        match &made {
            Ok(()) => self.writer.base_published(offset),
            Err(_) => self.writer.base_failed(offset),
        }
        made
    }

    /// Makes the base of a cut, while the writer goes on, and the manifest that names it.
    fn base(&mut self, number: u64, seq: u64) -> Result<()> {
        let temp = PathBuf::from(format!("/aof/temp-{seq}"));
        let base = self.disk.create_new(&temp)?;
        base.append(&record(number))
            .map_err(|failed| failed.error)?;
        base.sync_data()?;
        // Batches come in meanwhile.
        self.push();
        (0..3).for_each(|_| self.step());
        let path = PathBuf::from(format!("/aof/{number}.{seq}.base"));
        publish(&self.disk, &temp, &path)?;
        self.manifest(number, &[seq])?;
        (self.base, self.listed) = (number, vec![seq]);
        Ok(())
    }
}

/// Loads what is on disk: the highest number, if the log is readable.
fn load(disk: &SimDisk) -> std::result::Result<u64, String> {
    let manifest = disk.peek(MANIFEST).ok_or("no manifest")?;
    let text = String::from_utf8(manifest).map_err(|_| "a damaged manifest")?;
    let words: Vec<u64> = text
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let (base, files) = words.split_first().ok_or("an empty manifest")?;
    if *base > 0 {
        let seq = files.first().ok_or("no increment")?;
        let path = format!("/aof/{base}.{seq}.base");
        let bytes = disk.peek(path).ok_or("no base")?;
        if numbers(&bytes) != [*base] {
            return Err("a damaged base".to_owned());
        }
    }
    let mut last = *base;
    for (i, seq) in files.iter().enumerate() {
        let bytes = disk.peek(incr(*seq)).ok_or(format!("no file {seq}"))?;
        let found = numbers(&bytes);
        if i + 1 < files.len() && found.len() * RECORD != bytes.len() {
            return Err(format!("file {seq} has a torn end, and is not the last"));
        }
        for number in found {
            if number != last + 1 {
                return Err(format!("{number} follows {last} in file {seq}"));
            }
            last = number;
        }
    }
    Ok(last)
}

#[derive(Clone, Copy, Debug)]
enum End {
    PowerCut,
    Kill,
}

/// A run with faults in it, that ends with a power cut or kill. Their calls may not all come;
/// says so.
fn run(seed: u64, policy: Policy, faults: &[Fault], end: End) -> bool {
    let disk = disk(seed);
    let mut log = Log::create(&disk, policy);
    let mut dice = Dice::new(seed ^ 0x5eed);
    faults.iter().for_each(|fault| disk.inject(*fault));
    log.slow = dice.one_in(2);
    let mut written = 0;
    for round in 0..40 {
        for _ in 0..dice.below(4) {
            if log.writer.refusal().is_none() {
                log.push();
            }
        }
        log.step();
        written = log.writer.written() / RECORD as u64;
        if log.tend(round % 9 == 8).is_err() && !disk.is_powered() {
            break;
        }
        log.promise();
    }
    let came = disk.faults_waiting() == 0;
    match end {
        End::PowerCut => disk.crash(Crash::Seeded),
        End::Kill => disk.kill(),
    }
    let promised = match end {
        End::PowerCut => log.promised,
        End::Kill => log.promised.max(written),
    };
    let what = format!("seed {seed}, {policy:?}, {faults:?}, {end:?}");
    match load(&disk) {
        Ok(last) => assert!(
            (promised..=log.accepted).contains(&last),
            "{what}: {last} of {} came back, {promised} were promised\n{}",
            log.accepted,
            disk.trace()
        ),
        Err(error) => panic!("{what}: {error}\n{}", disk.trace()),
    }
    came
}

/// Every call of a run fails once, in each way: nothing that was durable is lost, and what is
/// there can be loaded.
#[test]
fn nothing_durable_is_lost_whichever_call_fails() {
    let kinds = [
        FaultKind::Eio,
        FaultKind::NoSpace,
        FaultKind::Short,
        FaultKind::PowerCut,
    ];
    for policy in [Policy::Always, Policy::EverySec, Policy::No] {
        for kind in kinds {
            for nth in 1.. {
                let came = (0..4).fold(false, |came, seed| {
                    let end = if seed == 3 { End::Kill } else { End::PowerCut };
                    came | run(seed * 1000 + nth, policy, &[Fault::nth(nth, kind)], end)
                });
                if !came {
                    assert!(nth > 30, "only {nth} calls");
                    break;
                }
            }
        }
    }
}

/// The same, with the disk failing from some call on, and for good.
#[test]
fn nothing_durable_is_lost_when_the_disk_dies() {
    for policy in [Policy::Always, Policy::EverySec] {
        for nth in 1..60 {
            for end in [End::PowerCut, End::Kill] {
                let fault = Fault::nth(nth, FaultKind::Eio).onwards();
                run(nth, policy, &[fault], end);
            }
        }
    }
}

/// A sync fails, and then something on the way out of that, and then the power.
#[test]
fn nothing_durable_is_lost_when_recovering_fails_too() {
    for policy in [Policy::Always, Policy::EverySec] {
        for nth in 1..6 {
            let sync = Fault::on(DiskOp::Sync, nth, FaultKind::Eio);
            for second in 2..60 {
                for kind in [FaultKind::Eio, FaultKind::Short, FaultKind::PowerCut] {
                    let faults = [sync, Fault::nth(second, kind)];
                    run(second * 7 + nth, policy, &faults, End::PowerCut);
                    run(second * 7 + nth, policy, &faults, End::Kill);
                    let third = Fault::nth(second + 9, FaultKind::Eio);
                    let faults = [sync, Fault::nth(second, FaultKind::Eio), third];
                    run(second, policy, &faults, End::PowerCut);
                }
            }
        }
    }
}

/// After the last fault it takes writes again, by itself.
#[test]
fn it_recovers_by_itself() {
    for policy in [Policy::Always, Policy::EverySec, Policy::No] {
        for nth in 1..40 {
            for kind in [FaultKind::Eio, FaultKind::Short] {
                let disk = disk(nth);
                let mut log = Log::create(&disk, policy);
                disk.inject(Fault::nth(nth, kind));
                disk.inject(Fault::nth(nth + 3, FaultKind::Eio));
                for round in 0..60 {
                    if log.writer.refusal().is_none() {
                        log.push();
                    }
                    log.step();
                    let _ = log.tend(round % 9 == 8);
                }
                assert_eq!(log.writer.refusal(), None, "{}", disk.trace());
                log.writer.set_policy(Policy::Always);
                (0..40).for_each(|_| log.step());
                let _ = log.tend(false);
                log.step();
                disk.crash(Crash::DropAll);
                assert_eq!(load(&disk), Ok(log.accepted), "{}", disk.trace());
            }
        }
    }
}

/// The check above can fail: a writer that is told that a failed sync went well is caught.
#[test]
fn believing_a_failed_sync_is_caught() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::Always);
    disk.inject(Fault::on(DiskOp::Sync, 1, FaultKind::Eio));
    log.push();
    let mut done = log.writer.step(0).unwrap().run();
    assert!(done.result.is_err());
    done.result = Ok(());
    log.writer.finish(done);
    log.push();
    log.step();
    assert_eq!(log.durable(), 2);
    disk.crash(Crash::KeepAll);
    assert!(load(&disk).unwrap() < 2);
}

#[test]
fn one_sync_covers_all_that_waited() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::Always);
    (0..10).for_each(|_| log.push());
    let first = log.writer.step(0).unwrap();
    (0..10).for_each(|_| log.push());
    // While it runs, appends go on and no second one begins.
    assert!(log.writer.step(1).is_none());
    assert_eq!(disk.len(&incr(1)).unwrap(), 20 * RECORD as u64);
    assert_eq!((log.durable(), log.writer.written()), (0, 240));
    log.writer.finish(first.run());
    assert_eq!(log.durable(), 10, "only what was written before it began");
    log.step();
    assert_eq!(log.durable(), 20);
    assert!(log.writer.step(2).is_none(), "nothing is left to sync");
}

#[test]
fn everysec_syncs_each_second_and_counts_the_late_ones() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::EverySec);
    log.push();
    assert!(log.writer.step(10).is_none());
    assert_eq!(log.writer.wake_ms(), Some(1000));
    let slow = log.writer.step(1000).unwrap();
    log.push();
    assert!(log.writer.step(1999).is_none());
    assert_eq!(log.writer.delayed_syncs(), 0);
    assert_eq!(log.writer.wake_ms(), Some(2000));
    assert!(log.writer.step(2000).is_none());
    assert!(log.writer.step(2001).is_none());
    assert_eq!(
        (log.writer.delayed_syncs(), log.writer.wake_ms()),
        (1, Some(3000))
    );
    assert!(log.writer.step(3000).is_none());
    assert_eq!(log.writer.delayed_syncs(), 2);
    // All that time what was written survives the process.
    assert_eq!(log.writer.written(), 24);
    log.writer.finish(slow.run());
    assert_eq!(log.durable(), 1);
    let next = log.writer.step(4000).unwrap();
    log.writer.finish(next.run());
    assert_eq!((log.durable(), log.writer.wake_ms()), (2, None));
}

#[test]
fn appendfsync_no_syncs_only_at_the_end_of_a_file() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::No);
    log.push();
    assert!(log.writer.step(100_000).is_none() && log.writer.wake_ms().is_none());
    log.writer.cut().unwrap();
    assert_eq!(log.writer.rotation(), None);
    let last = log.writer.step(100_001).unwrap();
    log.writer.finish(last.run());
    assert_eq!(log.writer.rotation(), Some(Rotation::Append));
    log.writer.cancel_cut();
    log.push();
    log.writer.set_policy(Policy::Always);
    log.step();
    assert_eq!(log.durable(), 2);
}

#[test]
fn a_full_disk_refuses_keeps_what_fits_and_resumes() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::EverySec);
    disk.set_capacity(Some(3 + 5 * RECORD as u64 + 7));
    (0..8).for_each(|_| log.push());
    assert!(log.writer.step(0).is_none());
    // Five batches fit, and the torn sixth was cut off.
    assert_eq!(disk.peek(incr(1)).unwrap().len(), 5 * RECORD);
    assert_eq!(
        (log.writer.backlog(), log.writer.file_len()),
        (3 * RECORD, 60)
    );
    let refusal = log.writer.refusal().unwrap();
    assert!(refusal.contains("No space left on device"), "{refusal}");
    // It tries again, more and more slowly, and not before its time.
    let mut tries = Vec::new();
    let mut now_ms = 0;
    for _ in 0..6 {
        let next_ms = log.writer.wake_ms().unwrap().min(now_ms + 2000);
        tries.push(next_ms - now_ms);
        now_ms = next_ms;
        if let Some(job) = log.writer.step(now_ms) {
            log.writer.finish(job.run());
        }
    }
    assert_eq!(tries[..3], [100, 200, 400]);
    let changes = disk.changes();
    log.writer.step(now_ms + 1);
    assert_eq!(disk.changes(), changes);
    disk.set_capacity(None);
    assert!(log.writer.step(now_ms + 1000).is_some());
    assert_eq!(log.writer.refusal(), None);
    assert_eq!(
        numbers(&disk.peek(incr(1)).unwrap()),
        (1..=8).collect::<Vec<_>>()
    );
}

#[test]
fn whole_batches_of_a_short_write_are_synced() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::Always);
    disk.set_capacity(Some(3 + 2 * RECORD as u64));
    (0..3).for_each(|_| log.push());
    log.step();
    assert_eq!(log.durable(), 2);
    disk.set_capacity(None);
    (0..3).for_each(|_| log.step());
    assert_eq!(log.durable(), 3);
}

#[test]
fn a_failed_sync_condemns_the_file_until_a_base_makes_up_for_it() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::Always);
    log.push();
    log.step();
    disk.inject(Fault::on(DiskOp::Sync, 1, FaultKind::Eio));
    log.push();
    log.step();
    assert!(log.writer.is_condemned());
    assert!(log.writer.refusal().unwrap().contains("Input/output error"));
    assert_eq!(log.writer.wake_ms(), None);
    // Nobody was answered for the second batch, and it is gone from the file.
    assert_eq!(disk.peek(incr(1)).unwrap().len(), RECORD);
    log.push();
    let changes = disk.changes();
    (0..50).for_each(|_| log.step());
    assert_eq!(
        disk.changes(),
        changes,
        "nothing is written to it or synced"
    );
    assert_eq!((log.durable(), load(&disk).unwrap()), (1, 1));

    let cut = log.writer.cut().unwrap();
    assert_eq!(log.writer.rotation(), Some(Rotation::Replace));
    let (seq, file) = log.create_next().unwrap();
    log.writer.rotate(file, log.now_ms).unwrap();
    log.push();
    log.step();
    assert_eq!(disk.peek(incr(seq)).unwrap(), record(4));
    assert_eq!(log.durable(), 1, "the base is not there yet");
    assert_eq!(
        log.writer.refusal().unwrap(),
        "the log waits for a fresh base"
    );
    log.writer.base_published(cut - 1);
    assert_eq!(log.durable(), 1, "that was another cut");
    log.writer.base_published(cut);
    assert_eq!((log.durable(), log.writer.refusal()), (4, None));
}

/// Clients had their replies for these: if only the process dies they must be there.
#[test]
fn a_condemned_file_keeps_what_was_answered_for() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::EverySec);
    (0..3).for_each(|_| log.push());
    disk.inject(Fault::on(DiskOp::Sync, 1, FaultKind::Eio));
    log.now_ms = 2000;
    log.step();
    assert!(log.writer.is_condemned());
    assert_eq!(load(&disk).unwrap(), 3);
}

#[test]
fn a_torn_batch_that_can_not_be_cut_off_condemns_the_file() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::EverySec);
    disk.set_capacity(Some(3 + RECORD as u64 + 5));
    (0..2).for_each(|_| log.push());
    disk.inject(Fault::on(DiskOp::Truncate, 1, FaultKind::Eio));
    log.step();
    assert!(log.writer.is_condemned());
    disk.set_capacity(None);
    log.tend(false).unwrap();
    assert_eq!((log.durable(), log.writer.refusal()), (2, None));
    disk.crash(Crash::DropAll);
    assert_eq!(load(&disk).unwrap(), 2);
}

#[test]
fn a_sync_of_a_file_given_up_says_nothing_about_the_next() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::EverySec);
    log.push();
    let late = log.writer.step(1000).unwrap();
    disk.set_capacity(Some(RECORD as u64 + 8));
    disk.inject(Fault::on(DiskOp::Truncate, 1, FaultKind::Eio));
    log.push();
    log.writer.step(1001);
    assert!(log.writer.is_condemned());
    disk.set_capacity(None);
    log.tend(false).unwrap();
    log.push();
    log.writer.step(1002);
    let before = log.durable();
    disk.inject(Fault::on(DiskOp::Sync, 1, FaultKind::Eio));
    log.writer.finish(late.run());
    assert!(!log.writer.is_condemned());
    assert_eq!(log.durable(), before);
}

#[test]
fn a_second_cut_waits_for_the_first_and_later_batches_for_their_file() {
    let disk = disk(1);
    let mut log = Log::create(&disk, Policy::Always);
    log.push();
    let cut = log.writer.cut().unwrap();
    assert_eq!((cut, log.writer.cut()), (12, None));
    log.push();
    log.step();
    log.step();
    assert_eq!(log.writer.rotation(), Some(Rotation::Append));
    assert_eq!(disk.peek(incr(1)).unwrap(), record(1));
    assert_eq!((log.durable(), log.writer.backlog()), (1, RECORD));
    let (seq, file) = log.create_next().unwrap();
    log.writer.rotate(file, log.now_ms).unwrap();
    log.step();
    assert_eq!(disk.peek(incr(seq)).unwrap(), record(2));
    assert_eq!((log.durable(), log.writer.rotation()), (2, None));
    // Not asked for: nothing happens.
    let (_, file) = log.create_next().unwrap();
    log.writer.rotate(file, log.now_ms).unwrap();
    log.push();
    log.step();
    assert_eq!(disk.peek(incr(seq)).unwrap().len(), 2 * RECORD);
}

#[test]
fn a_sync_ahead_of_a_cut_leaves_it_little_to_sync() {
    for policy in [Policy::EverySec, Policy::No] {
        let disk = disk(5);
        let mut log = Log::create(&disk, policy);
        let writer = &mut log.writer;
        writer.push(&mut record(1).to_vec());
        assert!(writer.step(10).is_none(), "no second has passed");
        writer.sync_ahead();
        let job = writer.step(11).expect("it is made at once");
        // Others go on meanwhile, and are not held up.
        writer.push(&mut record(2).to_vec());
        assert!(writer.step(12).is_none());
        assert_eq!(writer.written(), 2 * RECORD as u64);
        writer.finish(job.run());
        assert_eq!(writer.durable(), RECORD as u64);
        assert!(writer.step(13).is_none(), "and once only");
        writer.cut();
        let job = writer.step(14).expect("the rest");
        writer.finish(job.run());
        assert_eq!(writer.rotation(), Some(Rotation::Append));
    }
}
