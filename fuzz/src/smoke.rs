//! Runs every fuzz target on random cases: `smoke [cases per target] [seed] [target]`. The same
//! seed gives the same cases; a failing case is printed and its target and number say how to run
//! it again. Needs no nightly toolchain.

use std::panic::catch_unwind;
use std::process::ExitCode;

type Target = fn(&[u8]);

const TARGETS: &[(&str, Target, usize)] = &[
    ("resp_decode", basalt_fuzz::resp_decode, 200),
    ("packed", basalt_fuzz::packed, 300),
    ("text", basalt_fuzz::text, 120),
    ("rdb_file", basalt_fuzz::rdb_file, 100),
    ("restore", basalt_fuzz::restore, 400),
    ("commands", basalt_fuzz::commands, 600),
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Pieces of the formats, so that random bytes get past the first check.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"*1\r\n",
    b"*2\r\n",
    b"*3\r\n",
    b"$0\r\n\r\n",
    b"$3\r\nabc\r\n",
    b"$-1\r\n",
    b"PING\r\n",
    b"*-1\r\n",
    b"\"a\\x41\"",
    b"'b'",
    b" ",
    b"+OK\r\n",
    b":1\r\n",
    b",1.5\r\n",
    b"%1\r\n",
    b"~2\r\n",
    b"_\r\n",
    b"#t\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"(12\r\n",
    b"1e308",
    b"-0.1",
    b"0x1p3",
    b"9223372036854775807",
    b"\x00\x00\x00\x00\x02\x00\x00\x00",
    b"\xff",
    b"\x83abc\x04",
    b"\x01\x01",
    b"\xf1\x00\x01\x03",
    b"*",
    b"?",
    b"[^a-c]",
    b"\\",
];

fn case(random: &mut Random, most: usize) -> Vec<u8> {
    let len = (random.next() as usize) % most + 1;
    let mut data = Vec::with_capacity(len + 32);
    while data.len() < len {
        let draw = random.next();
        match draw % 8 {
            0..=2 => data.extend_from_slice(PIECES[(draw >> 8) as usize % PIECES.len()]),
            3 => data.push(b"0123456789-+.e$*\r\n"[(draw >> 8) as usize % 18]),
            _ => data.extend_from_slice(&draw.to_le_bytes()[1..2 + (draw as usize >> 60) % 7]),
        }
    }
    data
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let cases: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(50_000);
    let seed: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    let only = args.next();
    let mut failed = 0;
    for (name, target, most) in TARGETS {
        if only.as_deref().is_some_and(|o| o != *name) {
            continue;
        }
        let started = std::time::Instant::now();
        for number in 0..cases {
            let mut random =
                Random(seed.wrapping_mul(0x0100_0000_01b3) ^ number.wrapping_mul(0x9e37_79b9));
            let data = case(&mut random, *most);
            if catch_unwind(|| target(&data)).is_err() {
                println!("FAIL {name}: seed {seed}, case {number}: {data:?}");
                failed += 1;
                break;
            }
        }
        println!(
            "{name:<12} {cases} cases, {:.1} s",
            started.elapsed().as_secs_f64()
        );
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
