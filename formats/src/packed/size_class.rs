//! Growth of packed buffers by allocator size class.
//!
//! A packed container is rewritten at nearly every write, so doubling would
//! waste half of it, and exact growth would reallocate each time. jemalloc
//! serves four sizes per power of two; asking for exactly one of those costs
//! nothing that an exact request would not, and keeps growth geometric (by a
//! quarter), hence amortised constant.

/// Smallest size class holding `n` bytes.
pub(crate) fn size_class(n: usize) -> usize {
    if n <= 8 {
        return 8;
    }
    if n <= 128 {
        return n.div_ceil(16) * 16;
    }
    match n.checked_next_power_of_two() {
        Some(top) => {
            let step = top / 8;
            n.div_ceil(step) * step
        }
        None => n,
    }
}

/// Makes room for a total of `len` bytes, growing to the next size class.
pub(crate) fn reserve(buf: &mut Vec<u8>, len: usize) {
    if len > buf.capacity() {
        let class = size_class(len);
        buf.reserve_exact(class - buf.len());
    }
}

/// Gives memory back once less than half of the buffer is in use.
pub(crate) fn relax(buf: &mut Vec<u8>) {
    let wanted = size_class(buf.len());
    if buf.capacity() / 2 >= wanted {
        buf.shrink_to(wanted);
    }
}

/// Copies `bytes` into a buffer of its size class.
pub(crate) fn to_vec(bytes: &[u8]) -> Vec<u8> {
    let mut buf = Vec::with_capacity(size_class(bytes.len()));
    buf.extend_from_slice(bytes);
    buf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_match_the_allocator() {
        for (n, class) in [
            (0, 8),
            (7, 8),
            (9, 16),
            (17, 32),
            (33, 48),
            (128, 128),
            (129, 160),
            (161, 192),
            (257, 320),
            (7168, 7168),
            (7169, 8192),
            (8192, 8192),
            (8193, 10240),
        ] {
            assert_eq!(size_class(n), class, "size {n}");
        }
    }

    #[test]
    fn growth_is_geometric_and_shrinks() {
        let mut buf = Vec::new();
        let mut moves = 0;
        for _ in 0..100_000 {
            let before = buf.capacity();
            let need = buf.len() + 1;
            reserve(&mut buf, need);
            buf.push(0);
            moves += usize::from(buf.capacity() != before);
        }
        assert!(moves < 60, "{moves} reallocations");
        buf.truncate(10);
        relax(&mut buf);
        assert!(buf.capacity() <= 32);
    }
}
