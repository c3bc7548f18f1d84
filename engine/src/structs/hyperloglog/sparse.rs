//! The sparse encoding: runs of equal registers.
//!
//! ```text
//! 00nnnnnn             n + 1 registers are 0
//! 01nnnnnn nnnnnnnn    n + 1 registers are 0
//! 1vvvvvnn             n + 1 registers are v + 1
//! ```
//!
//! A second byte that is cut off reads as 0. Which runs a change leaves is part of what clients
//! see (`GET`, `DUMP`, replicas), so it is the choice of Redis: the run of the register is split
//! in up to three, then at most five runs are looked at for neighbours to join.

use smallvec::SmallVec;

use super::{Corrupt, HEADER, REGISTERS};

/// Highest count of a run.
const MAX_COUNT: u8 = 32;
/// Longest run with a count.
const MAX_COUNTED: usize = 4;
/// Longest run of zeros in one byte.
const MAX_SHORT_ZEROS: usize = 64;
/// How many runs are looked at after a change.
const JOIN_STEPS: usize = 5;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Value of its registers.
    count: u8,
    /// Number of its registers.
    len: usize,
    /// Bytes it is written in.
    size: usize,
}

/// The run at `at`, if that is inside.
fn run_at(bytes: &[u8], at: usize) -> Option<Run> {
    let first = *bytes.get(at)?;
    let low = usize::from(first & 0x3f);
    Some(match first >> 6 {
        0 => Run {
            count: 0,
            len: low + 1,
            size: 1,
        },
        1 => Run {
            count: 0,
            len: (low << 8 | usize::from(bytes.get(at + 1).copied().unwrap_or(0))) + 1,
            size: 2,
        },
        _ => Run {
            count: (first >> 2 & 0x1f) + 1,
            len: usize::from(first & 3) + 1,
            size: 1,
        },
    })
}

/// Appends a run: of zeros (1 to 16384 of them) or, of up to 4 registers, of a count up to 32.
#[expect(clippy::cast_possible_truncation, reason = "bounded by the callers")]
pub fn push_run(out: &mut impl Extend<u8>, count: u8, len: usize) {
    let rest = len - 1;
    match count {
        0 if len <= MAX_SHORT_ZEROS => out.extend([rest as u8]),
        0 => out.extend([0x40 | (rest >> 8) as u8, rest as u8]),
        _ => out.extend([0x80 | (count - 1) << 2 | rest as u8]),
    }
}

/// All runs with the number of the first register of each.
///
/// # Errors
/// [`Corrupt`] unless they cover all registers and no more; `f` has seen none beyond.
fn walk(bytes: &[u8], mut f: impl FnMut(usize, Run)) -> Result<(), Corrupt> {
    let (mut at, mut first) = (0, 0);
    while let Some(run) = run_at(bytes, at) {
        if first + run.len > REGISTERS {
            return Err(Corrupt);
        }
        f(first, run);
        first += run.len;
        at += run.size;
    }
    if first == REGISTERS {
        Ok(())
    } else {
        Err(Corrupt)
    }
}

/// Calls `f` with each register that is not 0.
///
/// # Errors
/// [`Corrupt`], after the registers before the fault.
pub fn for_each(bytes: &[u8], mut f: impl FnMut(usize, u8)) -> Result<(), Corrupt> {
    walk(bytes, |first, run| {
        if run.count > 0 {
            (first..first + run.len).for_each(|index| f(index, run.count));
        }
    })
}

/// Counts how many registers have each value.
///
/// # Errors
/// [`Corrupt`].
pub fn histogram(bytes: &[u8], histogram: &mut [u32; 64]) -> Result<(), Corrupt> {
    walk(bytes, |_, run| {
        histogram[usize::from(run.count)] += run.len as u32;
    })
}

/// The runs as text.
pub fn describe(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let (mut text, mut at) = (String::new(), 0);
    while let Some(run) = run_at(bytes, at) {
        let Run { count, len, size } = run;
        let gap = if at == 0 { "" } else { " " };
        let written = match (count, size) {
            (0, 1) => write!(text, "{gap}z:{len}"),
            (0, _) => write!(text, "{gap}Z:{len}"),
            _ => write!(text, "{gap}v:{count},{len}"),
        };
        debug_assert!(written.is_ok());
        at += size;
    }
    text
}

/// What [`raise`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Raised {
    /// Nothing: the register is not lower.
    No,
    /// The register has the count.
    Yes,
    /// Nothing: it takes the dense encoding to hold the count.
    DoesNotFit,
}

/// Raises a register to `count`, if that keeps `value`, which has its header, within `max_bytes`.
///
/// # Errors
/// [`Corrupt`] when no run covers the register.
pub fn raise(
    value: &mut Vec<u8>,
    index: usize,
    count: u8,
    max_bytes: usize,
) -> Result<Raised, Corrupt> {
    if count > MAX_COUNT {
        return Ok(Raised::DoesNotFit);
    }
    let (mut at, mut first, mut join_from) = (HEADER, 0, HEADER);
    let run = loop {
        let run = run_at(value, at).ok_or(Corrupt)?;
        if index < first + run.len {
            break run;
        }
        join_from = at;
        at += run.size;
        first += run.len;
    };
    if run.count >= count {
        return Ok(Raised::No);
    }
    let mut runs = SmallVec::<[u8; 8]>::new();
    let (before, behind) = (index - first, first + run.len - 1 - index);
    if before > 0 {
        push_run(&mut runs, run.count, before);
    }
    push_run(&mut runs, count, 1);
    if behind > 0 {
        push_run(&mut runs, run.count, behind);
    }
    if runs.len() > run.size && value.len() + runs.len() - run.size > max_bytes {
        return Ok(Raised::DoesNotFit);
    }
    let end = value.len().min(at + run.size);
    value.splice(at..end, runs);
    join(value, join_from);
    Ok(Raised::Yes)
}

/// Joins neighbours of the same count that fit in one run, from the run at `at` on.
fn join(value: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_STEPS {
        let Some(run) = run_at(value, at) else {
            return;
        };
        if run.count > 0
            && let Some(next) = run_at(value, at + 1)
            && next.count == run.count
            && next.len + run.len <= MAX_COUNTED
        {
            value[at + 1] += run.len as u8;
            value.remove(at);
            continue;
        }
        at += run.size;
    }
}
