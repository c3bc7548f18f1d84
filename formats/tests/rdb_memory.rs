//! Lengths that are lies cost no memory.
//!
//! The test runs itself again with a small address space: what would be allocated for a
//! claimed length ends the process there. Values that are true, and whose strings expand to
//! what they claim, are in `rdb_files.rs`.
#![cfg(target_os = "linux")]

use std::process::Command;

use basalt_formats::rdb::file::{FileReader, Record};
use basalt_formats::rdb::{Body, ObjectType, Reader, Target, Writer, recode};

/// Kilobytes of address space; claims are for more than that.
const LIMIT_KB: u32 = 512 << 10;
const INSIDE: &str = "BASALT_TEST_LIMITED";

/// Lengths above the limit, as they are written.
fn claims() -> Vec<Vec<u8>> {
    [1u64 << 30, u32::MAX.into(), 1 << 40, 1 << 62, u64::MAX]
        .into_iter()
        .map(|claim| [&[0x81][..], &claim.to_be_bytes()].concat())
        .collect()
}

/// Bodies of every type with the claim at each place where a length may be.
fn bodies(claim: &[u8]) -> Vec<Vec<u8>> {
    let compressed = [b"\xc3\x03", claim, b"\x01ab"].concat();
    let large_packed = [b"\xc3", claim, claim, b"ab"].concat();
    let mut packed = 0x7fff_ffff_u32.to_le_bytes().to_vec();
    packed.extend_from_slice(b"\xff\xff\x00\x00\xff\xff");
    let packed = [&[packed.len() as u8][..], &packed].concat();
    let mut bodies = vec![claim.to_vec(), compressed, large_packed, packed];
    let parts = [
        &b"\x01"[..],
        b"\x02",
        b"\x01\x01",
        b"\x01\x01a",
        b"\x01\x02",
        &[0; 8],
    ];
    for part in parts {
        for tail in 0..4 {
            bodies.push([part, &bodies[tail]].concat());
        }
    }
    bodies
}

fn exercise() {
    let kinds: Vec<_> = (0..=u8::MAX)
        .filter_map(|byte| ObjectType::from_byte(byte).ok())
        .chain([
            ObjectType::HashMetadata,
            ObjectType::HashMetadataPreGa,
            ObjectType::HashListpackEx,
            ObjectType::HashListpackExPreGa,
            ObjectType::ValkeyHash2,
        ])
        .collect();
    for claim in claims() {
        for body in bodies(&claim) {
            for &kind in &kinds {
                let mut reader = Reader::new(&body);
                match Body::read(kind, &mut reader) {
                    Ok(Body::List(run) | Body::Set(run)) => drop(run.last()),
                    Ok(Body::Hash(run)) => drop(run.last()),
                    Ok(Body::Zset(run)) => drop(run.last()),
                    Ok(Body::ListNodes(run)) => drop(run.last()),
                    Ok(Body::HashTtl(run)) => drop(run.last()),
                    _ => {}
                }
                let _ = recode(kind, &body, Target::Redis5, &mut Writer::new(true));
            }
            for opcode in 0..=u8::MAX {
                let mut input = b"REDIS0012".to_vec();
                input.push(opcode);
                input.extend_from_slice(&body);
                let mut reader = FileReader::new(&input).unwrap().keep_modules(true);
                while let Ok(record) = reader.next_record() {
                    if let Record::Eof { .. } = record {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn claimed_lengths_cost_nothing() {
    if std::env::var_os(INSIDE).is_some() {
        return exercise();
    }
    let me = std::env::current_exe().unwrap();
    let script =
        format!("ulimit -v {LIMIT_KB} && exec \"$0\" --exact claimed_lengths_cost_nothing");
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(&me).env(INSIDE, "1");
        shell.output().unwrap()
    };
    let output = run(&script);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}");
    // The limit is one: much less is not enough to begin with.
    let output = run("ulimit -v 1000 && exec \"$0\" --exact claimed_lengths_cost_nothing");
    assert!(!output.status.success());
}
