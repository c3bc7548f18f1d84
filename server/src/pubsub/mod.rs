//! Channels, patterns and shard channels: who listens to what, and delivery.
//!
//! A publisher appends the message to the outbox of each listener; the listener's own thread
//! writes it. Messages of one publisher to one listener keep their order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::keyspace::notify::{EventSink, NotifyClass};
use basalt_formats::glob;
use basalt_formats::resp::encode::{self, Protocol};
use parking_lot::RwLock;

use crate::client::Conn;
use crate::client::handle::Handle;

/// The three kinds of subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// SUBSCRIBE.
    Channel,
    /// PSUBSCRIBE.
    Pattern,
    /// SSUBSCRIBE.
    Shard,
}

type Listeners = HashMap<Vec<u8>, Vec<Arc<Handle>>>;

/// Who listens to what.
#[derive(Default)]
pub struct PubSub {
    channels: RwLock<Listeners>,
    shard: RwLock<Listeners>,
    /// In the order in which patterns were first subscribed, as messages are delivered.
    patterns: RwLock<Vec<(Vec<u8>, Vec<Arc<Handle>>)>>,
}

impl PubSub {
    /// Subscribes a client; false if it was already.
    pub fn subscribe(&self, conn: &mut Conn, kind: Kind, name: &[u8]) -> bool {
        let handle = conn.handle.clone();
        match kind {
            Kind::Channel => {
                if !conn.subs.channels.insert(name.to_vec()) {
                    return false;
                }
                self.channels
                    .write()
                    .entry(name.to_vec())
                    .or_default()
                    .push(handle);
                conn.handle
                    .channels
                    .store(conn.subs.channels.len(), Relaxed);
            }
            Kind::Shard => {
                if !conn.subs.shard.insert(name.to_vec()) {
                    return false;
                }
                self.shard
                    .write()
                    .entry(name.to_vec())
                    .or_default()
                    .push(handle);
                conn.handle
                    .shard_channels
                    .store(conn.subs.shard.len(), Relaxed);
            }
            Kind::Pattern => {
                if !conn.subs.patterns.insert(name.to_vec()) {
                    return false;
                }
                let mut patterns = self.patterns.write();
                match patterns.iter_mut().find(|(pattern, _)| pattern == name) {
                    Some((_, listeners)) => listeners.push(handle),
                    None => patterns.push((name.to_vec(), vec![handle])),
                }
                conn.handle
                    .patterns
                    .store(conn.subs.patterns.len(), Relaxed);
            }
        }
        true
    }

    /// Unsubscribes a client; false if it was not subscribed.
    pub fn unsubscribe(&self, conn: &mut Conn, kind: Kind, name: &[u8]) -> bool {
        let id = conn.handle.id;
        match kind {
            Kind::Channel => {
                if !conn.subs.channels.remove(name) {
                    return false;
                }
                remove(&mut self.channels.write(), name, id);
                conn.handle
                    .channels
                    .store(conn.subs.channels.len(), Relaxed);
            }
            Kind::Shard => {
                if !conn.subs.shard.remove(name) {
                    return false;
                }
                remove(&mut self.shard.write(), name, id);
                conn.handle
                    .shard_channels
                    .store(conn.subs.shard.len(), Relaxed);
            }
            Kind::Pattern => {
                if !conn.subs.patterns.remove(name) {
                    return false;
                }
                let mut patterns = self.patterns.write();
                if let Some((_, listeners)) =
                    patterns.iter_mut().find(|(pattern, _)| pattern == name)
                {
                    listeners.retain(|handle| handle.id != id);
                }
                patterns.retain(|(_, listeners)| !listeners.is_empty());
                conn.handle
                    .patterns
                    .store(conn.subs.patterns.len(), Relaxed);
            }
        }
        true
    }

    /// Drops all subscriptions of a client.
    pub fn forget(&self, conn: &mut Conn) {
        for name in conn.subs.channels.clone() {
            self.unsubscribe(conn, Kind::Channel, &name);
        }
        for name in conn.subs.shard.clone() {
            self.unsubscribe(conn, Kind::Shard, &name);
        }
        for name in conn.subs.patterns.clone() {
            self.unsubscribe(conn, Kind::Pattern, &name);
        }
    }

