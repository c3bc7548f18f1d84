//! The estimate of the cardinality from how many registers have each value: the improved raw
//! estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
//! (arXiv:1702.01284), section 4. The order of the operations on doubles is fixed, because the
//! result goes into replies and values.

use super::{COUNTED_BITS, REGISTERS};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimate; `histogram[v]` is the number of registers that are `v`. Values above 51 do not
/// come from hashes and do not count.
pub fn estimate(histogram: &[u32; 64]) -> u64 {
    let m = REGISTERS as f64;
    let highest = COUNTED_BITS as usize;
    let mut z = m * tau((m - f64::from(histogram[highest + 1])) / m);
    for value in histogram[1..=highest].iter().rev() {
        z = (z + f64::from(*value)) * 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    let estimate = (ALPHA * m * m / z).round();
    // Registers that no hashes make give no finite estimate; Redis answers this number then.
    if estimate < i64::MAX as f64 {
        estimate as u64
    } else {
        1 << 63
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes() {
        let with = |value: usize| {
            let mut histogram = [0; 64];
            histogram[value] = 16_384;
            estimate(&histogram)
        };
        assert_eq!(with(0), 0);
        assert_eq!(with(1), 23_637);
        assert_eq!(with(51), 1 << 63);
        assert_eq!(with(63), 1 << 63);
    }
}
