//! Random cases without libFuzzer: pieces of the formats put together, and seeds with bytes changed.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, 0 if that is 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n.max(1)
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

/// Numbers at which something changes.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    12,
    13,
    63,
    64,
    127,
    128,
    253,
    254,
    255,
    256,
    4095,
    4096,
    16383,
    16384,
    32767,
    32768,
    65535,
    65536,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];

/// Bytes of about `most` bytes at most, made of pieces.
pub fn pieces(random: &mut Random, most: usize) -> Vec<u8> {
    let len = random.below(most) + 1;
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

/// A seed with changes; `seeds` is not empty.
pub fn changed(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 << random.below(4) {
        change(random, seeds, &mut data);
    }
    data
}

fn change(random: &mut Random, seeds: &[Vec<u8>], data: &mut Vec<u8>) {
    let at = random.below(data.len());
    let end = (at + random.below(32) + 1).min(data.len());
    match random.below(10) {
        0 | 1 => {
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = data.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        3 => {
            if let Some(byte) = data.get_mut(at) {
                *byte = byte.wrapping_add(random.below(7) as u8).wrapping_sub(3);
            }
        }
        4 | 5 => {
            let number = NUMBERS[random.below(NUMBERS.len())];
            let bytes = match random.below(2) {
                0 => number.to_le_bytes(),
                _ => number.to_be_bytes().map(|byte| byte),
            };
            let width = 1 << random.below(4);
            let bytes = match bytes[0] == number as u8 {
                true => &bytes[..width],
                false => &bytes[8 - width..],
            };
            for (old, new) in data.iter_mut().skip(at).zip(bytes) {
                *old = *new;
            }
        }
        6 => drop(data.drain(at..end)),
        7 => {
            let piece = PIECES[random.below(PIECES.len())];
            data.splice(at..at, piece.iter().copied());
        }
        8 => {
            let copy = data[at..end].to_vec();
            let to = random.below(data.len() + 1);
            data.splice(to..to, copy);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            let piece = &other[from..(from + random.below(64)).min(other.len())];
            let until = (at + piece.len()).min(data.len());
            data.splice(at..until, piece.iter().copied());
        }
    }
}
