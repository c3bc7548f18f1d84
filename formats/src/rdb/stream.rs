//! Streams: how their nodes, counters and consumer groups are laid out.
//!
//! ```text
//! body     = count of nodes, nodes, length, last ID,
//!            [first ID, greatest deleted ID, entries added]             from type 19 on
//!            count of groups, groups
//! node     = string of 16 bytes (master ID), string (listpack)
//! group    = name, last ID, [entries read]                              from type 19 on
//!            count of pending, pending, count of consumers, consumers
//! pending  = 16 bytes (ID), 8 bytes LE (delivery time), delivery count
//! consumer = name, 8 bytes LE (seen), [8 bytes LE (active)]             from type 21 on
//!            count of IDs, IDs of 16 bytes
//! ```
//! IDs not in 16 bytes are two lengths. An ID of a consumer stands for the pending entry of
//! that ID in its group.
//!
//! Invariants of what was read: nodes ascend by master ID, pending entries by ID, none comes
//! twice; names are distinct; every pending entry has one consumer of its group. Lengths and
//! IDs of the stream itself are what the input says, right or wrong: nothing that is read
//! relies on them.

use super::{ObjectType, RdbError, Reader, Writer};
use crate::packed::stream::{StreamId, StreamNode};

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamFault {
    /// The ID of a node does not have 16 bytes.
    #[error("ID of a node has a wrong size")]
    NodeKey,
    /// Two nodes have one ID.
    #[error("two nodes with the same ID")]
    DuplicateNode,
    /// Entries are counted, and there is no node.
    #[error("a length, but no nodes")]
    LengthWithoutNodes,
    /// Two groups have one name.
    #[error("two groups with the same name")]
    DuplicateGroup,
    /// An entry is pending twice.
    #[error("an entry is pending twice in a group")]
    DuplicatePending,
    /// Two consumers of a group have one name.
    #[error("two consumers with the same name")]
    DuplicateConsumer,
    /// A consumer has an entry that is not pending in its group.
    #[error("an entry of a consumer is not pending in its group")]
    NotPending,
    /// No consumer has a pending entry.
    #[error("a pending entry without a consumer")]
    NoConsumer,
}

/// What a stream says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamMeta {
    /// Entries that are not deleted.
    pub length: u64,
    /// The greatest ID ever added.
    pub last_id: StreamId,
    /// What type 15 does not have.
    pub history: Option<StreamHistory>,
}

/// What a stream remembers of entries that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamHistory {
    /// The first entry that is not deleted; 0-0 when there is none.
    pub first_id: StreamId,
    /// The greatest ID that was deleted one by one.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

/// A stream as it comes out of a reader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamBody {
    /// Runs of entries with their master IDs.
    pub nodes: Vec<(StreamId, StreamNode)>,
    /// Counters and IDs.
    pub meta: StreamMeta,
    /// Consumer groups.
    pub groups: Vec<StreamGroup>,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamGroup {
    /// Its name.
    pub name: Vec<u8>,
    /// The greatest ID delivered.
    pub last_id: StreamId,
    /// Entries read, -1 if that is not known; type 15 does not have it.
    pub entries_read: Option<i64>,
    /// Entries delivered and not acknowledged.
    pub pending: Vec<StreamPending>,
    /// Its consumers.
    pub consumers: Vec<StreamConsumer>,
}

/// An entry delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPending {
    /// Its ID; the entry itself may be gone.
    pub id: StreamId,
    /// When it was delivered, Unix milliseconds.
    pub delivery_ms: i64,
    /// How often.
    pub delivery_count: u64,
    /// Who has it: an index of the group's consumers.
    pub consumer: usize,
}

/// A consumer of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamConsumer {
    /// Its name.
    pub name: Vec<u8>,
    /// When it last asked, Unix milliseconds.
    pub seen_ms: i64,
    /// When it last got anything, -1 for never. Before type 21 the former is taken for it.
    pub active_ms: i64,
}

/// Bytes of an ID as such.
const ID_BYTES: u64 = 16;

