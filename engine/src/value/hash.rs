//! The hash value: field-value pairs of one key.
//!
//! A small hash is one listpack, field and value alternating in the order the fields were
//! first set: the very bytes that `DUMP` and RDB files hold. When a field or value is too
//! long or there are too many, it becomes a paged table in hash order, and stays one.
//! Times at which fields expire stand beside either of these (`lasting.rs`); without any,
//! a hash costs nothing for them.
//!
//! Invariants: a listpack holds an even number of elements and no field twice; in a table
//! a value longer than [`LONG_VALUE`] is the entry's object and its payload is empty, so
//! that copying a page under a snapshot never copies long values.

mod lasting;

use std::sync::Arc;

use basalt_formats::packed::Listpack;

pub(crate) use self::lasting::LastingDrain;
pub use self::lasting::{Lasting, MAX_EXPIRE_MS};

pub use basalt_formats::packed::Entry as Element;

use super::set::below;
use crate::structs::paged::{self, PagedMap, Schema, Watched};

/// Values longer than this live beside their page.
const LONG_VALUE: usize = 512;

/// How many entries of a table [`Hash::heap_bytes`] looks at for long values.
const HEAP_SAMPLE: usize = 4096;

/// Low bits of a hash position that SCAN cursors leave out: cursors have 48 bits.
const CURSOR_SHIFT: u32 = 16;

/// Bits of a SCAN cursor.
pub(super) const CURSOR_BITS: u32 = u64::BITS - CURSOR_SHIFT;

/// The hash position a cursor stands for.
pub(super) fn position_of(cursor: u64) -> u64 {
    cursor << CURSOR_SHIFT
}

/// The cursor for a position given by [`PagedMap::scan`]; 0 at the end.
pub(super) fn cursor_of(position: Option<u64>) -> u64 {
    position.map_or(0, |position| position >> CURSOR_SHIFT)
}

/// When a hash stops being a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLimits {
    /// Most fields a listpack may hold (`hash-max-listpack-entries`).
    pub max_listpack_entries: usize,
    /// Longest field or value in bytes (`hash-max-listpack-value`).
    pub max_listpack_value: usize,
}

impl Default for HashLimits {
    /// The limits a server has when its configuration names none.
    fn default() -> Self {
        Self {
            max_listpack_entries: 512,
            max_listpack_value: 64,
        }
    }
}

/// How tables of hashes use their entries.
#[derive(Clone, Copy, Debug)]
pub enum HashSchema {}

impl Schema for HashSchema {
    type Obj = Arc<[u8]>;
    const WATCHED: Watched = Watched::Value;
}

/// Field-value pairs; see the module's head.
#[derive(Clone)]
pub enum Hash {
    /// One listpack of fields and values in turn.
    Packed(Listpack),
    /// A table by field.
    Table(PagedMap<HashSchema>),
    /// One of the other two, with times at which fields expire.
    Lasting(Box<Lasting>),
}

impl Default for Hash {
    fn default() -> Self {
        Hash::Packed(Listpack::new())
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hash({}, {} fields)", self.encoding(), self.len())
    }
}

impl Hash {
    /// Takes over a listpack read from outside, as a table if it has too many fields.
    ///
    /// `None` if it cannot be a hash: no element, an odd number, or a field twice. O(n).
    pub fn from_packed(list: Listpack, limits: &HashLimits) -> Option<Self> {
        let len = list.len();
        if len == 0 || !len.is_multiple_of(2) {
            return None;
        }
        if super::set::any_twice(list.iter().step_by(2).collect()) {
            return None;
        }
        let mut hash = Hash::Packed(list);
        if len / 2 > limits.max_listpack_entries {
            hash.convert();
        }
        Some(hash)
    }

    /// Appends a pair while loading `len` pairs in all; see [`Hash::for_load`]. In a listpack
    /// a repeated field stays unnoticed until [`Hash::loaded`]; false if it is noticed now.
    pub fn load(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        if let Hash::Packed(list) = self {
            let len = field.len().saturating_add(value.len());
            if field.len() <= limits.max_listpack_value
                && value.len() <= limits.max_listpack_value
                && list.fits(len.saturating_add(32))
            {
                list.push_back(field);
                list.push_back(value);
                return true;
            }
            let loaded = self.len();
            self.convert();
            if self.len() != loaded {
                return false;
            }
        }
        match self {
            Hash::Table(map) => put(map, field, value),
            Hash::Packed(_) => false,
            Hash::Lasting(lasting) => lasting.fields.load(field, value, limits),
        }
    }

    /// An empty hash to be loaded with `len` pairs.
    pub fn for_load(len: usize, limits: &HashLimits) -> Self {
        if len > limits.max_listpack_entries {
            Hash::Table(PagedMap::new())
        } else {
            Hash::default()
        }
    }

