//! Inputs to begin with, cut out of the collection of files in `formats/tests/corpus`, and the
//! inputs that once failed, which are kept in its folder `fuzz`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use basalt_formats::aof::{BatchWriter, Header, Lineage, Manifest, Part};
use basalt_formats::rdb::file::{FileReader, KeyRecord, Record};
use basalt_formats::rdb::{Body, FOOTER, ObjectType, RawNode, Reader};

use crate::Target;

/// Longest seed: longer ones hold nothing that shorter do not.
const MAX_SEED: usize = 4096;
/// Longest seed of a file of many values.
const MAX_FILE: usize = 24 << 10;
/// Seeds of one kind and, roughly, one size.
const PER_SHAPE: usize = 6;

/// The collection.
fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/corpus")
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => files(&path, into),
            false => into.push(path),
        }
    }
}

fn all_files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut paths = Vec::new();
    files(&corpus().join(folder), &mut paths);
    paths
        .into_iter()
        .filter_map(|path| {
            let content = fs::read(&path).ok()?;
            Some((path.to_string_lossy().into_owned(), content))
        })
        .collect()
}

/// Inputs of a target that failed once.
pub fn failed_once(target: &str) -> Vec<(String, Vec<u8>)> {
    all_files(&format!("fuzz/{target}"))
}

/// Writes the inputs that a target begins with and those that failed once as files, named by their content.
///
/// # Errors
/// The folder cannot be written.
pub fn write(target: &Target, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let failed_once = failed_once(target.name).into_iter().map(|(_, data)| data);
    for data in (target.seeds)().into_iter().chain(failed_once) {
        let name = format!("{:016x}", basalt_formats::crc64::crc64(0, &data));
        fs::write(folder.join(name), &data)?;
    }
    Ok(())
}

/// For libFuzzer's programs: if `FUZZ_WRITE_SEEDS` names a folder, writes the target's inputs there and ends the process.
///
/// # Panics
/// The folder cannot be written, or there is no such target.
pub fn write_if_asked(name: &str) {
    if let Some(folder) = std::env::var_os("FUZZ_WRITE_SEEDS") {
        let target = crate::TARGETS.iter().find(|target| target.name == name);
        write(target.expect("a target of that name"), Path::new(&folder)).expect("a folder");
        std::process::exit(0);
    }
}

fn prefixed(mode: u8, bytes: &[u8]) -> Vec<u8> {
    [&[mode], bytes].concat()
}

/// Keeps a few of each shape.
struct Few {
    seen: std::collections::BTreeMap<(u8, u32), usize>,
    kept: BTreeSet<Vec<u8>>,
}

impl Few {
    fn new() -> Few {
        Few {
            seen: Default::default(),
            kept: BTreeSet::new(),
        }
    }

    fn add(&mut self, shape: u8, seed: Vec<u8>) {
        let size = (seed.len() as u32).checked_ilog2().unwrap_or(0);
        let count = self.seen.entry((shape, size)).or_default();
        if seed.len() <= MAX_SEED && *count < PER_SHAPE && self.kept.insert(seed) {
            *count += 1;
        }
    }

    fn take(self) -> Vec<Vec<u8>> {
        self.kept.into_iter().collect()
    }
}

/// Every value of the files that can be read.
fn each_value(mut take: impl FnMut(&KeyRecord<'_>)) {
    for (_, file) in all_files("rdb") {
        let Ok(reader) = FileReader::new(&file) else {
            continue;
        };
        let mut reader = reader.checksum(false).keep_modules(true);
        while let Ok(record) = reader.next_record() {
            match record {
                Record::Key(key) => take(&key),
                Record::Eof { .. } => break,
                _ => {}
            }
        }
    }
}

/// Bytes of type and body of the dump payloads.
fn payloads() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (_, table) in all_files("dump") {
        let text = String::from_utf8_lossy(&table).into_owned();
        let mut lines = text.lines();
        let column = lines.next().and_then(|head| {
            head.split('\t')
                .position(|name| name.ends_with("payload_hex"))
        });
        for line in lines {
            let cell = column.and_then(|column| line.split('\t').nth(column));
            let Some(bytes) = cell.and_then(unhex) else {
                continue;
            };
            if let Some(end) = bytes.len().checked_sub(FOOTER) {
                found.push(bytes[..end].to_vec());
            }
        }
    }
    found
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    Some(digits?.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect())
}

