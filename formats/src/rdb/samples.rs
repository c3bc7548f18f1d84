//! Payloads of real servers, for tests.

const FILES: &str = concat!(
    include_str!("../../tests/corpus/dump/payloads-r2.6.17.tsv"),
    include_str!("../../tests/corpus/dump/payloads-r3.2.13.tsv"),
    include_str!("../../tests/corpus/dump/payloads-r5.0.14.tsv"),
    include_str!("../../tests/corpus/dump/payloads-r7.0.15.tsv"),
    include_str!("../../tests/corpus/dump/payloads-r7.2.4.tsv"),
    include_str!("../../tests/corpus/dump/payloads-v81.tsv"),
);

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
