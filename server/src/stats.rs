//! Counters. Each worker thread counts in its own [`WorkerStats`], written by it alone with
//! plain relaxed stores; INFO adds them up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};

use crate::histogram::Histogram;

/// Counters of one command on one worker.
#[derive(Default, Debug)]
pub struct CommandStat {
    /// Times it ran.
    pub calls: AtomicU64,
    /// Nanoseconds it took in all.
    pub nanos: AtomicU64,
    /// Times it was refused before it ran.
    pub rejected: AtomicU64,
    /// Times it ran and failed.
    pub failed: AtomicU64,
    /// Distribution of its durations, made on first use.
    pub latency: Mutex<Option<Box<Histogram>>>,
}

/// Counters of one worker thread.
#[derive(Debug)]
pub struct WorkerStats {
    /// By `Command::id`.
    pub commands: Box<[CommandStat]>,
    /// Requests processed.
    pub processed: AtomicU64,
    /// Bytes received.
    pub net_in: AtomicU64,
    /// Bytes sent.
    pub net_out: AtomicU64,
    /// Reads from sockets.
    pub reads: AtomicU64,
    /// Writes to sockets.
    pub writes: AtomicU64,
    /// Batches of requests, each from one turn of a connection's task.
    pub cycles: AtomicU64,
    /// Nanoseconds spent in them.
    pub busy_nanos: AtomicU64,
    /// The longest of them, in nanoseconds.
    pub longest_cycle_nanos: AtomicU64,
    /// The most commands in one of them.
    pub most_commands: AtomicU64,
}

/// Adds to a counter that only this thread writes.
#[inline]
pub fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

impl WorkerStats {
    /// Zeroed counters for a table of `commands` commands.
    pub fn new(commands: usize) -> WorkerStats {
        WorkerStats {
            commands: (0..commands).map(|_| CommandStat::default()).collect(),
            processed: AtomicU64::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            cycles: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
            longest_cycle_nanos: AtomicU64::new(0),
            most_commands: AtomicU64::new(0),
        }
    }

    /// Counts a batch of requests.
    pub fn cycle(&self, nanos: u64, commands: u64) {
        bump(&self.cycles, 1);
        bump(&self.busy_nanos, nanos);
        if nanos > self.longest_cycle_nanos.load(Relaxed) {
            self.longest_cycle_nanos.store(nanos, Relaxed);
        }
        if commands > self.most_commands.load(Relaxed) {
            self.most_commands.store(commands, Relaxed);
        }
    }
}

/// What the `instantaneous_*` fields are made from: commands, bytes in, bytes out, batches,
/// microseconds spent in them.
pub type Totals = [u64; 5];

/// One second of history for the `instantaneous_*` fields.
#[derive(Default, Debug)]
pub struct Rates {
    samples: [Totals; 16],
    at: usize,
    last: Totals,
    last_ms: i64,
}

impl Rates {
    /// Takes a sample of the running totals; called about ten times a second.
    pub fn sample(&mut self, now_ms: i64, totals: Totals) {
        let elapsed = u64::try_from(now_ms - self.last_ms).unwrap_or(0).max(1);
        if self.last_ms != 0 {
            self.samples[self.at] = std::array::from_fn(|i| {
                totals[i].saturating_sub(self.last[i]).saturating_mul(1000) / elapsed
            });
            self.at = (self.at + 1) % self.samples.len();
        }
        self.last = totals;
        self.last_ms = now_ms;
    }

    /// Averages per second.
    pub fn per_second(&self) -> Totals {
        std::array::from_fn(|i| {
            self.samples.iter().map(|s| s[i]).sum::<u64>() / self.samples.len() as u64
        })
    }
}

/// Largest input and output buffer of a client in each of the last seconds.
#[derive(Default, Debug)]
pub struct BufferPeaks {
    seconds: [(i64, [u64; 2]); 8],
}

impl BufferPeaks {
    /// Notes the largest buffers of this moment: input, output.
    pub fn sample(&mut self, now_ms: i64, largest: [u64; 2]) {
        let second = now_ms / 1000;
        let slot = usize::try_from(second.rem_euclid(8)).unwrap_or(0);
        let (at, peaks) = &mut self.seconds[slot];
        if *at != second {
            (*at, *peaks) = (second, [0; 2]);
        }
        peaks[0] = peaks[0].max(largest[0]);
        peaks[1] = peaks[1].max(largest[1]);
    }

    /// The largest of the last seconds: input, output.
    pub fn recent(&self, now_ms: i64) -> [u64; 2] {
        let oldest = now_ms / 1000 - 8;
        let recent = self.seconds.iter().filter(|(at, _)| *at > oldest);
        recent.fold([0; 2], |max, (_, peaks)| {
            [max[0].max(peaks[0]), max[1].max(peaks[1])]
        })
    }
}

