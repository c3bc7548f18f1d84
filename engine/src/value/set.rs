//! The set value: distinct strings of one key.
//!
//! Integers alone are kept in an intset, a few short strings in a listpack, everything
//! else in a paged table in hash order. When a set changes from one to another is Redis's
//! rule, since `OBJECT ENCODING` shows it and the packed forms are what `DUMP` writes.
//!
//! Invariants: no element twice; an intset holds at most [`MAX_INTS`] elements.

use std::cmp::Ordering;
use std::convert::Infallible;

use basalt_formats::packed::listpack::{self, parse_int};
use basalt_formats::packed::{Intset, Listpack};

pub use basalt_formats::packed::Entry as Element;

use super::hash::{CURSOR_BITS, cursor_of, position_of};
use crate::structs::paged::{self, PagedMap, Schema};

mod algebra;
mod draw;

pub use algebra::{difference, intersect, intersect_each, union};
pub use draw::{below, distinct_ranks};

/// An intset never holds more, whatever the configuration allows.
const MAX_INTS: usize = 1 << 30;

/// Most bytes an integer takes in a listpack.
const PACKED_INT: usize = 10;

/// When a set changes its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// Most elements an intset may hold (`set-max-intset-entries`).
    pub max_intset_entries: usize,
    /// Most elements a listpack may hold (`set-max-listpack-entries`).
    pub max_listpack_entries: usize,
    /// Longest element in a listpack, in bytes (`set-max-listpack-value`).
    pub max_listpack_value: usize,
}

impl Default for SetLimits {
    /// The limits a server has when its configuration names none.
    fn default() -> Self {
        Self {
            max_intset_entries: 512,
            max_listpack_entries: 128,
            max_listpack_value: 64,
        }
    }
}

impl SetLimits {
    fn max_ints(&self) -> usize {
        self.max_intset_entries.min(MAX_INTS)
    }
}

/// How tables of sets use their entries: keys only.
#[derive(Clone, Copy, Debug)]
pub enum SetSchema {}

impl Schema for SetSchema {
    type Obj = Infallible;
    const WATCHED: bool = true;
}

/// Distinct strings; see the module's head.
#[derive(Clone)]
pub enum Set {
    /// Integers, ascending.
    Ints(Intset),
    /// Short strings and integers in the order of adding.
    Packed(Listpack),
    /// A table by element.
    Table(PagedMap<SetSchema>),
}

impl Default for Set {
    fn default() -> Self {
        Set::Ints(Intset::new())
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Set({}, {} elements)", self.encoding(), self.len())
    }
}

impl Set {
    /// An empty set in the encoding for a first element and the number of elements about
    /// to be added with it.
    pub fn create(first: &[u8], size_hint: usize, limits: &SetLimits) -> Self {
        if size_hint <= limits.max_intset_entries && parse_int(first).is_some() {
            Set::Ints(Intset::new())
        } else if size_hint <= limits.max_listpack_entries {
            Set::Packed(Listpack::new())
        } else {
            Set::Table(PagedMap::new())
        }
    }

    /// An empty set to be loaded with `len` elements. Which encoding it ends in depends on
    /// the elements, as always; but more than an intset may hold make a table at once,
    /// even if they would fit a listpack.
    pub fn for_load(len: usize, limits: &SetLimits) -> Self {
        if len > limits.max_ints() {
            Set::Table(PagedMap::new())
        } else {
            Set::default()
        }
    }

    /// Takes over a listpack read from outside, as a table if it has too many elements;
    /// `None` if it is empty or holds an element twice. O(n log n).
    pub fn from_packed(list: Listpack, limits: &SetLimits) -> Option<Self> {
        let len = list.len();
        if len == 0 || any_twice(list.iter().collect()) {
            return None;
        }
        let mut set = Set::Packed(list);
        if len > limits.max_listpack_entries {
            set.convert_to_table();
        }
        Some(set)
    }

