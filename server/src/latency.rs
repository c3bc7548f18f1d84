//! The latency monitor: spikes of at least `latency-monitor-threshold` ms, by event.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;

use crate::server::Server;

/// Spikes kept per event.
const SAMPLES: usize = 160;

/// Spikes of one event.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// `(Unix seconds, milliseconds)`, oldest first; the worst of each second.
    pub samples: VecDeque<(i64, u64)>,
    /// Worst spike ever, milliseconds.
    pub max: u64,
}

impl Server {
    /// Keeps a spike, if it is one by `latency-monitor-threshold`.
    pub fn note_latency(&self, event: &str, took: Duration, now_ms: i64) {
        let threshold_ms = self.hot.latency_ms.load(Relaxed);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if threshold_ms > 0 && i64::try_from(took_ms).unwrap_or(i64::MAX) >= threshold_ms {
            self.latency.add(event, now_ms / 1000, took_ms);
        }
    }
}

/// All events.
#[derive(Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<String, Event>>,
}

impl LatencyMonitor {
    /// Adds a spike.
    pub fn add(&self, event: &str, time: i64, ms: u64) {
        let mut events = self.events.lock();
        let event = events.entry(event.to_string()).or_default();
        event.max = event.max.max(ms);
        match event.samples.back_mut() {
            Some((last, worst)) if *last == time => *worst = (*worst).max(ms),
            _ => {
                if event.samples.len() == SAMPLES {
                    event.samples.pop_front();
                }
                event.samples.push_back((time, ms));
            }
        }
    }

    /// A copy of all events.
    pub fn all(&self) -> BTreeMap<String, Event> {
        self.events.lock().clone()
    }

    /// A copy of one event.
    pub fn get(&self, event: &str) -> Option<Event> {
        self.events.lock().get(event).cloned()
    }

    /// Forgets an event; whether it was there.
    pub fn reset(&self, event: &str) -> bool {
        self.events.lock().remove(event).is_some()
    }

    /// Forgets all; how many there were.
    pub fn reset_all(&self) -> usize {
        std::mem::take(&mut *self.events.lock()).len()
    }
}
