//! Hashes with fields that expire: the times stand in a table of their own, by field.
//!
//! The table is a paged map whose hint is the time, so that the earliest one is known at
//! once and what is due is found without looking at the rest. Whether a field is past its time
//! is for the keyspace to ask: here it stays until it is taken out.
//!
//! Invariants: `fields` is no [`Hash::Lasting`]; there is at least one time; every time belongs
//! to a field that is there, and is from 0 to [`MAX_EXPIRE_MS`].

use super::{Hash, HashSchema};
use crate::structs::paged::{Copied, Drain, Entry, PagedMap, Schema, Watched};

/// The latest time a field may expire at, in Unix milliseconds: what files have room for.
pub const MAX_EXPIRE_MS: i64 = (1 << 48) - 1;

/// Pages looked into at a time for fields that are due.
const PAGES_AT_ONCE: usize = 16;

/// A table of times: the payload is the time in Unix milliseconds.
#[derive(Clone, Copy, Debug)]
enum TimeSchema {}

impl Schema for TimeSchema {
    type Obj = ();
    const WATCHED: Watched = Watched::Value;

    fn hint(payload: &[u8]) -> u64 {
        payload
            .first_chunk::<8>()
            .map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
    }
}

/// Fields, with the times at which some of them expire.
#[derive(Clone)]
pub struct Lasting {
    pub(super) fields: Hash,
    times: PagedMap<TimeSchema>,
}

fn time_of(payload: &[u8]) -> Option<i64> {
    i64::try_from(TimeSchema::hint(payload)).ok()
}

impl Lasting {
    /// How many fields expire.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether no field expires; never so for long.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Bytes held on the heap, those of the fields included.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            .saturating_add(self.fields.heap_bytes())
            .saturating_add(self.times.heap_bytes())
    }
}

/// A table of fields and their times that is being read out: two tables in one order, let go of
/// page by page.
///
/// Invariant: a page of times is held until all fields that it may have times of are shown.
pub(crate) struct LastingDrain {
    fields: Drain<HashSchema>,
    times: Drain<TimeSchema>,
    /// The first time, or one before it.
    first: i64,
}

impl LastingDrain {
    /// The first time, or one before it.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// Shows the fields of the next page with their times; false if there is none.
    pub(crate) fn next_page(
        &mut self,
        f: &mut dyn FnMut(Entry<'_, HashSchema>, Option<i64>),
    ) -> bool {
        let times = &self.times;
        let more = self.fields.next_page(&mut |field| {
            f(
                field,
                times.get(field.key).and_then(|at| time_of(at.payload)),
            )
        });
        self.times.skip_below(self.fields.position());
        more
    }

    /// Shows the fields of a page that a writer has copied, or that a copied page has times of; false
    /// if it is none of ours, or was shown before.
    pub(crate) fn copied(
        &mut self,
        copied: &Copied,
        f: &mut dyn FnMut(Entry<'_, HashSchema>, Option<i64>),
    ) -> bool {
        let (fields, times) = (&mut self.fields, &self.times);
        let mut show = |field: Entry<'_, HashSchema>| {
            f(
                field,
                times.get(field.key).and_then(|at| time_of(at.payload)),
            );
        };
        if fields.copied(copied, &mut show) {
            return true;
        }
        let Some((lo, hi)) = times.span(copied) else {
            return false;
        };
        fields.show_span(lo, hi, &mut show);
        self.times.copied(copied, &mut |_| {})
    }
}

impl Lasting {
    /// Begins to read the hash out, if its fields stand in a table.
    pub(crate) fn drain(&self) -> Option<LastingDrain> {
        let Hash::Table(fields) = &self.fields else {
            return None;
        };
        Some(LastingDrain {
            fields: Drain::new(fields.clone()),
            times: Drain::new(self.times.clone()),
            first: i64::try_from(self.times.min_hint()).unwrap_or(0),
        })
    }
}

impl Hash {
    /// The hash as it is kept: itself, or what times stand beside.
    pub fn fields(&self) -> &Hash {
        match self {
            Hash::Lasting(lasting) => &lasting.fields,
            plain => plain,
        }
    }

    /// How many fields expire. O(1).
    pub fn lasting_len(&self) -> usize {
        match self {
            Hash::Lasting(lasting) => lasting.len(),
            _ => 0,
        }
    }

    /// When a field expires, in Unix milliseconds.
    pub fn expiry(&self, field: &[u8]) -> Option<i64> {
        match self {
            Hash::Lasting(lasting) => time_of(lasting.times.get(field)?.payload),
            _ => None,
        }
    }

    /// Makes a field expire at a time, brought within bounds; false if there is no such field.
    pub fn set_expiry(&mut self, field: &[u8], at_ms: i64) -> bool {
        if !self.contains(field) {
            return false;
        }
        if !matches!(self, Hash::Lasting(_)) {
            *self = Hash::Lasting(Box::new(Lasting {
                fields: std::mem::take(self),
                times: PagedMap::new(),
            }));
        }
        if let Hash::Lasting(lasting) = self {
            let at = at_ms.clamp(0, MAX_EXPIRE_MS);
            lasting.times.put(field, &at.to_le_bytes(), None);
        }
        true
    }