    /// Takes over an intset read from outside, as a table if it has too many elements;
    /// `None` if it is empty.
    pub fn from_ints(ints: Intset, limits: &SetLimits) -> Option<Self> {
        if ints.is_empty() {
            return None;
        }
        let mut set = Set::Ints(ints);
        set.check_ints(limits);
        Some(set)
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            Set::Ints(_) => "intset",
            Set::Packed(_) => "listpack",
            Set::Table(_) => "hashtable",
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.len(),
            Set::Packed(list) => list.len(),
            Set::Table(map) => map.len(),
        }
    }

    /// Whether there is no element. A stored set never is empty for long: its key goes.
    pub fn is_empty(&self) -> bool {
        match self {
            Set::Ints(ints) => ints.is_empty(),
            Set::Packed(list) => list.is_empty(),
            Set::Table(map) => map.is_empty(),
        }
    }

    /// Makes ready for so many elements, as `SADD` does on a set that exists: more than
    /// the packed encoding may hold turn it into a table at once.
    pub fn prepare(&mut self, size_hint: usize, limits: &SetLimits) {
        let most = match self {
            Set::Ints(_) => limits.max_intset_entries,
            Set::Packed(_) => limits.max_listpack_entries,
            Set::Table(_) => return,
        };
        if size_hint > most {
            self.convert_to_table();
        }
    }

    /// Adds an element; true if it is new. Converts as the limits ask for.
    pub fn add(&mut self, value: &[u8], limits: &SetLimits) -> bool {
        match self {
            Set::Ints(ints) => match parse_int(value) {
                Some(int) => {
                    let new = ints.add(int);
                    if new {
                        self.check_ints(limits);
                    }
                    new
                }
                None => {
                    self.leave_ints(value.len(), limits);
                    self.push_new(value);
                    true
                }
            },
            Set::Packed(list) => {
                if let Some(first) = list.first()
                    && list.find(first, value, 0).is_some()
                {
                    return false;
                }
                if list.len() >= limits.max_listpack_entries
                    || value.len() > limits.max_listpack_value
                    || !list.fits(value.len().saturating_add(16))
                {
                    self.convert_to_table();
                }
                self.push_new(value);
                true
            }
            Set::Table(map) => map.put(value, &[], None).is_none(),
        }
    }

    /// Adds an element taken from another set; true if it is new.
    pub fn add_element(&mut self, element: Element<'_>, limits: &SetLimits) -> bool {
        match (&mut *self, element) {
            (Set::Ints(ints), Element::Int(int)) => {
                let new = ints.add(int);
                if new {
                    self.check_ints(limits);
                }
                new
            }
            _ => element.with_bytes(|bytes| self.add(bytes, limits)),
        }
    }

    /// Removes an element; true if it was there. Never changes the encoding.
    pub fn remove(&mut self, value: &[u8]) -> bool {
        match self {
            Set::Ints(ints) => parse_int(value).is_some_and(|int| ints.remove(int)),
            Set::Packed(list) => {
                let found = list.first().and_then(|first| list.find(first, value, 0));
                if let Some(at) = found {
                    list.delete(at);
                }
                found.is_some()
            }
            Set::Table(map) => map.remove(value).is_some(),
        }
    }

    /// Whether it is an element. O(log n), in a listpack O(n).
    pub fn contains(&self, value: &[u8]) -> bool {
        match self {
            Set::Ints(ints) => parse_int(value).is_some_and(|int| ints.find(int)),
            Set::Packed(list) => match list.first() {
                Some(first) => list.find(first, value, 0).is_some(),
                None => false,
            },
            Set::Table(map) => map.get(value).is_some(),
        }
    }

    /// Whether an element of another set is one of this.
    pub fn contains_element(&self, element: Element<'_>) -> bool {
        match (self, element) {
            (Set::Ints(ints), Element::Int(int)) => ints.find(int),
            _ => element.with_bytes(|bytes| self.contains(bytes)),
        }
    }

    /// The elements in stored order: ascending integers, the order of adding in a
    /// listpack, by hash in a table.
    pub fn iter(&self) -> Iter<'_> {
        match self {
            Set::Ints(ints) => Iter::Ints(ints, 0),
            Set::Packed(list) => Iter::Packed(list.iter()),
            Set::Table(map) => Iter::Table(map.iter()),
        }
    }

    /// Calls `f` with all elements in stored order.
    pub fn for_each(&self, mut f: impl FnMut(&[u8])) {
        for element in self.iter() {
            element.with_bytes(&mut f);
        }
    }

    /// One step of `SSCAN`: visits elements and returns the cursor to go on with, 0 at the
    /// end.
    ///
    /// Intset and listpack are visited whole. A table is visited in hash order, `count`
    /// elements (or a few more); an element present from the first step to the last is
    /// met, whatever changes in between.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(&[u8])) -> u64 {
        match self {
            Set::Table(map) => {
                let from = position_of(cursor);
                cursor_of(map.scan(from, CURSOR_BITS, count, &mut |_, entry| f(entry.key)))
            }
            _ => {
                self.for_each(f);
                0
            }
        }
    }

    /// How many allocations freeing it takes, roughly.
    pub fn free_effort(&self) -> usize {
        match self {
            Set::Ints(_) | Set::Packed(_) => 1,
            Set::Table(map) => map.len(),
        }
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.heap_bytes(),
            Set::Packed(list) => list.heap_bytes(),
            Set::Table(map) => map.heap_bytes(),
        }
    }

    /// Becomes an intset if all elements are integers and few enough, as the results of
    /// `SINTERSTORE` do.
    pub fn settle_ints(&mut self, limits: &SetLimits) {
        if matches!(self, Set::Ints(_)) || self.len() > limits.max_ints() {
            return;
        }
        let ints: Option<Vec<i64>> = self.iter().map(int_of).collect();
        if let Some(mut values) = ints {
            values.sort_unstable();
            let mut ints = Intset::new();
            for value in values {
                ints.add(value);
            }
            *self = Set::Ints(ints);
        }
    }

    /// An intset that holds too many becomes a table.
    fn check_ints(&mut self, limits: &SetLimits) {
        if let Set::Ints(ints) = self
            && ints.len() > limits.max_ints()
        {
            self.convert_to_table();
        }
    }

    /// An intset becomes what can take a string of this length.
    fn leave_ints(&mut self, value_len: usize, limits: &SetLimits) {
        let Set::Ints(ints) = self else { return };
        let digits = |int: Option<i64>| int.map_or(0, |int| Element::Int(int).byte_len());
        let longest = digits(ints.min()).max(digits(ints.max())).max(value_len);
        let packed_bytes = ints
            .len()
            .saturating_mul(PACKED_INT)
            .saturating_add(value_len);
        if ints.len() < limits.max_listpack_entries
            && longest <= limits.max_listpack_value
            && Listpack::new().fits(packed_bytes)
        {
            let mut list = Listpack::new();
            for int in ints.iter() {
                list.push_back_int(int);
            }
            *self = Set::Packed(list);
        } else {
            self.convert_to_table();
        }
    }

    /// Adds a string that is no element, to a set that can hold it as it is.
    fn push_new(&mut self, value: &[u8]) {
        match self {
            Set::Packed(list) => list.push_back(value),
            Set::Table(map) => {
                map.put(value, &[], None);
            }
            Set::Ints(ints) => {
                debug_assert!(parse_int(value).is_some(), "an intset holds integers");
                if let Some(int) = parse_int(value) {
                    ints.add(int);
                }
            }
        }
    }

    fn convert_to_table(&mut self) {
        if !matches!(self, Set::Table(_)) {
            let mut map = PagedMap::new();
            self.for_each(|value| {
                map.put(value, &[], None);
            });
            *self = Set::Table(map);
        }
    }
}

