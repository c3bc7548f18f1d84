//! Sorting where only some ranks are wanted.
//!
//! Equal elements stand in the order the sort happens to leave them in, and clients see it: so
//! the steps are those of the quicksort of Bentley and McIlroy ("Engineering a sort
//! function", 1993) that Redis uses, which leaves alone the parts that hold no wanted rank. Unlike
//! there the stack is bounded: parts that are divided too unevenly are sorted in another way.

use std::cmp::Ordering;
use std::ops::Range;

/// Parts up to this length are sorted by insertion.
const SHORT: usize = 7;
/// From this length on the middle of nine elements is taken, else that of three.
const LONG: usize = 40;

/// Divisions after which another sort takes over.
const MAX_DEPTH: u32 = 128;

/// Puts the elements of these ranks in order; those of other ranks come before and behind them in
/// any order.
pub(super) fn sort_ranks<T>(
    items: &mut [T],
    ranks: Range<usize>,
    order: impl Fn(&T, &T) -> Ordering,
) {
    let mut parts = vec![(0, items.len(), 0)];
    while let Some((start, end, depth)) = parts.pop() {
        let part = &mut items[start..end];
        if part.len() < SHORT {
            insert_sorted(part, &order);
            continue;
        }
        if depth >= MAX_DEPTH {
            part.sort_by(&order);
            continue;
        }
        let (less, more) = divide(part, &order);
        for (start, end) in [(end - more, end), (start, start + less)] {
            if end - start > 1 && start < ranks.end && end > ranks.start {
                parts.push((start, end, depth + 1));
            }
        }
    }
}

fn insert_sorted<T>(items: &mut [T], order: &impl Fn(&T, &T) -> Ordering) {
    for unsorted in 1..items.len() {
        let mut at = unsorted;
        while at > 0 && order(&items[at - 1], &items[at]).is_gt() {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Moves what is less than a chosen element to the front and what is more to the back; returns
/// how many they are.
fn divide<T>(items: &mut [T], order: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    items.swap(0, pivot(items, order));
    // Up to `equal_front` and behind `equal_back` is what is equal, moved to the middle later.
    let (mut equal_front, mut front) = (1, 1);
    let (mut equal_back, mut back) = (len, len);
    loop {
        while front < back {
            match order(&items[front], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(equal_front, front);
                    equal_front += 1;
                }
                Ordering::Less => {}
            }
            front += 1;
        }
        while front < back {
            match order(&items[back - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    equal_back -= 1;
                    items.swap(back - 1, equal_back);
                }
                Ordering::Greater => {}
            }
            back -= 1;
        }
        if front >= back {
            break;
        }
        items.swap(front, back - 1);
        front += 1;
        back -= 1;
    }
    let (less, more) = (front - equal_front, equal_back - back);
    let moved = equal_front.min(less);
    swap_runs(items, 0, front - moved, moved);
    let moved = more.min(len - equal_back);
    swap_runs(items, front, len - moved, moved);
    (less, more)
}

fn swap_runs<T>(items: &mut [T], a: usize, b: usize, len: usize) {
    for at in 0..len {
        items.swap(a + at, b + at);
    }
}

/// Index of the element to divide by.
fn pivot<T>(items: &[T], order: &impl Fn(&T, &T) -> Ordering) -> usize {
    let len = items.len();
    let middle_of = |a: usize, b: usize, c: usize| {
        let cmp = |x: usize, y: usize| order(&items[x], &items[y]);
        match (cmp(a, b).is_lt(), cmp(b, c)) {
            (true, Ordering::Less) | (false, Ordering::Greater) => b,
            (true, _) if cmp(a, c).is_lt() => c,
            (true, _) => a,
            (false, _) if cmp(a, c).is_lt() => a,
            (false, _) => c,
        }
    };
    let (mut low, mut middle, mut high) = (0, len / 2, len - 1);
    if len == SHORT {
        return middle;
    }
    if len > LONG {
        let step = len / 8;
        low = middle_of(low, low + step, low + 2 * step);
        middle = middle_of(middle - step, middle, middle + step);
        high = middle_of(high - 2 * step, high - step, high);
    }
    middle_of(low, middle, high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wanted_ranks_are_in_order(mut items in proptest::collection::vec(0u16..50, 0..300), from in 0usize..300, to in 0usize..300) {
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let ranks = from.min(items.len())..to.min(items.len());
            sort_ranks(&mut items, ranks.clone(), u16::cmp);
            if !ranks.is_empty() {
                prop_assert_eq!(&items[ranks.clone()], &sorted[ranks]);
            }
            items.sort_unstable();
            prop_assert_eq!(items, sorted);
        }
    }

    /// What is left of equal elements, as Redis's sort leaves them.
    #[test]
    fn equal_elements_stand_as_they_are_left() {
        let mut items = [0, 10, 2, 4, 6, 8, 101, 111, 103, 105, 107, 109];
        sort_ranks(&mut items, 0..4, |a, b| (a / 100).cmp(&(b / 100)));
        assert_eq!(items[..4], [10, 2, 4, 6]);
    }

    #[test]
    fn parts_that_hardly_shrink_end_too() {
        let mut items: Vec<u32> = (0..200_000).map(|n| n * 7919 % 100_003 / 3).collect();
        sort_ranks(&mut items, 0..200_000, |a, b| a.cmp(b));
        assert!(items.is_sorted());
    }
}
