//! Payloads of real servers, for tests.

const FILES: &str = include_str!("../../tests/corpus/dump/payloads.tsv");

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hex digit") as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// Description and bytes of each payload.
pub(super) fn payloads() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let rows = FILES.lines().filter(|row| !row.starts_with("type\t"));
    rows.map(|row| {
        let hex = row.split('\t').nth(4).expect("a payload");
        (row, unhex(hex))
    })
}