impl StreamBody {
    /// Takes a stream off the reader.
    ///
    /// # Errors
    /// Any [`RdbError`], [`RdbError::Stream`] where parts do not fit together.
    pub fn read(kind: ObjectType, reader: &mut Reader<'_>) -> Result<StreamBody, RdbError> {
        let mut nodes = Vec::new();
        for _ in 0..reader.length()? {
            let key = reader.string()?;
            let key = <[u8; 16]>::try_from(&*key).map_err(|_| StreamFault::NodeKey)?;
            let node = StreamNode::from_bytes(reader.string()?.into_owned())?;
            nodes.push((StreamId::from_bytes(key), node));
        }
        if !sort_distinct(&mut nodes, |(id, _)| *id) {
            return Err(StreamFault::DuplicateNode.into());
        }
        let meta = read_meta(kind, reader)?;
        if meta.length > 0 && nodes.is_empty() {
            return Err(StreamFault::LengthWithoutNodes.into());
        }
        let mut groups = Vec::new();
        for _ in 0..reader.length()? {
            groups.push(read_group(kind, reader)?);
        }
        if !distinct(groups.iter().map(|group| &group.name)) {
            return Err(StreamFault::DuplicateGroup.into());
        }
        Ok(StreamBody {
            nodes,
            meta,
            groups,
        })
    }

    /// Writes the stream as one of this type; what an older type does not have is left out.
    pub fn write(&self, kind: ObjectType, writer: &mut Writer<'_>) {
        writer.len(self.nodes.len());
        for (id, node) in &self.nodes {
            writer.stream_node(*id, node);
        }
        writer.stream_meta(kind, &self.meta);
        writer.len(self.groups.len());
        for group in &self.groups {
            let entries_read = group.entries_read.unwrap_or(-1);
            writer.stream_group(kind, &group.name, group.last_id, entries_read);
            writer.len(group.pending.len());
            let mut owned = vec![Vec::new(); group.consumers.len()];
            for pending in &group.pending {
                writer.stream_pending(pending.id, pending.delivery_ms, pending.delivery_count);
                if let Some(ids) = owned.get_mut(pending.consumer) {
                    ids.push(pending.id);
                }
            }
            writer.len(group.consumers.len());
            for (consumer, ids) in group.consumers.iter().zip(owned) {
                let (seen, active) = (consumer.seen_ms, consumer.active_ms);
                writer.stream_consumer(kind, &consumer.name, seen, active);
                writer.len(ids.len());
                ids.into_iter().for_each(|id| writer.stream_id(id));
            }
        }
    }
}

fn read_meta(kind: ObjectType, reader: &mut Reader<'_>) -> Result<StreamMeta, RdbError> {
    Ok(StreamMeta {
        length: reader.length()?,
        last_id: read_id(reader)?,
        history: match kind {
            ObjectType::StreamListpacks => None,
            _ => Some(StreamHistory {
                first_id: read_id(reader)?,
                max_deleted_id: read_id(reader)?,
                entries_added: reader.length()?,
            }),
        },
    })
}

fn read_group(kind: ObjectType, reader: &mut Reader<'_>) -> Result<StreamGroup, RdbError> {
    let name = reader.string()?.into_owned();
    let last_id = read_id(reader)?;
    let entries_read = match kind {
        ObjectType::StreamListpacks => None,
        _ => Some(reader.length()? as i64),
    };
    let mut pending = Vec::new();
    for _ in 0..reader.length()? {
        pending.push(StreamPending {
            id: read_raw_id(reader)?,
            delivery_ms: reader.millis()?,
            delivery_count: reader.length()?,
            consumer: usize::MAX,
        });
    }
    if !sort_distinct(&mut pending, |entry| entry.id) {
        return Err(StreamFault::DuplicatePending.into());
    }
    let mut consumers = Vec::new();
    for _ in 0..reader.length()? {
        let consumer = read_consumer(kind, reader)?;
        read_owned(reader, consumers.len(), &mut pending)?;
        consumers.push(consumer);
    }
    if !distinct(consumers.iter().map(|consumer| &consumer.name)) {
        return Err(StreamFault::DuplicateConsumer.into());
    }
    if pending.iter().any(|entry| entry.consumer == usize::MAX) {
        return Err(StreamFault::NoConsumer.into());
    }
    Ok(StreamGroup {
        name,
        last_id,
        entries_read,
        pending,
        consumers,
    })
}

fn read_consumer(kind: ObjectType, reader: &mut Reader<'_>) -> Result<StreamConsumer, RdbError> {
    let name = reader.string()?.into_owned();
    let seen_ms = reader.millis()?;
    let active_ms = match kind {
        ObjectType::StreamListpacks3 => reader.millis()?,
        _ => seen_ms,
    };
    Ok(StreamConsumer {
        name,
        seen_ms,
        active_ms,
    })
}

