//! Channels, patterns and shard channels: who listens to what, and delivery.
//!
//! A publisher appends the message to the outbox of each listener; the listener's own thread
//! writes it. Messages of one publisher to one listener keep their order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use basalt_engine::keyspace::notify::{EventSink, NotifyClass};
use basalt_formats::glob;
use basalt_formats::resp::encode::{self, Protocol};
use parking_lot::RwLock;

use crate::client::Conn;
use crate::client::handle::Handle;
use crate::client::registry::Clients;
use crate::client::tracking::{self, TrackingTable};

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
    patterns: RwLock<Listeners>,
}

impl PubSub {
    fn listeners_of(&self, kind: Kind) -> &RwLock<Listeners> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shard,
        }
    }

    /// Subscribes a client; false if it was already.
    pub fn subscribe(&self, conn: &mut Conn, kind: Kind, name: &[u8]) -> bool {
        let (own, count) = conn.subscriptions(kind);
        if !own.insert(name.to_vec()) {
            return false;
        }
        count.store(own.len(), Relaxed);
        let handle = conn.handle.clone();
        let mut all = self.listeners_of(kind).write();
        all.entry(name.to_vec()).or_default().push(handle);
        true
    }

    /// Unsubscribes a client; false if it was not subscribed.
    pub fn unsubscribe(&self, conn: &mut Conn, kind: Kind, name: &[u8]) -> bool {
        let (own, count) = conn.subscriptions(kind);
        if !own.remove(name) {
            return false;
        }
        count.store(own.len(), Relaxed);
        remove(&mut self.listeners_of(kind).write(), name, conn.handle.id);
        true
    }

    /// Drops all subscriptions of a client.
    pub fn forget(&self, conn: &mut Conn) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            let (own, count) = conn.subscriptions(kind);
            let names = std::mem::take(own);
            count.store(0, Relaxed);
            if names.is_empty() {
                continue;
            }
            let mut all = self.listeners_of(kind).write();
            for name in &names {
                remove(&mut all, name, conn.handle.id);
            }
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
        self.listeners_of(kind)
            .read()
            .keys()
            .filter(|name| pattern.is_none_or(|pattern| glob::glob_match(pattern, name, false)))
            .cloned()
            .collect()
    }

    /// Number of listeners of a channel.
    pub fn listeners(&self, kind: Kind, name: &[u8]) -> usize {
        self.listeners_of(kind).read().get(name).map_or(0, Vec::len)
    }

    /// The listeners for which this holds with something they listen to; one may come twice.
    pub fn listeners_who(&self, holds: impl Fn(&Handle, Kind, &[u8]) -> bool) -> Vec<Arc<Handle>> {
        let mut found = Vec::new();
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for (name, listeners) in self.listeners_of(kind).read().iter() {
                let these = listeners.iter().filter(|one| holds(one, kind, name));
                found.extend(these.cloned());
            }
        }
        found
    }

    /// Number of channels or distinct patterns with listeners.
    pub fn count(&self, kind: Kind) -> usize {
        self.listeners_of(kind).read().len()
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

/// Sends one push to each listener; encoded once per protocol. The number of those reached.
fn deliver(listeners: &[Arc<Handle>], kind: &[u8], parts: &[&[u8]]) -> usize {
    let mut reached = 0;
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
        reached += usize::from(handle.push(bytes));
    }
    reached
}

/// Publishes keyspace events of the engine.
pub struct KeyspaceEvents {
    /// Where to.
    pub pubsub: Arc<PubSub>,
    /// `notify-keyspace-events` as class bits.
    pub classes: Arc<AtomicU32>,
    /// Client-side caching.
    pub tracking: Arc<TrackingTable>,
    /// The clients.
    pub clients: Arc<Clients>,
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

    fn invalidate(&self, _db: usize, key: &[u8]) {
        self.tracking.invalidate(key);
    }

    fn invalidate_all(&self) {
        self.tracking.invalidate_all(&self.clients.all());
    }

    fn serving(&self, session: u64) {
        tracking::set_served(session);
    }

    fn served(&self, session: u64, over: bool) {
        tracking::set_served(0);
        if !over && let Some(handle) = self.clients.get(session) {
            handle.release_behind_reply();
        }
    }
}