/// Counters of the process.
#[derive(Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections_received: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub rejected_connections: AtomicU64,
    /// Clients closed because of their query buffer.
    pub query_buffer_disconnections: AtomicU64,
    /// Clients closed because of their output buffer.
    pub output_buffer_disconnections: AtomicU64,
    /// Error replies.
    pub error_replies: AtomicU64,
    /// Failed AUTHs.
    pub acl_denied_auth: AtomicU64,
    /// Commands that users may not run.
    pub acl_denied_cmd: AtomicU64,
    /// Keys that they may not use.
    pub acl_denied_key: AtomicU64,
    /// Channels that they may not use.
    pub acl_denied_channel: AtomicU64,
    /// Keys removed by eviction.
    pub evicted_keys: AtomicU64,
    /// Microseconds during which eviction was not done in its time.
    pub eviction_exceeded_us: AtomicU64,
    /// Replies cut because of too many error types.
    pub errors_disabled: std::sync::atomic::AtomicBool,
    /// Largest client buffers of the last seconds.
    pub buffers: Mutex<BufferPeaks>,
    /// Runs of the periodic work.
    pub cron_ticks: AtomicU64,
    /// Microseconds spent in it.
    pub cron_us: AtomicU64,
    /// Microseconds spent in active expiry.
    pub expire_cycle_us: AtomicI64,
    /// Rates of the last seconds.
    pub rates: Mutex<Rates>,
    /// Error replies by code.
    pub errors: Mutex<BTreeMap<String, u64>>,
    workers: RwLock<Vec<Arc<WorkerStats>>>,
}

/// Distinct error codes kept; beyond it the table is replaced by a note, as in Redis.
const MAX_ERROR_CODES: usize = 128;

impl Stats {
    /// Counts of a new worker thread.
    pub fn add_worker(&self, commands: usize) -> Arc<WorkerStats> {
        let stats = Arc::new(WorkerStats::new(commands));
        self.workers.write().push(stats.clone());
        stats
    }

    /// Sum of a counter over the workers.
    pub fn sum(&self, counter: impl Fn(&WorkerStats) -> &AtomicU64) -> u64 {
        self.workers
            .read()
            .iter()
            .map(|worker| counter(worker).load(Relaxed))
            .sum()
    }

    /// The running totals behind the `instantaneous_*` fields.
    pub fn totals(&self) -> Totals {
        let cron = |counter: &AtomicU64| counter.load(Relaxed);
        [
            self.sum(|worker| &worker.processed),
            self.sum(|worker| &worker.net_in),
            self.sum(|worker| &worker.net_out),
            self.sum(|worker| &worker.cycles) + cron(&self.cron_ticks),
            self.sum(|worker| &worker.busy_nanos) / 1000 + cron(&self.cron_us),
        ]
    }

    /// Durations of a command on all workers, if it ever ran.
    pub fn histogram(&self, command: usize) -> Option<Histogram> {
        let mut sum: Option<Histogram> = None;
        self.each_worker(|worker| {
            let Some(stat) = worker.commands.get(command) else {
                return;
            };
            if let Some(histogram) = &*stat.latency.lock() {
                sum.get_or_insert_with(Histogram::default).merge(histogram);
            }
        });
        sum
    }

    /// Runs `visit` on each worker's counters.
    pub fn each_worker(&self, visit: impl FnMut(&Arc<WorkerStats>)) {
        self.workers.read().iter().for_each(visit);
    }

    /// Counts an error reply under its code.
    pub fn count_error(&self, code: &str) {
        self.error_replies.fetch_add(1, Relaxed);
        if self.errors_disabled.load(Relaxed) {
            return;
        }
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() >= MAX_ERROR_CODES {
            errors.clear();
            errors.insert("ERRORSTATS_DISABLED".into(), 1);
            self.errors_disabled.store(true, Relaxed);
        } else {
            errors.insert(code.to_string(), 1);
        }
    }

    /// CONFIG RESETSTAT: everything back to zero.
    pub fn reset(&self) {
        for counter in [
            &self.connections_received,
            &self.rejected_connections,
            &self.query_buffer_disconnections,
            &self.output_buffer_disconnections,
            &self.error_replies,
            &self.acl_denied_auth,
            &self.acl_denied_cmd,
            &self.acl_denied_key,
            &self.acl_denied_channel,
            &self.evicted_keys,
            &self.eviction_exceeded_us,
        ] {
            counter.store(0, Relaxed);
        }
        self.expire_cycle_us.store(0, Relaxed);
        self.cron_ticks.store(0, Relaxed);
        self.cron_us.store(0, Relaxed);
        self.errors_disabled.store(false, Relaxed);
        self.errors.lock().clear();
        *self.rates.lock() = Rates::default();
        self.each_worker(|worker| {
            for counter in [
                &worker.processed,
                &worker.net_in,
                &worker.net_out,
                &worker.reads,
                &worker.writes,
                &worker.cycles,
                &worker.busy_nanos,
                &worker.longest_cycle_nanos,
                &worker.most_commands,
            ] {
                counter.store(0, Relaxed);
            }
            for stat in &worker.commands {
                for counter in [&stat.calls, &stat.nanos, &stat.rejected, &stat.failed] {
                    counter.store(0, Relaxed);
                }
                *stat.latency.lock() = None;
            }
        });
    }
}
