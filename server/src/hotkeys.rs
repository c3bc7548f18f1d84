//! Which keys cost the most: a session of HOTKEYS counts what commands took, in time and in bytes,
//! and attributes it to their keys.
//!
//! A session has room for a bounded number of keys. When it is full, a new key takes the place of
//! the one with the smallest count and goes on from there (the "space-saving" summary): keys that
//! are hot stay, and what is told of a key is never more than was measured for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use basalt_engine::command::Command;
use basalt_engine::env;
use parking_lot::Mutex;

use crate::server::unix_ms;

/// Keys that a session remembers for each that it reports.
const ROOM: usize = 100;
/// Bytes of names that a summary keeps at most; a longer name is not counted.
const NAME_BYTES: usize = 16 << 20;

/// What a session was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Processor time.
    pub cpu: bool,
    /// Bytes of requests and replies.
    pub net: bool,
    /// How many keys are reported.
    pub count: usize,
    /// After how many seconds it ends by itself.
    pub duration_s: Option<i64>,
    /// One of so many commands is attributed to its keys.
    pub sample: usize,
}

/// The keys with the largest counts.
#[derive(Default)]
struct Summary {
    slots: Vec<Slot>,
    by_key: HashMap<Arc<[u8]>, usize>,
    /// Counts with the slots they stand in, the smallest first.
    order: BTreeSet<(u64, usize)>,
    bytes: usize,
}

struct Slot {
    key: Arc<[u8]>,
    count: u64,
    /// What the count may be too high by: it was another key's.
    error: u64,
}

impl Summary {
    fn add(&mut self, key: &[u8], amount: u64, room: usize) {
        if let Some(&at) = self.by_key.get(key) {
            let slot = &mut self.slots[at];
            self.order.remove(&(slot.count, at));
            slot.count = slot.count.saturating_add(amount);
            self.order.insert((slot.count, at));
            return;
        }
        if key.len() > NAME_BYTES {
            return;
        }
        let name: Arc<[u8]> = Arc::from(key);
        if self.slots.len() < room && self.bytes + key.len() <= NAME_BYTES {
            let at = self.slots.len();
            self.order.insert((amount, at));
            self.by_key.insert(Arc::clone(&name), at);
            self.bytes += key.len();
            self.slots.push(Slot {
                key: name,
                count: amount,
                error: 0,
            });
            return;
        }
        // Long names may leave room for few: then those that do not fit are not remembered.
        let Some((least, at)) = self.order.first().copied() else {
            return;
        };
        let slot = &mut self.slots[at];
        if self.bytes - slot.key.len() + key.len() > NAME_BYTES {
            return;
        }
        self.order.pop_first();
        self.bytes = self.bytes - slot.key.len() + key.len();
        self.by_key.remove(&slot.key);
        self.by_key.insert(Arc::clone(&name), at);
        *slot = Slot {
            key: name,
            count: least.saturating_add(amount),
            error: least,
        };
        self.order.insert((slot.count, at));
    }

    /// The keys with the largest amounts and these, the largest first.
    fn top(&self, count: usize) -> Vec<(Vec<u8>, u64)> {
        let known = |slot: &Slot| (slot.key.to_vec(), slot.count - slot.error);
        let mut all: Vec<_> = self.slots.iter().map(known).collect();
        all.retain(|(_, amount)| *amount > 0);
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(count);
        all
    }
}

struct Session {
    wanted: Wanted,
    began_ms: i64,
    /// When it was stopped or came to its end.
    ended_ms: Option<i64>,
    /// Time of the process in system and user mode when it began.
    cpu_at_start: [Duration; 2],
    cpu_at_end: [Duration; 2],
    nanos: u64,
    bytes: u64,
    by_nanos: Summary,
    by_bytes: Summary,
}

/// What a session found.
pub struct Report {
    /// What it was asked for.
    pub wanted: Wanted,
    /// It goes on.
    pub active: bool,
    /// When it began, Unix milliseconds.
    pub began_ms: i64,
    /// How long it has lasted, or lasted.
    pub duration_ms: i64,
    /// Time of the process in system and user mode.
    pub cpu: [Duration; 2],
    /// Microseconds of all commands with keys.
    pub micros: u64,
    /// Bytes of all commands with keys.
    pub bytes: u64,
    /// Keys with their microseconds.
    pub by_micros: Vec<(Vec<u8>, u64)>,
    /// Keys with their bytes.
    pub by_bytes: Vec<(Vec<u8>, u64)>,
}

/// The session of the server, if there is one.
#[derive(Default)]
pub struct HotKeys {
    /// A session counts.
    active: AtomicBool,
    session: Mutex<Option<Session>>,
}

impl Session {
    fn is_over(&self, now_ms: i64) -> bool {
        let due = |seconds: i64| self.began_ms.saturating_add(seconds.saturating_mul(1000));
        self.ended_ms.is_some() || self.wanted.duration_s.is_some_and(|s| due(s) <= now_ms)
    }

    fn end(&mut self, cpu: [Duration; 2], now_ms: i64) {
        if self.ended_ms.is_none() {
            let due = |seconds: i64| self.began_ms.saturating_add(seconds.saturating_mul(1000));
            self.ended_ms = Some(self.wanted.duration_s.map_or(now_ms, due).min(now_ms));
            self.cpu_at_end = cpu;
        }
    }
}

impl HotKeys {
    /// Whether commands are to be told of.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// Ends a session whose time is over.
    fn look(&self, session: &mut Session, cpu: impl Fn() -> [Duration; 2], now_ms: i64) {
        if self.is_active() && session.is_over(now_ms) {
            session.end(cpu(), now_ms);
            self.active.store(false, Relaxed);
        }
    }

