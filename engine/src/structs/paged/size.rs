//! How long a page's byte arena is made.
//!
//! Arenas are sized so that, with the 16 bytes of the `Arc` counters before them,
//! they fill a size class of jemalloc exactly (multiples of 16 up to 128 bytes,
//! then four classes per doubling): anything else would be paid for and not used.

use super::record::HEADER;

/// The two counters that stand before the bytes of an `Arc<[u8]>`.
pub(super) const ARC_HEADER: usize = 16;

/// Rounds up to a jemalloc size class.
pub(super) fn size_class(n: usize) -> usize {
    let step = if n <= 128 {
        16
    } else {
        1usize << ((n - 1).ilog2() - 2)
    };
    n.next_multiple_of(step)
}

/// Bytes per offset in an arena of this length.
#[inline]
pub(super) fn offset_width(arena: usize) -> usize {
    if arena <= 0x1_0000 { 2 } else { 4 }
}

/// The bytes that `entries` entries with `records` bytes of records need.
pub(super) fn needed(entries: usize, records: usize) -> usize {
    let narrow = HEADER + entries * 3 + records;
    if narrow <= 0xf000 {
        narrow
    } else {
        // Near and above 64 KiB reckon with wide offsets: rounding up to a size
        // class must not carry a page with narrow ones over the limit.
        HEADER + entries * 5 + records
    }
}

/// Arena length and index capacity for a page.
///
/// The index gets the share of the arena's room that makes it run out together
/// with the record area, if later entries are as long as these on average.
pub(super) fn plan(entries: usize, records: usize, spare: usize, max: usize) -> (usize, usize) {
    let arena = size_class(needed(entries, records) + spare + ARC_HEADER) - ARC_HEADER;
    let index = 1 + offset_width(arena);
    let mean = records.div_ceil(entries.max(1));
    let fitting = (arena - HEADER) / (mean + index);
    (arena, fitting.min(max).max(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_those_of_jemalloc() {
        let known = [
            16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768,
            896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192,
        ];
        let mut at = 0;
        for n in 1..=8192 {
            if n > known[at] {
                at += 1;
            }
            assert_eq!(size_class(n), known[at], "{n}");
        }
    }

    #[test]
    fn a_plan_always_holds_what_was_asked() {
        for entries in 1..200 {
            for mean in [2usize, 3, 20, 57, 300, 1030] {
                let records = entries * mean + entries / 2;
                let (arena, cap) = plan(entries, records, 0, 64);
                assert!(cap >= entries);
                let index = cap * (1 + offset_width(arena));
                assert!(HEADER + index + records <= arena, "{entries} {mean}");
            }
        }
    }
}
