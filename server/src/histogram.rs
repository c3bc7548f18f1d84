//! Distribution of durations with two significant digits of a power of two: 16 sub-buckets
//! per octave, as precise as the percentiles and power-of-two histograms that are printed
//! need, in 5 KiB per command in use.

const SUB_BITS: u32 = 4;
const SUBS: usize = 1 << SUB_BITS;
const OCTAVES: usize = 38;
/// The last step of LATENCY HISTOGRAM, a bit more than a second.
const LAST_POWER: u32 = 20;

/// Counts by duration in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: [u64; OCTAVES * SUBS],
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            counts: [0; OCTAVES * SUBS],
            total: 0,
        }
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(1);
    let octave = 63 - nanos.leading_zeros();
    let sub = if octave >= SUB_BITS {
        (nanos >> (octave - SUB_BITS)) as usize & (SUBS - 1)
    } else {
        (nanos << (SUB_BITS - octave)) as usize & (SUBS - 1)
    };
    ((octave as usize) * SUBS + sub).min(OCTAVES * SUBS - 1)
}

fn upper_edge(index: usize) -> u64 {
    let (octave, sub) = (index / SUBS, (index % SUBS) as u64);
    ((SUBS as u64 + sub + 1) << octave) >> SUB_BITS
}

impl Histogram {
    /// Adds one duration.
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// Number of durations.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration below which `percent` percent lie, in nanoseconds.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted =
            ((percent / 100.0 * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_edge(index);
            }
        }
        0
    }

    /// Cumulative counts at powers of two of 1.024 microseconds, as LATENCY HISTOGRAM prints
    /// them: those that add something, the last of them with everything. The labels are what
    /// Redis's histogram of two digits gives: the end of the step that the power begins.
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let mut steps = Vec::new();
        let (mut index, mut seen, mut before) = (0, 0, 0);
        for power in 0..=LAST_POWER {
            let edge = 1024u64 << power;
            while index < self.counts.len() && upper_edge(index) <= edge {
                seen += self.counts[index];
                index += 1;
            }
            if power == LAST_POWER {
                seen = self.total;
            }
            if seen > before {
                steps.push(((edge + edge / 128 - 1) / 1000, seen));
                before = seen;
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_sixteenth() {
        let mut h = Histogram::default();
        (1..=100_000u64).for_each(|us| h.record(us * 1000));
        for (percent, us) in [(50.0, 50_000.0), (99.0, 99_000.0), (99.9, 99_900.0)] {
            let got = h.percentile(percent) as f64 / 1000.0;
            assert!(
                (got / us - 1.0).abs() < 1.0 / 16.0,
                "{percent}: {got} for {us}"
            );
        }
    }

    #[test]
    fn cumulative_ends_with_everything() {
        let mut h = Histogram::default();
        [1, 900, 3_000, 60_000, u64::MAX]
            .into_iter()
            .for_each(|n| h.record(n));
        let edges = h.cumulative_us();
        assert_eq!(edges.last().map(|e| e.1), Some(5));
        assert_eq!(edges.last().map(|e| e.0), Some(1_082_130));
        assert_eq!(&edges[..3], [(1, 2), (4, 3), (66, 4)]);
        assert!(edges.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1));
    }
}