    /// Begins a session; false if one is under way. `cpu` tells the process's time.
    pub fn start(&self, wanted: Wanted, cpu: impl Fn() -> [Duration; 2]) -> bool {
        let now_ms = unix_ms();
        let mut place = self.session.lock();
        if let Some(session) = &mut *place {
            self.look(session, &cpu, now_ms);
        }
        if self.is_active() {
            return false;
        }
        *place = Some(Session {
            wanted,
            began_ms: now_ms,
            ended_ms: None,
            cpu_at_start: cpu(),
            cpu_at_end: Default::default(),
            nanos: 0,
            bytes: 0,
            by_nanos: Summary::default(),
            by_bytes: Summary::default(),
        });
        self.active.store(true, Relaxed);
        true
    }

    /// Ends the session; false if none is under way.
    pub fn stop(&self, cpu: impl Fn() -> [Duration; 2]) -> bool {
        let mut place = self.session.lock();
        let Some(session) = &mut *place else {
            return false;
        };
        self.look(session, &cpu, unix_ms());
        let active = self.active.swap(false, Relaxed);
        if active {
            session.end(cpu(), unix_ms());
        }
        active
    }

    /// Forgets a session that has ended; false if it is under way.
    pub fn reset(&self, cpu: impl Fn() -> [Duration; 2]) -> bool {
        let mut place = self.session.lock();
        if let Some(session) = &mut *place {
            self.look(session, cpu, unix_ms());
        }
        if !self.is_active() {
            *place = None;
        }
        place.is_none()
    }

    /// What the session found so far.
    pub fn report(&self, cpu: impl Fn() -> [Duration; 2]) -> Option<Report> {
        let now_ms = unix_ms();
        let mut place = self.session.lock();
        let session = place.as_mut()?;
        self.look(session, &cpu, now_ms);
        let active = self.is_active();
        let until = if active { cpu() } else { session.cpu_at_end };
        let [system, user] = session.cpu_at_start;
        let wanted = session.wanted;
        let in_micros = |(key, nanos): (Vec<u8>, u64)| (key, nanos / 1000);
        let by_micros = session.by_nanos.top(wanted.count);
        Some(Report {
            wanted,
            active,
            began_ms: session.began_ms,
            duration_ms: (session.ended_ms.unwrap_or(now_ms) - session.began_ms).max(0),
            cpu: [
                until[0].saturating_sub(system),
                until[1].saturating_sub(user),
            ],
            micros: session.nanos / 1000,
            bytes: session.bytes,
            by_micros: by_micros
                .into_iter()
                .map(in_micros)
                .filter(|(_, micros)| *micros > 0)
                .collect(),
            by_bytes: session.by_bytes.top(wanted.count),
        })
    }

    /// Counts a command that took so long and so many bytes; each of its keys gets its part.
    pub fn count(&self, command: &Command, args: &[&[u8]], nanos: u64, bytes: u64) {
        let keys = command.keys(args).unwrap_or_default();
        let mut place = self.session.lock();
        let Some(session) = place.as_mut().filter(|_| self.is_active()) else {
            return;
        };
        let parts = keys.len() as u64;
        if parts == 0 || session.is_over(unix_ms()) {
            return;
        }
        session.nanos = session.nanos.saturating_add(nanos);
        session.bytes = session.bytes.saturating_add(bytes);
        let wanted = session.wanted;
        if wanted.sample > 1 && env::random_below(wanted.sample) != 0 {
            return;
        }
        let room = wanted.count.saturating_mul(ROOM);
        for key in keys.iter().filter_map(|(at, _)| args.get(*at)) {
            if wanted.cpu {
                session.by_nanos.add(key, nanos / parts, room);
            }
            if wanted.net {
                session.by_bytes.add(key, bytes / parts, room);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_keys_are_found_among_many() {
        let mut summary = Summary::default();
        let mut measured: HashMap<String, u64> = HashMap::new();
        for i in 0..200_000_u64 {
            // Ten keys get half of all, the rest is spread over 50,000.
            let key = match i % 2 {
                0 => format!("hot:{}", i / 2 % 10),
                _ => format!("cold:{}", i * 7919 % 50_000),
            };
            let amount = 1 + i % 7;
            *measured.entry(key.clone()).or_default() += amount;
            summary.add(key.as_bytes(), amount, 1000);
        }
        assert_eq!(summary.slots.len(), 1000);
        let top = summary.top(10);
        assert_eq!(top.len(), 10);
        for (key, amount) in &top {
            let key = String::from_utf8(key.clone()).expect("text");
            assert!(key.starts_with("hot:"), "{key} is not hot");
            assert!(
                *amount <= measured[&key],
                "{key} has more than was measured"
            );
            assert!(*amount > measured[&key] * 9 / 10, "{key} has lost too much");
        }
        let bytes: usize = summary.slots.iter().map(|slot| slot.key.len()).sum();
        assert_eq!(bytes, summary.bytes);
        assert_eq!(summary.order.len(), summary.by_key.len());
    }

    #[test]
    fn long_names_do_not_take_more_room_than_there_is() {
        let mut summary = Summary::default();
        for n in 0..40_u8 {
            summary.add(&vec![n; 1 << 20], 1, 1000);
            summary.add(&[n], 5, 1000);
        }
        summary.add(&vec![0; NAME_BYTES + 1], 100, 1000);
        assert!(summary.bytes <= NAME_BYTES);
        let bytes: usize = summary.slots.iter().map(|slot| slot.key.len()).sum();
        assert_eq!(bytes, summary.bytes);
        assert!(
            summary
                .top(3)
                .iter()
                .all(|(key, amount)| key.len() == 1 && *amount == 5)
        );
    }
}