/// Takes the IDs of a consumer and makes it the owner of those entries.
fn read_owned(
    reader: &mut Reader<'_>,
    consumer: usize,
    pending: &mut [StreamPending],
) -> Result<(), RdbError> {
    // Where the ID after the one before would be.
    let mut near = 0;
    for _ in 0..reader.length()? {
        let id = read_raw_id(reader)?;
        let at = match pending.get(near) {
            Some(entry) if entry.id == id => near,
            _ => pending
                .binary_search_by_key(&id, |entry| entry.id)
                .map_err(|_| StreamFault::NotPending)?,
        };
        if pending[at].consumer != usize::MAX {
            return Err(StreamFault::DuplicatePending.into());
        }
        pending[at].consumer = consumer;
        near = at + 1;
    }
    Ok(())
}

fn read_id(reader: &mut Reader<'_>) -> Result<StreamId, RdbError> {
    Ok(StreamId::new(reader.length()?, reader.length()?))
}

fn read_raw_id(reader: &mut Reader<'_>) -> Result<StreamId, RdbError> {
    let high = reader.bytes(ID_BYTES)?;
    let bytes = <[u8; 16]>::try_from(high).map_err(|_| StreamFault::NodeKey)?;
    Ok(StreamId::from_bytes(bytes))
}

/// Brings items in ascending order, which they mostly have; false if two have one key.
fn sort_distinct<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) -> bool {
    if !items.is_sorted_by_key(&key) {
        items.sort_by_key(&key);
    }
    items.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]))
}

/// Whether no name comes twice.
fn distinct<'a>(names: impl Iterator<Item = &'a Vec<u8>>) -> bool {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] < pair[1])
}

impl Reader<'_> {
    /// Takes a time in milliseconds.
    ///
    /// # Errors
    /// [`RdbError::Truncated`].
    fn millis(&mut self) -> Result<i64, RdbError> {
        let bytes = self.bytes(8)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0u64, |time, byte| time << 8 | u64::from(*byte)) as i64)
    }
}

/// The parts of a stream one after the other, for values that are kept in another shape. The
/// counts between them are written with [`Writer::len`].
impl Writer<'_> {
    /// Writes a node.
    pub fn stream_node(&mut self, master: StreamId, node: &StreamNode) {
        self.string(&master.to_bytes());
        self.string(node.as_bytes());
    }

    /// Writes counters and IDs. A history that is missing is written as one without deletions.
    pub fn stream_meta(&mut self, kind: ObjectType, meta: &StreamMeta) {
        self.number(meta.length);
        self.short_id(meta.last_id);
        if kind != ObjectType::StreamListpacks {
            let history = meta.history.unwrap_or(StreamHistory {
                entries_added: meta.length,
                ..StreamHistory::default()
            });
            self.short_id(history.first_id);
            self.short_id(history.max_deleted_id);
            self.number(history.entries_added);
        }
    }

    /// Writes the beginning of a group.
    pub fn stream_group(
        &mut self,
        kind: ObjectType,
        name: &[u8],
        last_id: StreamId,
        entries_read: i64,
    ) {
        self.string(name);
        self.short_id(last_id);
        if kind != ObjectType::StreamListpacks {
            self.number(entries_read as u64);
        }
    }

    /// Writes a pending entry of a group.
    pub fn stream_pending(&mut self, id: StreamId, delivery_ms: i64, delivery_count: u64) {
        self.stream_id(id);
        self.raw(&delivery_ms.to_le_bytes());
        self.number(delivery_count);
        self.spill_if_full();
    }

    /// Writes the beginning of a consumer.
    pub fn stream_consumer(&mut self, kind: ObjectType, name: &[u8], seen_ms: i64, active_ms: i64) {
        self.string(name);
        self.raw(&seen_ms.to_le_bytes());
        if kind == ObjectType::StreamListpacks3 {
            self.raw(&active_ms.to_le_bytes());
        }
    }

    /// Writes an ID in 16 bytes, as a consumer's list has them.
    pub fn stream_id(&mut self, id: StreamId) {
        self.raw(&id.to_bytes());
        self.spill_if_full();
    }

    fn short_id(&mut self, id: StreamId) {
        self.number(id.ms);
        self.number(id.seq);
    }
}

#[cfg(test)]
mod tests;
