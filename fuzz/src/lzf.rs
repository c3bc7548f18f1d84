//! LZF: any bytes are refused or expand to the length that was announced, in memory for that
//! length; what is compressed comes back.

use basalt_formats::lzf::{self, Compressor, LzfError};

use crate::Input;
use crate::alloc::taken;

/// One case: a byte that says what to do; compressed bytes, or bytes to compress.
pub fn lzf(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 3 {
        0 => expand(rest),
        1 => shrink(rest),
        _ => shrink(&repetitive(&mut Input::new(rest))),
    }
}

fn expand(input: &[u8]) {
    let announced = lzf::expanded_len(input);
    let len = *announced.as_ref().unwrap_or(&input.len());
    let mut out = b"kept".to_vec();
    let (result, most) = taken(|| lzf::decompress(input, len, usize::MAX, &mut out));
    assert!(most <= 2 * len + 64, "{most} bytes for {len}");
    match result {
        Ok(()) => {
            assert_eq!((announced, out.len()), (Ok(len), len + 4));
            shrink(&out[4..]);
        }
        Err(error) => {
            assert_eq!(out, b"kept");
            assert!(announced.is_err() || matches!(error, LzfError::BadDistance { .. }));
        }
    }
    for wrong in [len.wrapping_sub(1), len + 1, len * 2 + 1, 1 << 40] {
        let (result, most) = taken(|| lzf::decompress(input, wrong, 1 << 30, &mut Vec::new()));
        assert!(result.is_err());
        assert!(most <= 64, "{most} bytes for a wrong length");
    }
}

/// Room that is always enough: one control byte for 32 literals, and as Redis's compressor gives
/// up a few bytes before the end, some more.
fn worst(len: usize) -> usize {
    len + len / 16 + 16
}

fn shrink(input: &[u8]) {
    let mut compressor = Compressor::new();
    let mut first = Vec::new();
    for most in [input.len(), input.len() / 2, worst(input.len())] {
        let mut packed = Vec::new();
        if !compressor.compress(input, most, &mut packed) {
            assert!(packed.is_empty());
            assert!(input.is_empty() || most < worst(input.len()));
            continue;
        }
        assert!(packed.len() <= most);
        if first.is_empty() {
            first.clone_from(&packed);
        }
        assert_eq!(packed, first, "what was compressed before does not matter");
        assert_eq!(lzf::expanded_len(&packed), Ok(input.len()));
        let mut out = Vec::new();
        lzf::decompress(&packed, input.len(), input.len(), &mut out).expect("own output");
        assert_eq!(out, input);
    }
}

/// Bytes with long repetitions, near and far.
fn repetitive(input: &mut Input<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    while !input.is_empty() && out.len() < 1 << 15 {
        match input.below(3) {
            0 => out.extend_from_slice(input.bytes(40)),
            1 => out.resize(out.len() + input.below(600), input.byte()),
            _ => {
                let from = out.len().saturating_sub(input.below(9000));
                let end = out.len().min(from + input.below(400));
                out.extend_from_within(from..end);
            }
        }
    }
    out
}
