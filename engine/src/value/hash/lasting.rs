//! Hashes with fields that expire: the times stand in a table of their own, by field.
//!
//! The table is a paged map whose hint is the time, so that the earliest one is known at
//! once and what is due is found without looking at the rest. Whether a field is past its time
//! is for the keyspace to ask: here it stays until it is taken out.
//!
//! Invariants: `fields` is no [`Hash::Lasting`]; there is at least one time; every time belongs
//! to a field that is there, and is from 0 to [`MAX_EXPIRE_MS`].

use super::Hash;
use crate::structs::paged::{PagedMap, Schema};

/// The latest time a field may expire at, in Unix milliseconds: what files have room for.
pub const MAX_EXPIRE_MS: i64 = (1 << 48) - 1;

/// Pages looked into at a time for fields that are due.
const PAGES_AT_ONCE: usize = 16;

/// A table of times: the payload is the time in Unix milliseconds.
#[derive(Clone, Copy, Debug)]
enum TimeSchema {}

impl Schema for TimeSchema {
    type Obj = ();

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