    /// Ends loading; `None` if a field came twice.
    pub fn loaded(self, limits: &HashLimits) -> Option<Self> {
        match self {
            Hash::Packed(list) => Hash::from_packed(list, limits),
            table => Some(table),
        }
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            Hash::Packed(_) => "listpack",
            Hash::Table(_) => "hashtable",
            Hash::Lasting(lasting) => lasting.fields.encoding(),
        }
    }

    /// The listpack of a small hash.
    pub fn packed(&self) -> Option<&Listpack> {
        match self {
            Hash::Packed(list) => Some(list),
            Hash::Table(_) => None,
            Hash::Lasting(lasting) => lasting.fields.packed(),
        }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        match self {
            Hash::Packed(list) => list.len() / 2,
            Hash::Table(map) => map.len(),
            Hash::Lasting(lasting) => lasting.fields.len(),
        }
    }

    /// Whether there is no field. A stored hash never is empty for long: its key goes.
    pub fn is_empty(&self) -> bool {
        match self {
            Hash::Packed(list) => list.is_empty(),
            Hash::Table(map) => map.is_empty(),
            Hash::Lasting(lasting) => lasting.fields.is_empty(),
        }
    }

    /// The value of a field. O(fields) in a listpack.
    pub fn get(&self, field: &[u8]) -> Option<Element<'_>> {
        match self {
            Hash::Packed(list) => {
                let at = list.find(list.first()?, field, 1)?;
                Some(list.entry(list.next(at)?))
            }
            Hash::Table(map) => map.get(field).map(value_of),
            Hash::Lasting(lasting) => lasting.fields.get(field),
        }
    }

    /// Whether the field is there.
    pub fn contains(&self, field: &[u8]) -> bool {
        match self {
            Hash::Packed(list) => match list.first() {
                Some(first) => list.find(first, field, 1).is_some(),
                None => false,
            },
            Hash::Table(map) => map.get(field).is_some(),
            Hash::Lasting(lasting) => lasting.fields.contains(field),
        }
    }

    /// Length of a field's value in bytes, 0 if the field is not there.
    pub fn str_len(&self, field: &[u8]) -> usize {
        self.get(field).map_or(0, |value| value.byte_len())
    }

    /// Makes ready for setting these fields and values (in turn), as `HSET` does before it
    /// sets the first: the hash turns into a table at once if the pairs are more than a
    /// listpack may hold, one string is too long, or the listpack would grow beyond what
    /// is safe.
    pub fn prepare<'a>(
        &mut self,
        strings: impl ExactSizeIterator<Item = &'a [u8]>,
        limits: &HashLimits,
    ) {
        let list = match self {
            Hash::Packed(list) => list,
            Hash::Table(_) => return,
            Hash::Lasting(lasting) => return lasting.fields.prepare(strings, limits),
        };
        if strings.len() / 2 > limits.max_listpack_entries {
            return self.convert();
        }
        let mut sum = 0usize;
        for string in strings {
            if string.len() > limits.max_listpack_value {
                return self.convert();
            }
            sum = sum.saturating_add(string.len());
        }
        if !list.fits(sum) {
            self.convert();
        }
    }

    /// Sets a field, which then does not expire; true if it is new. Converts as the limits
    /// ask for.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        let new = self.set_value(field, value, limits);
        if let Hash::Lasting(_) = self {
            self.persist(field);
        }
        new
    }

    /// Sets a field and leaves the time at which it expires; true if it is new.
    pub fn set_value(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        if let Hash::Packed(list) = self {
            let room = list.fits(field.len().saturating_add(value.len()).saturating_add(32));
            if field.len() > limits.max_listpack_value
                || value.len() > limits.max_listpack_value
                || !room
            {
                self.convert();
            }
        }
        match self {
            Hash::Packed(list) => {
                let found = list.first().and_then(|first| list.find(first, field, 1));
                if let Some(at) = found.and_then(|at| list.next(at)) {
                    list.replace(at, value);
                    return false;
                }
                list.push_back(field);
                list.push_back(value);
                if list.len() / 2 > limits.max_listpack_entries {
                    self.convert();
                }
                true
            }
            Hash::Table(map) => put(map, field, value),
            Hash::Lasting(lasting) => lasting.fields.set_value(field, value, limits),
        }
    }

    /// Sets a field unless it is there; true if it was set.
    pub fn set_nx(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        !self.contains(field) && self.set(field, value, limits)
    }

    /// Removes a field; true if it was there. Never converts back.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Hash::Packed(list) => {
                let found = list.first().and_then(|first| list.find(first, field, 1));
                if let Some(at) = found {
                    list.delete_run(at, 2);
                }
                found.is_some()
            }
            Hash::Table(map) => map.remove(field).is_some(),
            Hash::Lasting(lasting) => {
                let found = lasting.fields.remove(field);
                if found {
                    self.persist(field);
                }
                found
            }
        }
    }

    /// The pairs in stored order: that of first setting in a listpack, by hash in a table.
    pub fn iter(&self) -> Iter<'_> {
        match self {
            Hash::Packed(list) => Iter::Packed(list.iter()),
            Hash::Table(map) => Iter::Table(map.iter()),
            Hash::Lasting(lasting) => lasting.fields.iter(),
        }
    }

    /// Calls `f(field, value)` for all pairs in stored order.
    pub fn for_each(&self, mut f: impl FnMut(&[u8], &[u8])) {
        for (field, value) in self.iter() {
            field.with_bytes(|field| value.with_bytes(|value| f(field, value)));
        }
    }

    /// The pair at a rank in stored order. O(rank) in a listpack, O(log n) in a table.
    pub fn nth(&self, rank: usize) -> Option<(Element<'_>, Element<'_>)> {
        match self {
            Hash::Packed(list) => {
                let at = list.seek(i64::try_from(rank.checked_mul(2)?).ok()?)?;
                Some((list.entry(at), list.entry(list.next(at)?)))
            }
            Hash::Table(map) => map.nth(rank).map(pair_of),
            Hash::Lasting(lasting) => lasting.fields.nth(rank),
        }
    }

    /// The pair a random number points to; all are equally likely.
    pub fn random(&self, random: u64) -> Option<(Element<'_>, Element<'_>)> {
        self.nth(below(random, self.len()))
    }

    /// Calls `f(field, value)` for the pairs at ascending ranks, in one walk where many
    /// are asked for.
    pub fn at_ranks(&self, ranks: &[usize], f: &mut dyn FnMut(Element<'_>, Element<'_>)) {
        let sparse = ranks.len() < self.len() / 3;
        match self {
            Hash::Table(map) if sparse => {
                for (field, value) in ranks.iter().filter_map(|&r| map.nth(r)).map(pair_of) {
                    f(field, value);
                }
            }
            Hash::Lasting(lasting) => lasting.fields.at_ranks(ranks, f),
            _ => {
                let mut wanted = ranks.iter().copied().peekable();
                for (rank, (field, value)) in self.iter().enumerate() {
                    while wanted.next_if_eq(&rank).is_some() {
                        f(field, value);
                    }
                    if wanted.peek().is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// One step of `HSCAN`: visits pairs and returns the cursor to go on with, 0 at the end.
    ///
    /// A listpack is visited whole. A table is visited in hash order, `count` pairs (or a
    /// few more); a pair present from the first step to the last is met, whatever changes
    /// in between.
    pub fn scan(&self, cursor: u64, count: usize, f: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        match self {
            Hash::Packed(_) => {
                self.for_each(f);
                0
            }
            Hash::Table(map) => {
                let next =
                    map.scan(
                        position_of(cursor),
                        CURSOR_BITS,
                        count,
                        &mut |_, entry| match entry.obj {
                            Some(long) => f(entry.key, long),
                            None => f(entry.key, entry.payload),
                        },
                    );
                cursor_of(next)
            }
            Hash::Lasting(lasting) => lasting.fields.scan(cursor, count, f),
        }
    }

    /// How many allocations freeing it takes, roughly.
    pub fn free_effort(&self) -> usize {
        match self {
            Hash::Packed(_) => 1,
            Hash::Table(map) => map.len(),
            Hash::Lasting(lasting) => lasting.fields.free_effort() + lasting.len(),
        }
    }

    /// Bytes held on the heap. In a table with more than a few thousand fields the share of
    /// long values is estimated from the first ones: by hash, hence a fair sample.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Hash::Packed(list) => list.heap_bytes(),
            Hash::Table(map) => {
                const COUNTERS: usize = 16;
                let long: usize = map
                    .iter()
                    .take(HEAP_SAMPLE)
                    .filter_map(|entry| entry.obj)
                    .map(|value| COUNTERS + value.len())
                    .sum();
                let seen = map.len().clamp(1, HEAP_SAMPLE);
                let all = long as u128 * map.len() as u128 / seen as u128;
                map.heap_bytes()
                    .saturating_add(usize::try_from(all).unwrap_or(usize::MAX))
            }
            Hash::Lasting(lasting) => lasting.heap_bytes(),
        }
    }

    /// Turns a listpack into a table.
    fn convert(&mut self) {
        if let Hash::Packed(_) = self {
            let mut map = PagedMap::new();
            self.for_each(|field, value| {
                put(&mut map, field, value);
            });
            *self = Hash::Table(map);
        }
    }
}

/// Puts a pair into a table; true if the field is new.
fn put(map: &mut PagedMap<HashSchema>, field: &[u8], value: &[u8]) -> bool {
    let old = if value.len() > LONG_VALUE {
        map.put(field, &[], Some(Arc::from(value)))
    } else {
        map.put(field, value, None)
    };
    old.is_none()
}

pub(super) fn value_of(entry: paged::Entry<'_, HashSchema>) -> Element<'_> {
    match entry.obj {
        Some(long) => Element::Str(long),
        None => Element::Str(entry.payload),
    }
}

fn pair_of(entry: paged::Entry<'_, HashSchema>) -> (Element<'_>, Element<'_>) {
    (Element::Str(entry.key), value_of(entry))
}

/// Iterator over the pairs of a [`Hash`].
pub enum Iter<'a> {
    /// Over a listpack.
    Packed(basalt_formats::packed::listpack::Iter<'a>),
    /// Over a table.
    Table(paged::Iter<'a, HashSchema>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Packed(list) => Some((list.next()?, list.next()?)),
            Iter::Table(map) => map.next().map(pair_of),
        }
    }
}

#[cfg(test)]
mod tests;