    /// Delivers a message to a channel and the patterns that match it; the number of receivers.
    pub fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        let mut receivers = 0;
        if let Some(listeners) = self.channels.read().get(channel) {
            receivers += deliver(listeners, b"message", &[channel, message]);
        }
        let patterns = self.patterns.read();
        for (pattern, listeners) in patterns.iter() {
            if glob::glob_match(pattern, channel, false) {
                receivers += deliver(listeners, b"pmessage", &[pattern, channel, message]);
            }
        }
        receivers
    }

    /// Delivers a message to a shard channel; the number of receivers.
    pub fn publish_shard(&self, channel: &[u8], message: &[u8]) -> usize {
        self.shard.read().get(channel).map_or(0, |listeners| {
            deliver(listeners, b"smessage", &[channel, message])
        })
    }

    /// Channels with listeners that match a pattern.
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Vec<u8>> {
        let map = if kind == Kind::Shard {
            self.shard.read()
        } else {
            self.channels.read()
        };
        map.keys()
            .filter(|name| pattern.is_none_or(|pattern| glob::glob_match(pattern, name, false)))
            .cloned()
            .collect()
    }

    /// Number of listeners of a channel.
    pub fn listeners(&self, kind: Kind, name: &[u8]) -> usize {
        let map = if kind == Kind::Shard {
            self.shard.read()
        } else {
            self.channels.read()
        };
        map.get(name).map_or(0, Vec::len)
    }

    /// Number of channels or distinct patterns with listeners.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel => self.channels.read().len(),
            Kind::Shard => self.shard.read().len(),
            Kind::Pattern => self.patterns.read().len(),
        }
    }
}

fn remove(map: &mut Listeners, name: &[u8], id: u64) {
    if let Some(listeners) = map.get_mut(name) {
        listeners.retain(|handle| handle.id != id);
        if listeners.is_empty() {
            map.remove(name);
        }
    }
}

/// Sends one push to each listener; encoded once per protocol.
fn deliver(listeners: &[Arc<Handle>], kind: &[u8], parts: &[&[u8]]) -> usize {
    let mut encoded: [Option<Vec<u8>>; 2] = [None, None];
    for handle in listeners {
        let resp3 = handle.resp.load(Relaxed) == 3;
        let bytes = encoded[usize::from(resp3)].get_or_insert_with(|| {
            let mut out = Vec::new();
            encode::push(
                &mut out,
                if resp3 {
                    Protocol::Resp3
                } else {
                    Protocol::Resp2
                },
                parts.len() + 1,
            );
            encode::bulk(&mut out, kind);
            parts.iter().for_each(|part| encode::bulk(&mut out, part));
            out
        });
        handle.push(bytes);
    }
    listeners.len()
}

/// Publishes keyspace events of the engine.
pub struct KeyspaceEvents {
    /// Where to.
    pub pubsub: Arc<PubSub>,
    /// `notify-keyspace-events` as class bits.
    pub classes: Arc<std::sync::atomic::AtomicU32>,
}

impl EventSink for KeyspaceEvents {
    fn keyspace_event(&self, db: usize, _class: NotifyClass, event: &str, key: &[u8]) {
        let classes = self.classes.load(Relaxed);
        if classes & NotifyClass::KEYSPACE.0 != 0 {
            let mut channel = format!("__keyspace@{db}__:").into_bytes();
            channel.extend_from_slice(key);
            self.pubsub.publish(&channel, event.as_bytes());
        }
        if classes & NotifyClass::KEYEVENT.0 != 0 {
            self.pubsub
                .publish(format!("__keyevent@{db}__:{event}").as_bytes(), key);
        }
    }

    fn invalidate(&self, _db: usize, _key: &[u8]) {
        // Client-side caching is not offered yet: nobody can be tracking.
    }
}
