//! Lengths that are lies cost no memory: whatever a file, a payload or a log claims, decoding it takes at most twice its bytes
//! and 16 MiB. The claims stand at every place of real small files, so also where a length is.
//!
//! What is counted are the bytes of the whole process, those of loading threads included; so this is one test in a file of its
//! own. Unsafe: an allocator cannot be written without.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use basalt_engine::load::LoadOptions;
use basalt_engine::snapshot::Progress;
use basalt_engine::{Engine, Reply, Session};
use basalt_formats::aof::{AofReader, Manifest, Salvage, check};
use basalt_formats::rdb::file::{FileReader, Record};
use basalt_formats::rdb::seal_payload;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
struct Counting;

fn more(size: usize) {
    let now = LIVE.fetch_add(size, Relaxed) + size;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing. `realloc` and `alloc_zeroed` are
// those of the trait, which call these.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as for this function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ALLOWANCE: usize = 16 << 20;
const NOW_MS: i64 = 1_700_000_000_000;

/// The bytes taken at most while `run` runs.
fn taken<R>(run: impl FnOnce() -> R) -> usize {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    drop(run());
    PEAK.load(Relaxed) - before
}

fn bounded<R>(input: &[u8], what: &str, run: impl FnOnce() -> R) {
    let most = taken(run);
    assert!(
        most <= 2 * input.len() + ALLOWANCE,
        "{most} bytes for {}: {what}, {}",
        input.len(),
        input.escape_ascii()
    );
}

fn corpus(folder: &str, suffix: &str, longest: usize) -> Vec<Vec<u8>> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => walk(&path, into),
                path => into.push(path),
            }
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/corpus");
    let mut paths = Vec::new();
    walk(&top.join(folder), &mut paths);
    paths.retain(|path| path.to_string_lossy().ends_with(suffix));
    paths.sort();
    let files = paths.iter().map(|path| fs::read(path).expect("readable"));
    files.filter(|file| file.len() <= longest).collect()
}

/// Each place of the input overwritten with each claim.
fn with_claims(input: &[u8], claims: &[Vec<u8>], mut run: impl FnMut(&[u8])) {
    for at in 0..input.len() {
        for claim in claims {
            let mut lie = input[..at].to_vec();
            lie.extend_from_slice(claim);
            lie.extend_from_slice(input.get(at + claim.len()..).unwrap_or_default());
            run(&lie);
        }
    }
}

/// Lengths as RDB has them, of values and in packed ones.
fn binary_claims() -> Vec<Vec<u8>> {
    vec![
        b"\x80\x7f\xff\xff\xff".to_vec(),
        b"\x81\x00\x00\x00\x01\x00\x00\x00\x00".to_vec(),
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        // A compressed string that claims a gigabyte.
        b"\xc3\x04\x80\x40\x00\x00\x00".to_vec(),
        b"\xff\xff\xff\x7f".to_vec(),
        b"\xf0\xff\xff\xff\x7f".to_vec(),
    ]
}

fn restore(engine: &Engine, payload: &[u8]) {
    let words: [&[u8]; 5] = [b"RESTORE", b"r", b"0", payload, b"REPLACE"];
    let mut out = Reply::new(2);
    engine.execute(&mut Session::new(1), &words, &mut out, NOW_MS);
}

#[test]
fn claimed_lengths_take_no_memory() {
    // What would take it is seen.
    assert!(taken(|| vec![0u8; 3 * ALLOWANCE]) > 2 * ALLOWANCE);

    let engine = Engine::new(16);
    let options = LoadOptions {
        now_ms: NOW_MS,
        checksum: false,
        threads: 1,
        keep_expired: true,
        replace: true,
    };
    let mut cases = [0; 4];
    for file in corpus("rdb", ".rdb", 400) {
        with_claims(&file, &binary_claims(), |lie| {
            cases[0] += 1;
            bounded(lie, "a file", || {
                engine.load_rdb(lie, &options, &Progress::default())
            });
        });
    }
    // The shortest values of every type, as payloads.
    let mut shortest = std::collections::BTreeMap::<u8, Vec<u8>>::new();
    for file in corpus("rdb", ".rdb", 1 << 20) {
        let Ok(reader) = FileReader::new(&file) else {
            continue;
        };
        let mut reader = reader.checksum(false).keep_modules(true);
        while let Ok(record) = reader.next_record() {
            match record {
                Record::Key(key) => {
                    let known = shortest.entry(key.kind.byte()).or_default();
                    if known.is_empty() || known.len() > key.body.len() + 1 {
                        *known = [&[key.kind.byte()], key.body].concat();
                    }
                }
                Record::Eof { .. } => break,
                _ => {}
            }
        }
    }
    assert!(shortest.len() > 18, "{}", shortest.len());
    for value in shortest.values().filter(|value| value.len() < 600) {
        with_claims(value, &binary_claims(), |lie| {
            cases[1] += 1;
            let payload = seal_payload(lie.to_vec());
            bounded(lie, "a payload", || restore(&engine, &payload));
        });
    }
    let numbers = [
        "2147483647",
        "1073741824",
        "999999999",
        "18446744073709551615",
    ];
    let claims: Vec<Vec<u8>> = numbers
        .iter()
        .flat_map(|number| [format!("*{number}\r\n"), format!("${number}\r\n")])
        .map(String::into_bytes)
        .collect();
    for file in corpus("aof", ".aof", 600) {
        with_claims(&file, &claims, |lie| {
            cases[2] += 1;
            bounded(lie, "a log", || {
                let mut reader = AofReader::new(lie);
                while let Ok(Some(_)) = reader.next_record() {}
                (check(lie), Salvage::new(lie).count())
            });
        });
    }
    for file in corpus("aof", ".manifest", 600) {
        with_claims(&file, &claims, |lie| {
            cases[3] += 1;
            bounded(lie, "a manifest", || Manifest::parse(lie));
        });
    }
    assert!(cases.iter().all(|cases| *cases > 1000), "{cases:?}");
}