/// Whole files of every version.
pub fn rdb() -> Vec<Vec<u8>> {
    let files = all_files("rdb").into_iter().map(|(_, file)| file);
    let mut seeds: Vec<_> = files.filter(|file| file.len() <= MAX_FILE).collect();
    // Values that are only in large files, one to a file.
    let mut few = Few::new();
    each_value(|key| {
        let header: &[u8] = match key.kind {
            ObjectType::ValkeyHash2 => b"VALKEY080",
            _ => b"REDIS0012",
        };
        let mut file = header.to_vec();
        file.extend_from_slice(&[key.kind.byte(), 1, b'k']);
        file.extend_from_slice(key.body);
        file.push(0xff);
        file.extend_from_slice(&[0; 8]);
        few.add(key.kind.byte(), file);
    });
    seeds.extend(few.take());
    seeds
}

/// Type and body of payloads.
pub fn restore() -> Vec<Vec<u8>> {
    let mut few = Few::new();
    for payload in payloads() {
        few.add(payload.first().copied().unwrap_or(0), payload);
    }
    each_value(|key| {
        if ObjectType::from_byte(key.kind.byte()) == Ok(key.kind) {
            few.add(key.kind.byte(), prefixed(key.kind.byte(), key.body));
        }
    });
    few.take()
}

/// The first string of a body, which for packed kinds is all of it.
fn packed(key: &KeyRecord<'_>) -> Vec<u8> {
    let mut reader = Reader::new(key.body);
    reader.string().map(Vec::from).unwrap_or_default()
}

/// Listpacks of small values and of lists.
pub fn listpack() -> Vec<Vec<u8>> {
    let mut few = Few::new();
    each_value(|key| match key.kind {
        ObjectType::HashListpack | ObjectType::ZsetListpack | ObjectType::SetListpack => {
            few.add(key.kind.byte(), prefixed(2, &packed(key)));
        }
        ObjectType::ListQuicklist2 => {
            let mut reader = Reader::new(key.body);
            if let Ok(Body::ListNodes(nodes)) = Body::read(key.kind, &mut reader) {
                for node in nodes.flatten() {
                    if let RawNode::Packed(list) = node {
                        few.add(key.kind.byte(), prefixed(2, list.as_bytes()));
                    }
                }
            }
        }
        _ => {}
    });
    few.take()
}

/// Ziplists and zipmaps of small values.
pub fn ziplist() -> Vec<Vec<u8>> {
    let mut few = Few::new();
    each_value(|key| match key.kind {
        ObjectType::HashZipmap => few.add(0, prefixed(1, &packed(key))),
        ObjectType::HashZiplist | ObjectType::ZsetZiplist | ObjectType::ListZiplist => {
            few.add(key.kind.byte(), prefixed(3, &packed(key)));
        }
        ObjectType::ListQuicklist => {
            let mut reader = Reader::new(key.body);
            let count = reader.length().unwrap_or(0);
            for _ in 0..count.min(8) {
                if let Ok(node) = reader.string() {
                    few.add(key.kind.byte(), prefixed(3, &node));
                }
            }
        }
        _ => {}
    });
    few.take()
}

/// Sets of integers.
pub fn intset() -> Vec<Vec<u8>> {
    let mut few = Few::new();
    each_value(|key| {
        if key.kind == ObjectType::SetIntset {
            let set = packed(key);
            few.add(set.first().copied().unwrap_or(0), prefixed(1, &set));
            // The mode that counts for itself takes the width's place in a table.
            let mut counted = prefixed(2, &set);
            if let Some(width) = counted.get_mut(1) {
                *width = width
                    .checked_ilog2()
                    .map_or(0, |log| log as u8)
                    .wrapping_sub(1);
            }
            few.add(10 + set.first().copied().unwrap_or(0), counted);
        }
    });
    few.take()
}

/// Bodies of streams, and their nodes.
pub fn stream() -> Vec<Vec<u8>> {
    let mut few = Few::new();
    each_value(|key| {
        // As the target chooses: the mode modulo 3 is the place of the kind.
        let mode = match key.kind {
            ObjectType::StreamListpacks => 3,
            ObjectType::StreamListpacks2 => 4,
            ObjectType::StreamListpacks3 => 5,
            _ => return,
        };
        few.add(mode, prefixed(mode, key.body));
        let mut reader = Reader::new(key.body);
        if let Ok(Body::Stream(stream)) = Body::read(key.kind, &mut reader) {
            for (_, node) in stream.nodes.iter().take(4) {
                few.add(1, prefixed(1, node.as_bytes()));
            }
        }
    });
    few.take()
}

