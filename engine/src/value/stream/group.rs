//! Consumer groups: how far each has read, and what is pending in it.

use std::sync::Arc;

use super::Stream;
use super::id::StreamId;
use super::pel::Pending;
use crate::structs::ordered::OrderedMap;

/// What a stream tells of its past, from which the progress of a group is worked out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Entries in the stream.
    pub length: u64,
    /// Entries ever added, as far as known.
    pub entries_added: u64,
    /// The first entry; 0-0 in an empty stream.
    pub first_id: StreamId,
    /// The highest ID the stream ever gave.
    pub last_id: StreamId,
    /// The highest ID that was deleted from the middle; 0-0 if none.
    pub max_deleted_id: StreamId,
}

impl Extent {
    /// Whether an entry was deleted at `from` or later, so that IDs do not tell how many
    /// entries lie between. Deletions in front of the first entry do not matter.
    pub fn has_tombstones_from(&self, from: StreamId) -> bool {
        self.length > 0
            && self.max_deleted_id != StreamId::MIN
            && self.first_id <= self.max_deleted_id
            && from <= self.max_deleted_id
    }

    /// How many entries were ever added up to and including `id`, where that can be told: at
    /// both ends of the stream and outside of it, if nothing was deleted that blurs it.
    pub fn distance_from_first(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if id == self.last_id || (self.length == 0 && id < self.last_id) {
            return Some(self.entries_added);
        }
        if id > self.last_id {
            return None;
        }
        let whole = self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id;
        let before_first = self.entries_added.wrapping_sub(self.length);
        if whole && id < self.first_id {
            Some(before_first)
        } else if whole && id == self.first_id {
            Some(before_first.wrapping_add(1))
        } else {
            None
        }
    }
}

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last entry handed out as new.
    pub last_id: StreamId,
    /// How many entries of the stream's life were read up to there; `None` if unknown.
    pub entries_read: Option<u64>,
    /// Its consumers and what is pending for them.
    pub pending: Pending,
}

impl Group {
    /// A group that goes on after `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group {
            last_id,
            entries_read,
            pending: Pending::default(),
        }
    }

    /// Notes that an entry is handed out. False if the group was at or past it already.
    pub fn advance(&mut self, id: StreamId, extent: &Extent) -> bool {
        if id <= self.last_id {
            return false;
        }
        match self.entries_read {
            Some(read) if !extent.has_tombstones_from(id) => {
                self.entries_read = Some(read.wrapping_add(1));
            }
            _ if extent.entries_added > 0 => self.entries_read = extent.distance_from_first(id),
            _ => {}
        }
        self.last_id = id;
        true
    }

    /// How many entries the group has still to read, where that can be told.
    pub fn lag(&self, extent: &Extent) -> Option<i64> {
        if extent.entries_added == 0 {
            return Some(0);
        }
        let read = match self.entries_read {
            Some(read) if !extent.has_tombstones_from(self.last_id) => read,
            _ => extent.distance_from_first(self.last_id)?,
        };
        Some(extent.entries_added.wrapping_sub(read).cast_signed())
    }

    /// Bytes on the heap. O(nodes).
    pub fn heap_bytes(&self) -> usize {
        self.pending.heap_bytes()
    }
}

/// The groups of a stream, ordered by name.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    by_name: OrderedMap<Arc<[u8]>, Arc<Group>>,
}

impl Groups {
    /// Number of groups.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// A group for reading.
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.by_name.get(name).map(|group| &**group)
    }

    /// A group for changing it.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.by_name.get_mut(name).map(Arc::make_mut)
    }

    /// Adds a group; false, with nothing changed, if there is one of that name.
    pub fn add(&mut self, name: &[u8], group: Group) -> bool {
        if self.by_name.contains_key(name) {
            return false;
        }
        self.by_name.insert(Arc::from(name), Arc::new(group));
        true
    }

    /// Takes a group out.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Group>> {
        self.by_name.remove(name)
    }

    /// The groups with their names, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.by_name.iter().map(|(name, group)| (&**name, &**group))
    }

    /// Bytes on the heap. O(nodes).
    pub fn heap_bytes(&self) -> usize {
        const SHARED: usize = 16;
        let each = self.iter();
        self.by_name.heap_bytes()
            + each
                .map(|(name, group)| {
                    2 * SHARED + name.len() + size_of::<Group>() + group.heap_bytes()
                })
                .sum::<usize>()
    }
}

