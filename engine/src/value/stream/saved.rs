//! Streams to and from the form they have in files.

use std::sync::Arc;

use basalt_formats::rdb::{ObjectType, StreamBody, StreamGroup, StreamHistory, StreamMeta, Writer};

use super::{Extent, Group, Groups, Stream, StreamId};

impl Stream {
    /// The stream a file holds. What files of old versions do not tell is worked out from what
    /// they do.
    pub fn from_saved(saved: StreamBody) -> Stream {
        let meta = saved.meta;
        let mut stream = Stream {
            nodes: saved
                .nodes
                .into_iter()
                .map(|(master, node)| (master, Arc::new(node)))
                .collect(),
            extent: Extent {
                length: meta.length,
                last_id: meta.last_id,
                entries_added: meta.length,
                ..Extent::default()
            },
            groups: Groups::default(),
        };
        match meta.history {
            Some(history) => {
                stream.extent.first_id = history.first_id;
                stream.extent.max_deleted_id = history.max_deleted_id;
                stream.extent.entries_added = history.entries_added;
            }
            None => stream.find_first(),
        }
        for group in saved.groups {
            let restored = restore_group(&group, &stream.extent);
            stream.groups.add(&group.name, restored);
        }
        stream
    }

    /// Writes the stream without its type, as one of this type.
    pub fn save(&self, kind: ObjectType, writer: &mut Writer<'_>) {
        writer.len(self.node_count());
        for (master, node) in self.nodes() {
            writer.stream_node(master, node);
        }
        let extent = &self.extent;
        let meta = StreamMeta {
            length: extent.length,
            last_id: extent.last_id,
            history: Some(StreamHistory {
                first_id: extent.first_id,
                max_deleted_id: extent.max_deleted_id,
                entries_added: extent.entries_added,
            }),
        };
        writer.stream_meta(kind, &meta);
        writer.len(self.groups.len());
        for (name, group) in self.groups.iter() {
            save_group(kind, writer, name, group);
        }
    }
}

fn save_group(kind: ObjectType, writer: &mut Writer<'_>, name: &[u8], group: &Group) {
    let entries_read = group.entries_read.map_or(-1, u64::cast_signed);
    writer.stream_group(kind, name, group.last_id, entries_read);
    let pending = &group.pending;
    writer.len(pending.len());
    for (id, nack) in pending.entries() {
        writer.stream_pending(*id, nack.delivery_time, nack.delivery_count);
    }
    writer.len(pending.consumer_count());
    for consumer in pending.consumers() {
        let active = consumer.active_time.unwrap_or(-1);
        writer.stream_consumer(kind, consumer.name(), consumer.seen_time, active);
        writer.len(consumer.pending().len());
        for id in consumer.pending().keys() {
            writer.stream_id(*id);
        }
    }
}

fn restore_group(saved: &StreamGroup, extent: &Extent) -> Group {
    let last_id: StreamId = saved.last_id;
    let entries_read = match saved.entries_read {
        Some(-1) => None,
        Some(read) => Some(read.cast_unsigned()),
        None => extent.distance_from_first(last_id),
    };
    let mut group = Group::new(last_id, entries_read);
    let pending = &mut group.pending;
    let consumers: Vec<_> = saved
        .consumers
        .iter()
        .map(|consumer| {
            let id = pending.add_consumer(&consumer.name, consumer.seen_ms)?;
            let active = (consumer.active_ms != -1).then_some(consumer.active_ms);
            pending.set_times(id, consumer.seen_ms, active);
            Some(id)
        })
        .collect();
    for entry in &saved.pending {
        if let Some(Some(consumer)) = consumers.get(entry.consumer) {
            let nack = super::Nack {
                consumer: *consumer,
                delivery_time: entry.delivery_ms,
                delivery_count: entry.delivery_count,
            };
            pending.assign(entry.id, nack);
        }
    }
    group
}