/// Compressed strings as they stand in files, and what they expand to.
pub fn lzf() -> Vec<Vec<u8>> {
    let mut few = Few::new();
    let mut compressor = basalt_formats::lzf::Compressor::new();
    each_value(|key| {
        let body = &key.body[..key.body.len().min(3000)];
        few.add(1, prefixed(1, body));
        let mut packed = Vec::new();
        if compressor.compress(body, body.len(), &mut packed) {
            few.add(0, prefixed(0, &packed));
        }
        // As the servers compress: behind 0xc3, the compressed and the full length.
        if key.body.first() == Some(&0xc3) {
            let mut reader = Reader::new(&key.body[1..]);
            let lengths = reader.length().and_then(|len| Ok((len, reader.length()?)));
            if let Ok(packed) = lengths.and_then(|(len, _)| reader.bytes(len)) {
                few.add(2, prefixed(0, packed));
            }
        }
    });
    few.take()
}

/// Logs of every version, and the same commands in batches with checksums.
pub fn aof() -> Vec<Vec<u8>> {
    let mut few = Few::new();
    for (name, file) in all_files("aof") {
        if !name.ends_with(".aof") {
            continue;
        }
        let short = &file[..file.len().min(3000)];
        let shape = u8::from(file.starts_with(b"REDIS"));
        few.add(shape, prefixed(0, short));
        if shape == 0 {
            few.add(2, prefixed(2, short));
            let mut writer = BatchWriter::create(&Header {
                part: Part::Incr,
                lineage: Lineage([1; 16]),
                seq: 1,
                first: 0,
                time_ms: 1_700_000_000_000,
                prev: 0,
            });
            let mut reader = basalt_formats::aof::AofReader::new(short);
            let mut from = 0;
            while let Ok(Some(_)) = reader.next_record() {
                let end = reader.valid_up_to();
                if end > from + 200 {
                    writer.append_encoded(&short[from..end], 0);
                    writer.close(1_700_000_000_001);
                    from = end;
                }
            }
            let log = writer.take();
            for mode in [0, 7, 15, 23, 31] {
                few.add(3 + mode, prefixed(mode, &log));
            }
        }
        few.add(5, prefixed(3, &short[..short.len().min(120)]));
    }
    few.take()
}

/// Manifests, with and without a checksum.
pub fn manifest() -> Vec<Vec<u8>> {
    let mut seeds = BTreeSet::new();
    for (name, file) in all_files("aof") {
        if !name.ends_with(".manifest") {
            continue;
        }
        if let Ok(mut manifest) = Manifest::parse(&file) {
            manifest.lineage = Some(Lineage([3; 16]));
            seeds.insert(manifest.to_bytes());
        }
        seeds.insert(file);
    }
    seeds.into_iter().collect()
}

/// Requests as logs hold them, behind the byte of limits; replies of every type.
pub fn resp() -> Vec<Vec<u8>> {
    let mut few = Few::new();
    for (name, file) in all_files("aof") {
        if name.ends_with(".aof") && file.first() == Some(&b'*') {
            for flags in [0, 0x60, 0xff] {
                let short = &file[..file.len().min(600)];
                few.add(
                    flags,
                    [
                        &[flags, 3, 9, 40, 0, 7, 1, 90][..1 + usize::from(flags >> 5)],
                        short,
                    ]
                    .concat(),
                );
            }
        }
    }
    for reply in [
        &b"\x00PING\r\nSET a \"b c\"\r\nGET 'it\\'s'\r\n"[..],
        b"\x00+OK\r\n-ERR x\r\n:12\r\n$3\r\nabc\r\n$-1\r\n*-1\r\n*2\r\n:1\r\n+a\r\n",
        b"\x00_\r\n#t\r\n,1.5\r\n(123\r\n=7\r\ntxt:abc\r\n~1\r\n:1\r\n%1\r\n+a\r\n+b\r\n>1\r\n+a\r\n",
        b"\x00|1\r\n+a\r\n:1\r\n:2\r\n!5\r\nERR x\r\n",
    ] {
        few.add(7, reply.to_vec());
    }
    few.take()
}
