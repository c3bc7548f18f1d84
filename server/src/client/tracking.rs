//! Client-side caching: which clients were given which keys, and telling them of changes.
//!
//! In the default mode a key is remembered for a client when it reads it, and forgotten with
//! the first change. In broadcast mode nothing is remembered: changed keys are collected per
//! prefix and sent when the command that changed them is done.
//!
//! Invariant: keys are remembered, and changes reported, while the shard of the key is locked,
//! so no change falls between a read and its being remembered. The locks here are taken after
//! shard locks and before outboxes.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use basalt_engine::command::Command;
use basalt_engine::command::spec::{Flags, Group};
use basalt_formats::resp::encode::{self, Protocol};
use parking_lot::{Mutex, RwLock};

use super::handle::Handle;
use crate::server::Server;

/// The channel of messages that are redirected to a RESP2 subscriber.
const CHANNEL: &[u8] = b"__redis__:invalidate";

thread_local! {
    static RUNNING: Cell<u64> = const { Cell::new(0) };
    /// The blocked client whose command this thread runs for it; 0 for none.
    static SERVED: Cell<u64> = const { Cell::new(0) };
}

/// Names the blocked client whose command this thread runs for it; 0 for none.
pub fn set_served(id: u64) {
    SERVED.set(id);
}

/// The client that what happens on this thread is done by.
fn actor() -> u64 {
    match SERVED.get() {
        0 => RUNNING.get(),
        served => served,
    }
}

/// Names the client whose command this thread runs; 0 for none.
pub fn set_running(id: u64) {
    RUNNING.set(id);
}

/// The client whose command this thread runs.
pub fn running() -> u64 {
    RUNNING.get()
}

/// CLIENT TRACKING of one client.
#[derive(Default)]
pub struct Tracking {
    /// It is on.
    pub on: bool,
    /// BCAST.
    pub bcast: bool,
    /// OPTIN.
    pub optin: bool,
    /// OPTOUT.
    pub optout: bool,
    /// NOLOOP.
    pub noloop: bool,
    /// The client that messages were redirected to is gone.
    pub broken: bool,
    /// REDIRECT.
    pub redirect: Option<Arc<Handle>>,
    /// PREFIX, of broadcast mode.
    pub prefixes: BTreeSet<Vec<u8>>,
}

/// What clients of one prefix are to be told: changed keys and who changed them.
#[derive(Default)]
struct Prefix {
    clients: Vec<Arc<Handle>>,
    changed: BTreeMap<Vec<u8>, u64>,
}

/// Who is to be told of which keys.
#[derive(Default)]
pub struct TrackingTable {
    /// `tracking-table-max-keys`, 0: no limit.
    pub max_keys: AtomicU64,
    /// Clients with tracking on.
    clients: AtomicUsize,
    keys: Mutex<HashMap<Vec<u8>, Vec<Arc<Handle>>>>,
    items: AtomicUsize,
    prefixes: RwLock<BTreeMap<Vec<u8>, Mutex<Prefix>>>,
    /// Some prefix has changed keys to tell of.
    collected: AtomicBool,
}

impl TrackingTable {
    /// Number of keys remembered.
    pub fn total_keys(&self) -> usize {
        self.keys.lock().len()
    }

    /// Number of pairs of a key and a client.
    pub fn total_items(&self) -> usize {
        self.items.load(Relaxed)
    }

    /// Number of prefixes in broadcast mode.
    pub fn total_prefixes(&self) -> usize {
        self.prefixes.read().len()
    }

    /// Number of clients with tracking on.
    pub fn client_count(&self) -> usize {
        self.clients.load(Relaxed)
    }

