//! Intersection, union and difference of sets.
//!
//! Which encoding a stored result gets is visible through `OBJECT ENCODING`, and depends in
//! Redis on how the result is built; so the ways of building it here are Redis's.

use std::ops::ControlFlow;

use basalt_formats::packed::Listpack;

use super::{Element, Set, SetLimits, int_of};

/// Calls `f` with the elements common to all sets, in the order of the smallest set, until
/// it breaks. No sets have no common elements.
pub fn intersect_each(sets: &[&Set], f: &mut dyn FnMut(Element<'_>) -> ControlFlow<()>) {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else {
        return;
    };
    for element in smallest.iter() {
        let everywhere = others
            .iter()
            .all(|set| std::ptr::eq(*set, *smallest) || set.contains_element(element));
        if everywhere && f(element).is_break() {
            return;
        }
    }
}

/// The intersection as a set to be stored: an intset if it holds integers only and not too
/// many of them.
pub fn intersect(sets: &[&Set], limits: &SetLimits) -> Set {
    let mut result = match sets.iter().min_by_key(|set| set.len()) {
        Some(Set::Ints(_)) => Set::default(),
        _ => Set::Packed(Listpack::new()),
    };
    let mut only_ints = true;
    intersect_each(sets, &mut |element| {
        only_ints = only_ints && int_of(element).is_some();
        result.add_element(element, limits);
        ControlFlow::Continue(())
    });
    if only_ints {
        result.settle_ints(limits);
    }
    result
}

/// The union of sets. It starts as an intset, whatever the sets are.
pub fn union(sets: &[&Set], limits: &SetLimits) -> Set {
    let mut result = Set::default();
    for element in sets.iter().flat_map(|set| set.iter()) {
        result.add_element(element, limits);
    }
    result
}

/// The elements of `first` that no other set has. It starts as an intset, whatever the
/// sets are.
///
/// Two ways, by the work to expect: to look up each element of `first` in the others, the
/// biggest first, or to take all elements of the others out of a copy of `first`. The
/// second may leave a bigger encoding behind, hence both are kept as they are.
pub fn difference(first: &Set, others: &[&Set], limits: &SetLimits) -> Set {
    let mut result = Set::default();
    if others.iter().any(|set| std::ptr::eq(*set, first)) {
        return result;
    }
    let lookups = (first.len() as u128 * (others.len() as u128 + 1)) / 2;
    let removals = others.iter().map(|set| set.len() as u128).sum::<u128>() + first.len() as u128;
    if lookups <= removals {
        let mut others = others.to_vec();
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        for element in first.iter() {
            if !others.iter().any(|set| set.contains_element(element)) {
                result.add_element(element, limits);
            }
        }
        return result;
    }
    for element in first.iter() {
        result.add_element(element, limits);
    }
    for set in others {
        for element in set.iter() {
            element.with_bytes(|bytes| result.remove(bytes));
        }
        if result.is_empty() {
            break;
        }
    }
    result
}
