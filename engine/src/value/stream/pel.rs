//! [`Pending`]: which entries a group has handed out and to whom.
//!
//! When, how often and to which consumer an entry was delivered is written in one place, the
//! list of the group; a consumer only keeps the set of its IDs, and the two refer to each other
//! by value, never by pointer. All changes go through methods that keep both sides in step.
//!
//! Invariants: an ID is in the set of a consumer exactly if the group's list names that
//! consumer for it; every consumer named exists. (While a saved list is being loaded its entries
//! have no owner yet: [`Pending::restore`] and what follows it there.)
//!
//! Everything lies in ordered copy-on-write maps: a clone is O(1) with a million entries
//! pending, and who writes afterwards copies the path it touches.

use std::sync::Arc;

use super::id::StreamId;
use crate::structs::ordered::OrderedMap;

/// Names a consumer within its group. Never used twice, also not for a consumer that takes the
/// name of one that went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConsumerId(u64);

/// The owner of entries whose consumer is not known yet.
const NOBODY: ConsumerId = ConsumerId(0);

/// An entry handed out and not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nack {
    /// To whom it was delivered last.
    pub consumer: ConsumerId,
    /// When, in Unix milliseconds.
    pub delivery_time: i64,
    /// How often.
    pub delivery_count: u64,
}

const _: () = assert!(size_of::<Nack>() == 24);

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// When it last asked for entries, in Unix milliseconds.
    pub seen_time: i64,
    /// When it last got some; `None` if never.
    pub active_time: Option<i64>,
    pending: OrderedMap<StreamId, ()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The IDs of entries it has not acknowledged.
    pub fn pending(&self) -> &OrderedMap<StreamId, ()> {
        &self.pending
    }
}

/// The consumers of a group and the entries pending for them.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    nacks: OrderedMap<StreamId, Nack>,
    consumers: OrderedMap<ConsumerId, Consumer>,
    names: OrderedMap<Arc<[u8]>, ConsumerId>,
    /// The highest number given to a consumer.
    last: u64,
    /// Entries restored and not given to a consumer yet.
    unowned: usize,
}

impl Pending {
    /// All pending entries by ID.
    pub fn entries(&self) -> &OrderedMap<StreamId, Nack> {
        &self.nacks
    }

    /// Number of pending entries.
    pub fn len(&self) -> usize {
        self.nacks.len()
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.nacks.is_empty()
    }

    /// What is known of a pending entry.
    pub fn get(&self, id: StreamId) -> Option<Nack> {
        self.nacks.get(&id).copied()
    }

    /// The consumer with a name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// A consumer.
    pub fn consumer(&self, id: ConsumerId) -> Option<&Consumer> {
        self.consumers.get(&id)
    }

    /// The name of a consumer.
    pub fn name(&self, id: ConsumerId) -> &[u8] {
        self.consumer(id).map_or(&[], Consumer::name)
    }