    /// Remembers the keys a command read for a client, unless its mode leaves them out.
    pub fn remember(
        &self,
        handle: &Arc<Handle>,
        caching: bool,
        command: &'static Command,
        args: &[&[u8]],
    ) {
        let mode = handle.tracking.lock();
        let left_out = mode.bcast || mode.optin && !caching || mode.optout && caching;
        drop(mode);
        // What a script reads is remembered with the commands it calls, not by the keys it was given.
        let scripts = command.spec.group == Group::Scripting;
        if left_out || scripts || command.flags.has(Flags::PUBSUB) || !command.has_keys() {
            return;
        }
        let Some(found) = command.keys(args) else {
            return;
        };
        let mut keys = self.keys.lock();
        for key in found.iter().filter_map(|(at, _)| args.get(*at)) {
            let listeners = keys.entry(key.to_vec()).or_default();
            if listeners.len() == listeners.capacity() {
                let before = listeners.len();
                listeners.retain(|other| !other.gone.load(Relaxed));
                self.items.fetch_sub(before - listeners.len(), Relaxed);
            }
            if !listeners.iter().any(|other| other.id == handle.id) {
                listeners.push(handle.clone());
                self.items.fetch_add(1, Relaxed);
            }
        }
    }

    /// Forgets keys beyond `tracking-table-max-keys` and tells who had them.
    pub fn limit(&self) {
        let max = usize::try_from(self.max_keys.load(Relaxed)).unwrap_or(usize::MAX);
        if max == 0 {
            return;
        }
        loop {
            let mut keys = self.keys.lock();
            if keys.len() <= max {
                return;
            }
            let Some(key) = keys.keys().next().cloned() else {
                return;
            };
            let listeners = keys.remove(&key).unwrap_or_default();
            self.items.fetch_sub(listeners.len(), Relaxed);
            drop(keys);
            self.tell(&listeners, &key);
        }
    }

    /// A key changed: tells who had it, and collects it for broadcast.
    pub fn invalidate(&self, key: &[u8]) {
        for (prefix, state) in self.prefixes.read().iter() {
            if key.starts_with(prefix) {
                state.lock().changed.insert(key.to_vec(), actor());
                self.collected.store(true, Relaxed);
            }
        }
        let mut keys = self.keys.lock();
        let Some(listeners) = keys.remove(key) else {
            return;
        };
        self.items.fetch_sub(listeners.len(), Relaxed);
        drop(keys);
        self.tell(&listeners, key);
    }

    fn tell(&self, listeners: &[Arc<Handle>], key: &[u8]) {
        for handle in listeners {
            let mode = handle.tracking.lock();
            let skip = !mode.on || mode.bcast || mode.noloop && handle.id == actor();
            drop(mode);
            if !skip {
                send(handle, |out, _| {
                    encode::array(out, 1);
                    encode::bulk(out, key);
                });
            }
        }
    }

    /// Sends what was collected for broadcast; called when a command is done.
    #[inline]
    pub fn broadcast(&self) {
        if self.collected.load(Relaxed) {
            self.broadcast_collected();
        }
    }

    #[cold]
    fn broadcast_collected(&self) {
        self.collected.store(false, Relaxed);
        for state in self.prefixes.read().values() {
            let mut state = state.lock();
            let changed = std::mem::take(&mut state.changed);
            if changed.is_empty() {
                continue;
            }
            for handle in &state.clients {
                let noloop = handle.tracking.lock().noloop;
                let keys: Vec<&[u8]> = changed
                    .iter()
                    .filter(|(_, writer)| !noloop || **writer != handle.id)
                    .map(|(key, _)| key.as_slice())
                    .collect();
                if !keys.is_empty() {
                    send(handle, |out, _| {
                        encode::array(out, keys.len());
                        keys.iter().for_each(|key| encode::bulk(out, key));
                    });
                }
            }
        }
    }

    /// Forgets the keys of clients that track no more: while nobody does, changes are not looked
    /// at, and what is remembered would be taken for the next to begin.
    fn forget_idle(&self) {
        let mut keys = self.keys.lock();
        let mut items = 0;
        keys.retain(|_, listeners| {
            listeners.retain(|handle| handle.tracks.load(Relaxed));
            items += listeners.len();
            !listeners.is_empty()
        });
        self.items.store(items, Relaxed);
    }

