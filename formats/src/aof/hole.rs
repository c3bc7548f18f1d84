//! Holes: blocks that a power cut left unwritten, perhaps with whole batches behind them.
//!
//! File systems may make a file longer before they write its data, and they write blocks in any order. So behind what was
//! synced, a crash can leave blocks of zeros with whole batches after them. Nobody was promised those batches, and the file is to be
//! cut before the hole. The same zeros where all was synced are damage, and the file is to be refused. What tells the two apart is
//! the `#SYNC:` lines: a writer puts one at the beginning of a batch when more is synced than it last said.
//!
//! ```text
//! batch 7 | batch 8 | 0000000000 | batch 10: #SYNC:6 ...      a hole: 9 was not synced when 10 was written
//! batch 7 | batch 8 | 0000000000 | batch 10: #SYNC:9 ...      damage: 9 was on the disk
//! ```

use super::annotation::{self, BATCH_BYTES, Line};
use super::resync;

/// What file systems write at once.
const BLOCK: usize = 4096;
const SYNC: &[u8] = b"#SYNC:";

/// The line that says: all batches up to this one are on the disk.
#[must_use]
pub fn sync_line(index: u64) -> String {
    format!("#SYNC:{index}\r\n")
}

/// What the first line of a batch says to be on the disk.
fn synced(batch: &[u8]) -> Option<u64> {
    let rest = batch.strip_prefix(SYNC)?;
    let digits = rest.get(..rest.iter().position(|byte| *byte == b'\r')?)?;
    crate::num::parse_i64(digits).and_then(|index| index.try_into().ok())
}

/// True if a block of the file, as far as it lies in `from..`, is all zeros, and begins before `to`.
pub(super) fn has_empty_block(input: &[u8], from: usize, to: usize) -> bool {
    let to = to.min(input.len());
    let mut start = from;
    while start < to {
        let end = (start - start % BLOCK)
            .saturating_add(BLOCK)
            .min(input.len());
        let block = input.get(start..end).unwrap_or_default();
        if block.iter().all(|byte| *byte == 0) {
            return true;
        }
        start = end;
    }
    false
}

/// What is found behind a batch that is not whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// No whole batch.
    Nothing,
    /// So many, of which none says that the bad one was synced.
    Unsynced(u64),
    /// One that says so, or that does not belong there.
    Synced,
}

