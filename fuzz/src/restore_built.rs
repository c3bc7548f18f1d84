//! RESTORE of damaged payloads: a value is built and dumped, bytes of the dump are changed, the
//! checksum is made right again, and the result is restored. It is refused, or it is a value that
//! every reading and writing command can work with.

use basalt_engine::Engine;
use basalt_formats::crc64::crc64;
use basalt_formats::resp::reply::Reply as Parsed;

use crate::Input;
use crate::restore::{call, use_it};

/// Version and checksum at the end of a payload.
const FOOTER: usize = 10;

/// Runs one case.
pub fn restore_built(data: &[u8]) {
    thread_local! {
        static ENGINE: Engine = Engine::new(1);
    }
    ENGINE.with(|engine| run(engine, &mut Input::new(data)));
}

fn run(engine: &Engine, input: &mut Input<'_>) {
    call(engine, &[b"FLUSHALL"]);
    build(engine, input);
    let Parsed::Bulk(mut payload) = call(engine, &[b"DUMP", b"k"]) else {
        return;
    };
    let Some(end) = payload.len().checked_sub(FOOTER) else {
        panic!("a dump without a footer: {payload:?}");
    };
    for _ in 0..input.below(5) {
        let at = input.below(end.max(1));
        match input.below(3) {
            0 => payload[at] = input.byte(),
            1 => payload[at] ^= 1 << input.below(8),
            _ => payload[at] = payload[at].wrapping_add(1),
        }
    }
    if input.byte() % 8 == 0 {
        payload[0] = input.byte() % 32;
    }
    let sum = payload.len() - 8;
    let crc = crc64(0, &payload[..sum]);
    payload[sum..].copy_from_slice(&crc.to_le_bytes());
    if matches!(
        call(engine, &[b"RESTORE", b"r", b"0", &payload]),
        Parsed::Error(_)
    ) {
        return;
    }
    use_it(engine, input);
}

/// A value of some type and encoding under `k`.
fn build(engine: &Engine, input: &mut Input<'_>) {
    let commands: [(&[u8], usize); 5] = [
        (b"SET", 0),
        (b"RPUSH", 1),
        (b"SADD", 1),
        (b"HSET", 2),
        (b"ZADD", 2),
    ];
    let (name, width) = commands[input.below(5)];
    if width == 0 {
        call(engine, &[name, b"k", input.bytes(60)]);
        return;
    }
    let many = if input.byte() % 8 == 0 { 150 } else { 12 };
    for i in 0..=input.below(many) {
        let element = match input.below(4) {
            0 => (i as i64)
                .wrapping_mul(input.integer())
                .to_string()
                .into_bytes(),
            1 => i.to_string().into_bytes(),
            2 => vec![b'a' + (i % 26) as u8; input.below(100)],
            _ => input.bytes(16).to_vec(),
        };
        match (width, name) {
            (1, _) => call(engine, &[name, b"k", &element]),
            (_, b"ZADD") => call(
                engine,
                &[name, b"k", input.integer().to_string().as_bytes(), &element],
            ),
            _ => call(engine, &[name, b"k", &element, input.bytes(20)]),
        };
    }
}