    /// All keys are gone: tells every tracking client so.
    pub fn invalidate_all(&self, clients: &[Arc<Handle>]) {
        self.keys.lock().clear();
        self.items.store(0, Relaxed);
        clients
            .iter()
            .filter(|handle| handle.tracks.load(Relaxed))
            .for_each(|handle| send(handle, encode::null));
    }
}

/// Sends an invalidation message to a tracking client or to where it redirects them. `keys`
/// writes the list of keys in the receiver's protocol.
fn send(handle: &Arc<Handle>, keys: impl FnOnce(&mut Vec<u8>, Protocol)) {
    let mut mode = handle.tracking.lock();
    let redirect = mode.redirect.clone();
    if let Some(target) = &redirect
        && target.gone.load(Relaxed)
    {
        mode.broken = true;
        drop(mode);
        if handle.resp.load(Relaxed) == 3 {
            let mut out = Vec::new();
            encode::push(&mut out, Protocol::Resp3, 2);
            encode::bulk(&mut out, b"tracking-redir-broken");
            encode::integer(&mut out, i64::try_from(target.id).unwrap_or(i64::MAX));
            handle.push(&out);
        }
        return;
    }
    drop(mode);
    let target = redirect.as_ref().unwrap_or(handle);
    let mut out = Vec::new();
    if target.resp.load(Relaxed) == 3 {
        encode::push(&mut out, Protocol::Resp3, 2);
        encode::bulk(&mut out, b"invalidate");
        keys(&mut out, Protocol::Resp3);
    } else if redirect.is_some() && target.subscriptions() > 0 {
        encode::array(&mut out, 3);
        encode::bulk(&mut out, b"message");
        encode::bulk(&mut out, CHANNEL);
        keys(&mut out, Protocol::Resp2);
    } else {
        return;
    }
    if target.id == SERVED.get() {
        // The reply that ends its wait comes first.
        target.push_behind_reply(&out);
    } else {
        target.push_invalidation(&out);
    }
}

impl Server {
    /// Turns tracking on, or changes its options. Those of broadcast mode add prefixes.
    pub fn start_tracking(&self, handle: &Arc<Handle>, wanted: Tracking) {
        // The locks of the table are never taken while a client's is held.
        let mut prefixes = std::mem::take(&mut handle.tracking.lock().prefixes);
        if wanted.bcast {
            let mut table = self.tracking.prefixes.write();
            for prefix in &wanted.prefixes {
                if prefixes.insert(prefix.clone()) {
                    let state = table.entry(prefix.clone()).or_default();
                    state.lock().clients.push(handle.clone());
                }
            }
        }
        let mut mode = handle.tracking.lock();
        if !mode.on {
            self.tracking.clients.fetch_add(1, Relaxed);
        }
        *mode = Tracking {
            on: true,
            prefixes,
            ..wanted
        };
        handle.tracks.store(true, Relaxed);
        drop(mode);
        self.engine.settings.tracking.store(true, Relaxed);
    }

    /// Turns tracking off. Keys remembered for the client are forgotten with their next change.
    pub fn stop_tracking(&self, handle: &Arc<Handle>) {
        let mode = std::mem::take(&mut *handle.tracking.lock());
        handle.tracks.store(false, Relaxed);
        if !mode.on {
            return;
        }
        if !mode.prefixes.is_empty() {
            let mut table = self.tracking.prefixes.write();
            for prefix in &mode.prefixes {
                if let Some(state) = table.get(prefix) {
                    let mut state = state.lock();
                    state.clients.retain(|other| other.id != handle.id);
                    let empty = state.clients.is_empty();
                    drop(state);
                    if empty {
                        table.remove(prefix);
                    }
                }
            }
        }
        if self.tracking.clients.fetch_sub(1, Relaxed) == 1 {
            self.engine.settings.tracking.store(false, Relaxed);
            // A client may have begun in between.
            if self.tracking.clients.load(Relaxed) > 0 {
                self.engine.settings.tracking.store(true, Relaxed);
            }
            self.tracking.forget_idle();
        }
    }
}