/// Looks at the whole batches from `from` on, behind the bad batch `index`.
pub(super) fn behind(input: &[u8], from: usize, index: u64) -> Behind {
    let mut budget = resync::budget(input);
    let (mut at, mut last, mut batches) = (from, index, 0);
    while let Some(next) = resync::next_batch(input, at, &mut budget) {
        let rest = input.get(next..).unwrap_or_default();
        let Ok((Line::Batch(line), _)) = annotation::read(rest) else {
            return Behind::Synced;
        };
        let body = rest.get(BATCH_BYTES..).unwrap_or_default();
        // One that is said to be on the disk before it was written is none of ours.
        let says = synced(body).filter(|synced| *synced < line.index);
        if line.index <= last || says.is_some_and(|synced| synced >= index) {
            return Behind::Synced;
        }
        last = line.index;
        batches += 1;
        let length = usize::try_from(line.length).unwrap_or(usize::MAX);
        at = next.saturating_add(BATCH_BYTES).saturating_add(length);
    }
    match batches {
        0 => Behind::Nothing,
        _ => Behind::Unsynced(batches),
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    const HEADER: Header = Header {
        part: Part::Incr,
        lineage: Lineage([3; 16]),
        seq: 1,
        first: 20,
        time_ms: 1,
        prev: 0,
    };

    /// A file of batches of 5000 bytes, and where each ends; `synced[i]` is said in batch `20 + i`.
    fn file(synced: &[Option<u64>]) -> (Vec<u8>, Vec<usize>) {
        let mut writer = BatchWriter::create(&HEADER);
        let mut file = writer.take();
        let mut ends = vec![file.len()];
        for index in synced {
            if let Some(index) = index {
                writer.append_encoded(sync_line(*index).as_bytes(), 0);
            }
            writer.append(&[b"SET", b"k", &[b'v'; 5000]]);
            writer.close(1);
            file.extend_from_slice(&writer.take());
            ends.push(file.len());
        }
        (file, ends)
    }

    fn verdict(file: &[u8]) -> Verdict {
        check(file).verdict
    }

    #[test]
    fn the_line_is_read_back() {
        assert_eq!(
            synced(sync_line(u64::MAX / 2).as_bytes()),
            Some(u64::MAX / 2)
        );
        assert_eq!(synced(b"#SYNC:12\r\n*1\r\n"), Some(12));
        for other in [
            &b"#SYNC:\r\n"[..],
            b"#SYNC:12",
            b"#SYNC:-1\r\n",
            b"#TS:1\r\n",
        ] {
            assert_eq!(synced(other), None);
        }
        assert_eq!(verdict(&file(&[None, Some(20)]).0), Verdict::Valid);
    }

    /// Each block of the file missing in turn, and the file cut at any block behind it.
    #[test]
    fn a_hole_is_cut_unless_what_follows_says_that_it_was_synced() {
        let (file, ends) = file(&[None, Some(20), None, None, Some(21), None]);
        let (mut holes, mut refused) = (0, 0);
        for from in (0..file.len()).step_by(BLOCK) {
            let mut torn = file.clone();
            let to = (from + BLOCK).min(file.len());
            torn[from..to].fill(0);
            // The last block may be a header's too: no sync covers less than that.
            let from = from.max(ends[0]);
            torn[..from].copy_from_slice(&file[..from]);
            for len in (to..=file.len()).step_by(BLOCK).chain([file.len()]) {
                let torn = &torn[..len];
                let bad = ends
                    .iter()
                    .rposition(|end| *end <= from)
                    .expect("the header");
                let (bad, index) = (ends[bad], 20 + bad as u64);
                // A batch that is whole although a block before its end is missing does not exist.
                let said = (0..ends.len() - 1)
                    .filter(|at| ends[*at] >= to && ends[at + 1] <= len)
                    .filter_map(|at| synced(&file[ends[at] + BATCH_BYTES..]))
                    .max();
                match verdict(torn) {
                    Verdict::Corrupt { .. } => {
                        assert!(said >= Some(index), "{from} {len}");
                        refused += 1;
                    }
                    Verdict::TruncatedTail { valid_up_to, cause } => {
                        assert!(said < Some(index), "{from} {len}: {cause}");
                        assert_eq!(valid_up_to, bad, "{from} {len}");
                        holes += u32::from(matches!(cause, TailCause::Hole { .. }));
                    }
                    Verdict::Valid => panic!("{from} {len}"),
                }
            }
        }
        assert!(holes > 5 && refused > 5, "{holes} {refused}");
    }

    #[test]
    fn a_flipped_bit_is_no_hole() {
        let (file, ends) = file(&[None, None, None]);
        for bit in (ends[0] * 8..ends[1] * 8).step_by(7) {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                matches!(verdict(&damaged), Verdict::Corrupt { .. }),
                "{bit}"
            );
        }
    }

    #[test]
    fn batches_from_elsewhere_behind_a_hole_are_damage() {
        let (mut torn, ends) = file(&[None, None, None]);
        let again = torn[ends[0]..ends[1]].to_vec();
        torn[ends[0] + 1..ends[1]].fill(0);
        torn.extend_from_slice(&again);
        assert!(matches!(verdict(&torn), Verdict::Corrupt { .. }));
    }

    #[test]
    fn what_another_server_wrote_behind_a_hole_is_not_cut() {
        let (mut torn, ends) = file(&[None]);
        torn[ends[0] + 200..ends[1]].fill(0);
        torn.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        assert!(matches!(verdict(&torn), Verdict::Corrupt { .. }));
    }
}