/// The integer an element spells.
fn int_of(element: Element<'_>) -> Option<i64> {
    match element {
        Element::Int(int) => Some(int),
        Element::Str(bytes) => parse_int(bytes),
    }
}

/// Some order by bytes spelt, in which integers come first: equal only if the bytes are.
pub(super) fn compare(a: &Element<'_>, b: &Element<'_>) -> Ordering {
    match (int_of(*a), int_of(*b), a, b) {
        (Some(a), Some(b), ..) => a.cmp(&b),
        (Some(_), None, ..) => Ordering::Less,
        (None, Some(_), ..) => Ordering::Greater,
        (None, None, Element::Str(a), Element::Str(b)) => a.cmp(b),
        (None, None, ..) => Ordering::Equal,
    }
}

/// Whether elements come twice in a listpack read from outside.
pub(super) fn any_twice(mut elements: Vec<Element<'_>>) -> bool {
    elements.sort_unstable_by(compare);
    elements
        .windows(2)
        .any(|pair| compare(&pair[0], &pair[1]).is_eq())
}

/// Iterator over the elements of a [`Set`].
pub enum Iter<'a> {
    /// Over an intset from an index on.
    Ints(&'a Intset, usize),
    /// Over a listpack.
    Packed(listpack::Iter<'a>),
    /// Over a table.
    Table(paged::Iter<'a, SetSchema>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Iter::Ints(ints, at) => {
                let int = ints.get(*at)?;
                *at += 1;
                Some(Element::Int(int))
            }
            Iter::Packed(list) => list.next(),
            Iter::Table(map) => map.next().map(|entry| Element::Str(entry.key)),
        }
    }
}

#[cfg(test)]
mod tests;