    /// The consumers, ordered by name.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.names.values().filter_map(|id| self.consumers.get(id))
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.names.len()
    }

    /// Adds a consumer; `None` if there is one of that name.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: i64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        self.last += 1;
        let id = ConsumerId(self.last);
        let name: Arc<[u8]> = Arc::from(name);
        let consumer = Consumer {
            name: Arc::clone(&name),
            seen_time: now_ms,
            active_time: None,
            pending: OrderedMap::new(),
        };
        self.consumers.insert(id, consumer);
        self.names.insert(name, id);
        Some(id)
    }

    /// The consumer with a name, added if there is none, and whether it was.
    pub fn find_or_add(&mut self, name: &[u8], now_ms: i64) -> (ConsumerId, bool) {
        match self.find(name) {
            Some(id) => (id, false),
            None => (self.add_consumer(name, now_ms).unwrap_or(NOBODY), true),
        }
    }

    /// Removes a consumer and its pending entries; how many these were. O(entries).
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers.remove(&id)?;
        for entry in consumer.pending.keys() {
            self.nacks.remove(entry);
        }
        Some(consumer.pending.len())
    }

    /// Notes that a consumer asked for entries.
    pub fn mark_seen(&mut self, id: ConsumerId, now_ms: i64) {
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.seen_time = now_ms;
        }
    }

    /// Notes that a consumer got entries.
    pub fn mark_active(&mut self, id: ConsumerId, now_ms: i64) {
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.active_time = Some(now_ms);
        }
    }

    /// Sets the times of a consumer as they were saved.
    pub fn set_times(&mut self, id: ConsumerId, seen_time: i64, active_time: Option<i64>) {
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.seen_time = seen_time;
            consumer.active_time = active_time;
        }
    }

    /// Makes an entry pending for a consumer as `nack` says, whoever had it before. False, with
    /// nothing changed, if there is no such consumer.
    pub fn assign(&mut self, id: StreamId, nack: Nack) -> bool {
        let Some(consumer) = self.consumers.get_mut(&nack.consumer) else {
            return false;
        };
        match self.nacks.insert(id, nack) {
            Some(old) if old.consumer == nack.consumer => {}
            old => {
                consumer.pending.insert(id, ());
                if let Some(old) = old {
                    self.disown(id, old.consumer);
                }
            }
        }
        true
    }

    /// Notes one more delivery of a pending entry to the consumer that has it.
    pub fn redeliver(&mut self, id: StreamId, now_ms: i64) {
        if let Some(nack) = self.nacks.get_mut(&id) {
            nack.delivery_time = now_ms;
            nack.delivery_count = nack.delivery_count.wrapping_add(1);
        }
    }

    /// Ends the pending state of an entry; what was known of it.
    pub fn remove(&mut self, id: StreamId) -> Option<Nack> {
        let nack = self.nacks.remove(&id)?;
        self.disown(id, nack.consumer);
        Some(nack)
    }

    fn disown(&mut self, id: StreamId, consumer: ConsumerId) {
        if consumer == NOBODY {
            self.unowned -= 1;
        } else if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.pending.remove(&id);
        }
    }

    /// Adds a saved entry whose consumer is not known yet; false if the ID is there already.
    /// The caller gives it to a consumer with [`Pending::own`] and makes sure with
    /// [`Pending::is_whole`] at the end that none is left over.
    pub fn restore(&mut self, id: StreamId, delivery_time: i64, delivery_count: u64) -> bool {
        if self.nacks.contains_key(&id) {
            return false;
        }
        let nack = Nack {
            consumer: NOBODY,
            delivery_time,
            delivery_count,
        };
        self.nacks.insert(id, nack);
        self.unowned += 1;
        true
    }

    /// Gives a restored entry to a consumer; false if there is no such entry, or it has an
    /// owner already.
    pub fn own(&mut self, id: StreamId, consumer: ConsumerId) -> bool {
        match self.nacks.get(&id) {
            Some(nack) if nack.consumer == NOBODY => self.assign(id, Nack { consumer, ..*nack }),
            _ => false,
        }
    }

    /// Whether every entry has an owner.
    pub fn is_whole(&self) -> bool {
        self.unowned == 0
    }

    /// Bytes on the heap. O(nodes).
    pub fn heap_bytes(&self) -> usize {
        const SHARED: usize = 16;
        let each = self.consumers.values();
        self.nacks.heap_bytes()
            + self.consumers.heap_bytes()
            + self.names.heap_bytes()
            + each
                .map(|consumer| SHARED + consumer.name.len() + consumer.pending.heap_bytes())
                .sum::<usize>()
    }

    /// Panics unless the two sides agree.
    #[cfg(test)]
    pub fn check(&self) {
        assert_eq!(self.names.len(), self.consumers.len());
        let mut owned = 0;
        for (id, consumer) in &self.consumers {
            assert_eq!(self.names.get(&consumer.name), Some(id));
            for entry in consumer.pending.keys() {
                assert_eq!(self.nacks.get(entry).map(|nack| nack.consumer), Some(*id));
            }
            owned += consumer.pending.len();
        }
        assert_eq!(owned + self.unowned, self.nacks.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> StreamId {
        StreamId::new(n, 0)
    }

    fn nack(consumer: ConsumerId, delivery_time: i64) -> Nack {
        Nack {
            consumer,
            delivery_time,
            delivery_count: 1,
        }
    }

    #[test]
    fn an_entry_has_one_owner_at_a_time() {
        let mut pending = Pending::default();
        let a = pending.add_consumer(b"a", 10).expect("new");
        let b = pending.add_consumer(b"b", 10).expect("new");
        assert_eq!(pending.add_consumer(b"a", 11), None);
        for n in 1..=200 {
            assert!(pending.assign(id(n), nack(a, 10)));
        }
        for n in (2..=200).step_by(2) {
            assert!(pending.assign(id(n), nack(b, 20)));
            assert!(pending.assign(id(n), nack(b, 21)));
            pending.check();
        }
        let count = |p: &Pending, c| p.consumer(c).map(|c| c.pending().len());
        assert_eq!(
            (count(&pending, a), count(&pending, b)),
            (Some(100), Some(100))
        );
        assert_eq!(pending.get(id(2)).map(|n| n.delivery_time), Some(21));
        pending.redeliver(id(1), 30);
        assert_eq!(pending.get(id(1)).map(|n| n.delivery_count), Some(2));
        assert!(pending.remove(id(1)).is_some());
        assert!(pending.remove(id(1)).is_none());
        assert_eq!(pending.remove_consumer(b"b"), Some(100));
        assert_eq!(pending.remove_consumer(b"b"), None);
        pending.check();
        assert_eq!((pending.len(), pending.consumer_count()), (99, 1));
        // The name is free again, but nobody can take the new consumer for the old one.
        let again = pending.add_consumer(b"b", 1).expect("new");
        assert_ne!(again, b);
        assert!(!pending.assign(id(5), nack(b, 1)));
        pending.check();
    }

    #[test]
    fn consumers_come_in_the_order_of_their_names() {
        let mut pending = Pending::default();
        for name in ["b", "a", "", "ab", "B"] {
            pending.add_consumer(name.as_bytes(), 0);
        }
        let names: Vec<_> = pending.consumers().map(Consumer::name).collect();
        assert_eq!(names, [&b""[..], b"B", b"a", b"ab", b"b"]);
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut pending = Pending::default();
        let a = pending.add_consumer(b"a", 0).expect("new");
        for n in 0..100_000 {
            pending.assign(id(n), nack(a, 0));
        }
        let before = pending.clone();
        let b = pending.add_consumer(b"b", 0).expect("new");
        for n in 0..50_000 {
            pending.assign(id(n), nack(b, 5));
            pending.remove(id(n + 50_000));
        }
        pending.check();
        before.check();
        assert_eq!(before.len(), 100_000);
        assert_eq!(before.consumer_count(), 1);
        assert_eq!(pending.len(), 50_000);
        assert!(pending.consumer(a).is_some_and(|a| a.pending().is_empty()));
    }

    #[test]
    fn restoring_ends_whole_or_not_at_all() {
        let mut pending = Pending::default();
        assert!(pending.restore(id(1), 5, 2));
        assert!(pending.restore(id(2), 6, 1));
        assert!(!pending.restore(id(1), 7, 1));
        let a = pending.add_consumer(b"a", 0).expect("new");
        assert!(pending.own(id(1), a));
        assert!(!pending.own(id(1), a), "it has an owner");
        assert!(!pending.own(id(3), a), "no such entry");
        assert!(!pending.is_whole());
        pending.check();
        assert!(pending.own(id(2), a));
        assert!(pending.is_whole());
        pending.check();
        let kept = Nack {
            consumer: a,
            delivery_time: 5,
            delivery_count: 2,
        };
        assert_eq!(pending.get(id(1)), Some(kept));
    }
}