impl Stream {
    /// Lends a group out for changes that depend on the entries: `f` sees the stream without
    /// that group. `None` if there is no such group.
    pub fn with_group<R>(
        &mut self,
        name: &[u8],
        f: impl FnOnce(&Stream, &mut Group) -> R,
    ) -> Option<R> {
        let mut group = std::mem::take(self.groups.get_mut(name)?);
        let result = f(self, &mut group);
        if let Some(place) = self.groups.get_mut(name) {
            *place = group;
        }
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> StreamId {
        StreamId::new(n, 0)
    }

    /// Ten entries 1-0 to 10-0 were added to a stream, of which `first..=10` are there.
    fn extent(first: u64, deleted: u64) -> Extent {
        Extent {
            length: 11 - first - u64::from(deleted > first),
            entries_added: 10,
            first_id: id(first),
            last_id: id(10),
            max_deleted_id: id(deleted),
        }
    }

    #[test]
    fn distance_is_told_where_it_is_certain() {
        assert_eq!(Extent::default().distance_from_first(id(7)), Some(0));
        let whole = extent(3, 0);
        assert_eq!(whole.distance_from_first(id(1)), Some(2));
        assert_eq!(whole.distance_from_first(id(3)), Some(3));
        assert_eq!(whole.distance_from_first(id(4)), None);
        assert_eq!(whole.distance_from_first(id(10)), Some(10));
        assert_eq!(whole.distance_from_first(id(11)), None);
        let holed = extent(3, 5);
        assert_eq!(holed.distance_from_first(id(1)), None);
        assert_eq!(holed.distance_from_first(id(3)), None);
        assert_eq!(holed.distance_from_first(id(10)), Some(10));
        assert_eq!(extent(3, 2).distance_from_first(id(1)), Some(2));
        let empty = Extent {
            length: 0,
            first_id: StreamId::MIN,
            ..extent(3, 0)
        };
        assert_eq!(empty.distance_from_first(id(5)), Some(10));
        assert_eq!(empty.distance_from_first(id(10)), Some(10));
        assert_eq!(empty.distance_from_first(id(11)), None);
    }

    #[test]
    fn tombstones_count_from_where_they_are_asked_for() {
        assert!(!extent(3, 0).has_tombstones_from(id(1)));
        assert!(!extent(3, 2).has_tombstones_from(id(1)));
        assert!(extent(3, 5).has_tombstones_from(id(1)));
        assert!(extent(3, 5).has_tombstones_from(id(5)));
        assert!(!extent(3, 5).has_tombstones_from(id(6)));
        assert!(!Extent::default().has_tombstones_from(id(0)));
    }

    #[test]
    fn progress_is_counted_while_it_can_be() {
        let whole = extent(1, 0);
        let mut group = Group::new(StreamId::MIN, Some(0));
        assert_eq!(group.lag(&whole), Some(10));
        assert!(group.advance(id(1), &whole));
        assert!(!group.advance(id(1), &whole));
        assert_eq!((group.entries_read, group.lag(&whole)), (Some(1), Some(9)));
        // An entry ahead is deleted: the count is lost until the end is reached.
        let holed = extent(1, 5);
        assert_eq!(group.lag(&holed), None);
        assert!(group.advance(id(2), &holed));
        assert_eq!(group.entries_read, None);
        assert!(group.advance(id(10), &holed));
        assert_eq!((group.entries_read, group.lag(&holed)), (Some(10), Some(0)));
        // A group set to a place that is not known finds its count at the first entry.
        let mut group = Group::new(StreamId::MIN, None);
        assert_eq!(group.lag(&whole), Some(10));
        assert!(group.advance(id(1), &whole));
        assert_eq!(group.entries_read, Some(1));
        let mut group = Group::new(id(4), None);
        assert_eq!(group.lag(&whole), None);
        assert!(group.advance(id(5), &whole));
        assert_eq!(group.entries_read, None);
    }

    #[test]
    fn groups_by_name() {
        let mut groups = Groups::default();
        assert!(groups.add(b"b", Group::new(id(1), None)));
        assert!(groups.add(b"a", Group::new(id(2), None)));
        assert!(!groups.add(b"a", Group::new(id(3), None)));
        let before = groups.clone();
        groups.get_mut(b"a").expect("there").last_id = id(9);
        assert_eq!(before.get(b"a").map(|g| g.last_id), Some(id(2)));
        let names: Vec<_> = groups.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [b"a", b"b"]);
        assert!(groups.remove(b"a").is_some());
        assert!(groups.remove(b"a").is_none());
        assert_eq!((groups.len(), before.len()), (1, 2));
    }
}
