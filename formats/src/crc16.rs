//! placeholder
/// x
pub fn key_slot(key: &[u8]) -> u16 {
    let mut c: u16 = 0;
    for &b in key {
        c ^= u16::from(b) << 8;
        for _ in 0..8 {
            c = if c & 0x8000 != 0 {
                (c << 1) ^ 0x1021
            } else {
                c << 1
            };
        }
    }
    c & 16383
}