    /// Makes a field expire no more; whether it would have.
    pub fn persist(&mut self, field: &[u8]) -> bool {
        let Hash::Lasting(lasting) = self else {
            return false;
        };
        let found = lasting.times.remove(field).is_some();
        if lasting.times.is_empty() {
            *self = std::mem::take(&mut lasting.fields);
        }
        found
    }

    /// When the first field expires, or a time before that. O(1).
    #[inline]
    pub fn next_expiry(&self) -> Option<i64> {
        match self {
            Hash::Lasting(lasting) => i64::try_from(lasting.times.min_hint()).ok(),
            _ => None,
        }
    }

    /// Calls `f(field, time)` for the fields that expire, in hash order.
    pub fn for_each_expiry(&self, mut f: impl FnMut(&[u8], i64)) {
        if let Hash::Lasting(lasting) = self {
            for entry in lasting.times.iter() {
                if let Some(at) = time_of(entry.payload) {
                    f(entry.key, at);
                }
            }
        }
    }

    /// Takes out up to `most` fields that are past their time at `now_ms`, and names them.
    /// O(what is due).
    pub fn take_due(&mut self, now_ms: i64, most: usize) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let due = self.due(now_ms, most - taken.len());
            if due.is_empty() {
                break;
            }
            for field in &due {
                self.remove(field);
            }
            taken.extend(due);
        }
        taken
    }

    /// Some of the fields past their time, at least one if there is any.
    fn due(&self, now_ms: i64, most: usize) -> Vec<Vec<u8>> {
        let mut due = Vec::new();
        let Hash::Lasting(lasting) = self else {
            return due;
        };
        // A field expires when its time has passed, not at that time.
        let Some(limit) = u64::try_from(now_ms)
            .ok()
            .and_then(|now| now.checked_sub(1))
        else {
            return due;
        };
        let mut from = Some(0);
        while let Some(at) = from
            && due.is_empty()
        {
            from = lasting
                .times
                .pages_due(at, limit, PAGES_AT_ONCE, &mut |entry| {
                    if due.len() < most && TimeSchema::hint(entry.payload) <= limit {
                        due.push(entry.key.to_vec());
                    }
                });
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::super::{HashLimits, value_of};
    use super::*;
    use crate::structs::paged::{Watcher, watch};

    #[derive(Default)]
    struct List(Mutex<Vec<Copied>>);

    impl Watcher for List {
        fn copied(&self, page: Copied) {
            self.0.lock().push(page);
        }
    }

    type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

    fn model(hash: &Hash) -> Model {
        let mut model = Model::new();
        hash.for_each(|field, value| {
            let old = model.insert(field.to_vec(), (value.to_vec(), hash.expiry(field)));
            assert_eq!(old, None);
        });
        model
    }

    /// Read out while fields and times change, with what writers copied first: all as it was, once,
    /// and nothing is shared behind it.
    #[test]
    fn read_out_as_it_was() {
        for seed in 0..8u64 {
            let mut state = seed;
            let mut random = |below: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(99);
                (state >> 33) % below
            };
            let mut hash = Hash::default();
            let limits = HashLimits::default();
            for i in 0..4000u64 {
                let field = i.to_string();
                hash.set(field.as_bytes(), &i.to_le_bytes(), &limits);
                if random(1 + seed) == 0 {
                    hash.set_expiry(field.as_bytes(), 1_000_000 + random(500) as i64);
                }
            }
            hash.set_expiry(b"7", 1_000_000);
            let wanted = model(&hash);
            let list = Arc::new(List::default());
            let watching = watch(list.clone());
            let Hash::Lasting(lasting) = &hash else {
                panic!("fields expire")
            };
            let mut drain = lasting.drain().expect("a table");
            assert!(drain.first() <= 1_000_000);
            let (mut shown, mut out_of_turn, mut charged) = (Model::new(), 0, 0);
            loop {
                for _ in 0..random(10) * seed {
                    let field = random(4200).to_string();
                    match random(4) {
                        0 => drop(hash.set_expiry(field.as_bytes(), random(9_000_000) as i64)),
                        1 => drop(hash.remove(field.as_bytes())),
                        2 => drop(hash.persist(field.as_bytes())),
                        _ => drop(hash.set(field.as_bytes(), b"new", &limits)),
                    }
                }
                let mut show = |entry: Entry<'_, HashSchema>, at| {
                    value_of(entry).with_bytes(|value| {
                        let old = shown.insert(entry.key.to_vec(), (value.to_vec(), at));
                        assert_eq!(old, None, "shown twice");
                    });
                };
                for page in std::mem::take(&mut *list.0.lock()) {
                    charged += 1;
                    out_of_turn += u32::from(drain.copied(&page, &mut show));
                }
                if !drain.next_page(&mut show) {
                    break;
                }
            }
            assert_eq!(shown, wanted, "seed {seed}");
            assert_eq!(drain.times.len(), 0);
            assert!(
                seed == 0 || (out_of_turn > 10 && charged >= out_of_turn),
                "{out_of_turn}"
            );
            drop(watching);
        }
    }
}
