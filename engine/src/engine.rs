//! [`Engine`]: the shards, the settings, the sinks, and the way a command runs.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::command::Registry;
use crate::keyspace::blocked::Blocked;
use crate::keyspace::held::Held;
use crate::keyspace::notify::{EventSink, NoEvents};
use crate::keyspace::shard::{SLOTS_PER_SHARD, ShardStats, Shards, SlotTable};
use crate::lazy::LazyFree;
use crate::log::Log;
use crate::snapshot::Room;
use crate::value::serial::Limits;
use crate::value::{HashLimits, ListLimits, SetLimits, StreamLimits, Value, ZsetLimits};

/// Settings that commands read, each changed on its own at any time. Names are those of the
/// directives.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is the directive of the same name")]
pub struct Settings {
    pub list_max_listpack_size: AtomicI64,
    pub list_compress_depth: AtomicI64,
    pub hash_max_listpack_entries: AtomicU64,
    pub hash_max_listpack_value: AtomicU64,
    pub set_max_intset_entries: AtomicU64,
    pub set_max_listpack_entries: AtomicU64,
    pub set_max_listpack_value: AtomicU64,
    pub zset_max_listpack_entries: AtomicU64,
    pub zset_max_listpack_value: AtomicU64,
    pub stream_node_max_bytes: AtomicU64,
    pub stream_node_max_entries: AtomicU64,
    pub hll_sparse_max_bytes: AtomicU64,
    pub proto_max_bulk_len: AtomicU64,
    /// `notify-keyspace-events` as class bits.
    pub notify_flags: AtomicU32,
    /// The eviction policy is one of the LFU policies.
    pub lfu: AtomicBool,
    /// `OBJECT REFCOUNT` says that small integers are shared: there is no limit on memory whose
    /// policy needs an access field of each key.
    pub integers_shared: AtomicBool,
    pub lfu_log_factor: AtomicU32,
    pub lfu_decay_time: AtomicU32,
    /// Some client uses client-side caching.
    pub tracking: AtomicBool,
    /// Active expiry runs (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expire: AtomicBool,
    /// Keys past their time are hidden from reads but not removed (`CLIENT PAUSE`).
    pub keep_expired: AtomicBool,
    /// Elements larger than this get a list node of their own (`DEBUG QUICKLIST-PACKED-THRESHOLD`).
    pub quicklist_packed_threshold: AtomicU64,
    pub lazyfree_lazy_user_del: AtomicBool,
    pub lazyfree_lazy_server_del: AtomicBool,
    pub rdb_compression: AtomicBool,
    /// Checksums of payloads are not looked at (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
    pub skip_checksums: AtomicBool,
    pub lazyfree_lazy_user_flush: AtomicBool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            list_max_listpack_size: AtomicI64::new(-2),
            list_compress_depth: AtomicI64::new(0),
            hash_max_listpack_entries: AtomicU64::new(512),
            hash_max_listpack_value: AtomicU64::new(64),
            set_max_intset_entries: AtomicU64::new(512),
            set_max_listpack_entries: AtomicU64::new(128),
            set_max_listpack_value: AtomicU64::new(64),
            zset_max_listpack_entries: AtomicU64::new(128),
            zset_max_listpack_value: AtomicU64::new(64),
            stream_node_max_bytes: AtomicU64::new(4096),
            stream_node_max_entries: AtomicU64::new(100),
            hll_sparse_max_bytes: AtomicU64::new(3000),
            proto_max_bulk_len: AtomicU64::new(512 * 1024 * 1024),
            notify_flags: AtomicU32::new(0),
            lfu: AtomicBool::new(false),
            integers_shared: AtomicBool::new(true),
            lfu_log_factor: AtomicU32::new(10),
            lfu_decay_time: AtomicU32::new(1),
            tracking: AtomicBool::new(false),
            active_expire: AtomicBool::new(true),
            keep_expired: AtomicBool::new(false),
            quicklist_packed_threshold: AtomicU64::new(1 << 30),
            lazyfree_lazy_user_del: AtomicBool::new(false),
            lazyfree_lazy_server_del: AtomicBool::new(false),
            rdb_compression: AtomicBool::new(true),
            skip_checksums: AtomicBool::new(false),
            lazyfree_lazy_user_flush: AtomicBool::new(false),
        }
    }
}

fn size(setting: &AtomicU64) -> usize {
    usize::try_from(setting.load(Relaxed)).unwrap_or(usize::MAX)
}

impl Settings {
    /// When hashes leave the listpack encoding.
    pub fn hash_limits(&self) -> HashLimits {
        HashLimits {
            max_listpack_entries: size(&self.hash_max_listpack_entries),
            max_listpack_value: size(&self.hash_max_listpack_value),
        }
    }
    /// When sets leave the intset and listpack encodings.
    pub fn set_limits(&self) -> SetLimits {
        SetLimits {
            max_intset_entries: size(&self.set_max_intset_entries),
            max_listpack_entries: size(&self.set_max_listpack_entries),
            max_listpack_value: size(&self.set_max_listpack_value),
        }
    }
    /// When sorted sets leave the listpack encoding.
    pub fn zset_limits(&self) -> ZsetLimits {
        ZsetLimits {
            max_listpack_entries: size(&self.zset_max_listpack_entries),
            max_listpack_value: size(&self.zset_max_listpack_value),
        }
    }
    /// Node sizes of lists.
    pub fn list_limits(&self) -> ListLimits {
        ListLimits {
            max_listpack_size: self.list_max_listpack_size.load(Relaxed) as i32,
            compress_depth: self.list_compress_depth.load(Relaxed) as i32,
            packed_threshold: size(&self.quicklist_packed_threshold),
        }
    }
    /// When nodes of streams are full.
    pub fn stream_limits(&self) -> StreamLimits {
        StreamLimits {
            node_max_bytes: size(&self.stream_node_max_bytes),
            node_max_entries: self.stream_node_max_entries.load(Relaxed),
        }
    }
    /// Longest sparse HyperLogLog.
    pub fn hll_sparse_max(&self) -> usize {
        size(&self.hll_sparse_max_bytes)
    }
    /// All limits that decide on encodings.
    pub fn limits(&self) -> Limits {
        Limits {
            list: self.list_limits(),
            set: self.set_limits(),
            hash: self.hash_limits(),
            zset: self.zset_limits(),
        }
    }
    /// Longest string a command may make.
    pub fn max_string(&self) -> usize {
        size(&self.proto_max_bulk_len)
    }
}

/// What runs commands on behalf of somebody: the server's connection, or nothing.
pub trait Host {
    /// For handlers of the host's own commands.
    fn as_any(&mut self) -> &mut dyn Any;
    /// Called before a queued command runs inside EXEC; may refuse it.
    ///
    /// # Errors
    /// The reply to give in place of the command's.
    fn before_queued(
        &mut self,
        _command: &'static crate::command::Command,
        _args: &[&[u8]],
    ) -> Result<(), crate::ReplyError> {
        Ok(())
    }
    /// Called after a queued command ran inside EXEC.
    fn after_queued(
        &mut self,
        _command: &'static crate::command::Command,
        _args: &[&[u8]],
        _failed: Option<&crate::ReplyError>,
    ) {
    }
    /// Called after a command that reads keys ran, with their shards still locked. Only called
    /// while `Settings::tracking` is on.
    fn after_read(&mut self, _command: &'static crate::command::Command, _args: &[&[u8]]) {}
    /// A script begins or ends to run for this caller: what runs meanwhile is the script's.
    fn script_runs(&mut self, _runs: bool) {}
    /// Whether the caller may have a script run a command.
    ///
    /// # Errors
    /// Why not.
    fn script_permits(
        &mut self,
        _command: &'static crate::command::Command,
        _args: &[&[u8]],
    ) -> Result<(), crate::ReplyError> {
        Ok(())
    }
    /// Whether the caller may run a command at all, as a script asks.
    fn may_run(&mut self, _command: &'static crate::command::Command, _args: &[&[u8]]) -> bool {
        true
    }
    /// Whether the caller may run a command that reads whatever keys it comes to.
    fn may_read_all(
        &mut self,
        _command: &'static crate::command::Command,
        _args: &[&[u8]],
    ) -> bool {
        true
    }
    /// Whether a script that has not written yet may run a command now: there may be no memory
    /// left for it, unless the script says that it runs anyhow, or no disk.
    ///
    /// # Errors
    /// Why not.
    fn script_can(
        &mut self,
        _command: &'static crate::command::Command,
        _allow_oom: bool,
    ) -> Result<(), crate::ReplyError> {
        Ok(())
    }
    /// Whether a script may run that says it writes.
    ///
    /// # Errors
    /// Why not.
    fn script_may_write(&mut self) -> Result<(), crate::ReplyError> {
        Ok(())
    }
    /// Whether a script may run that says it makes values longer.
    ///
    /// # Errors
    /// Why not.
    fn script_may_grow(&mut self) -> Result<(), crate::ReplyError> {
        Ok(())
    }
    /// A script's command was not run.
    fn script_refused(
        &mut self,
        _command: Option<&'static crate::command::Command>,
        _error: &crate::ReplyError,
    ) {
    }
    /// A command that runs a script replied with an error that `script_refused` or `after_queued`
    /// was told of, or with one that is told here, somewhere in its reply.
    fn script_failed(
        &mut self,
        _command: &'static crate::command::Command,
        _error: Option<&crate::ReplyError>,
    ) {
    }
    /// Called now and then while a slow script runs: the caller may let others have their turn.
    fn script_is_slow(&mut self) {}
    /// Wakes this caller when a blocked command was served; `None` when it cannot wait.
    fn waker(&self) -> Option<Arc<dyn crate::keyspace::blocked::Wake>> {
        None
    }
}

/// A caller with no connection: commands that would block answer at once.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoHost;

impl Host for NoHost {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Every shard of an engine, locked.
pub struct Frozen<'e> {
    _held: Held<'e>,
}

impl std::fmt::Debug for Frozen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frozen").finish_non_exhaustive()
    }
}

/// A data engine: any number of threads may run commands on it at the same time.
pub struct Engine {
    pub(crate) shards: Shards,
    /// Settings that commands read.
    pub settings: Settings,
    /// Clients blocked on keys.
    pub blocked: Blocked,
    /// Receives keyspace events.
    pub events: Box<dyn EventSink>,
    /// The one stream of effects.
    pub log: Log,
    /// What snapshots under way may cost.
    pub snapshot_room: Arc<Room>,
    /// Scripts and functions.
    pub scripts: crate::script::Scripts,
    /// The command table.
    pub registry: &'static Registry,
    lazy: LazyFree,
    databases: usize,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("databases", &self.databases)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An empty engine with the data commands only, for use inside a program.
    pub fn new(databases: usize) -> Engine {
        Engine::with(
            databases,
            Registry::build(crate::command::DATA_GROUPS, &[]),
            Box::new(NoEvents),
        )
    }

    /// An empty engine with a host's command table and event sink.
    pub fn with(
        databases: usize,
        registry: &'static Registry,
        events: Box<dyn EventSink>,
    ) -> Engine {
        Engine {
            shards: Shards::new(databases),
            settings: Settings::default(),
            blocked: Blocked::default(),
            events,
            log: Log::default(),
            snapshot_room: Arc::default(),
            scripts: Default::default(),
            registry,
            lazy: LazyFree::start(),
            databases,
        }
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.databases
    }

    /// Number of keys of a database. O(shards), takes no lock.
    pub fn key_count(&self, db: usize) -> usize {
        self.shards
            .iter()
            .filter_map(|cell| cell.counts.get(db))
            .map(|counts| counts.keys())
            .sum()
    }

    /// Number of keys of a database that have an expiry. O(shards), takes no lock.
    pub fn volatile_count(&self, db: usize) -> usize {
        self.shards
            .iter()
            .filter_map(|cell| cell.counts.get(db))
            .map(|counts| counts.volatile())
            .sum()
    }

    /// Number of hashes of a database with fields that expire. O(shards), takes no lock.
    pub fn lasting_count(&self, db: usize) -> usize {
        self.shards
            .iter()
            .filter_map(|cell| cell.counts.get(db))
            .map(|counts| counts.lasting())
            .sum()
    }

    /// Sums of the shards' counters. O(shards), takes no lock.
    pub fn stats(&self) -> ShardStats {
        let mut sum = ShardStats::default();
        for cell in self.shards.iter() {
            let stats = cell.counters.read();
            sum.hits += stats.hits;
            sum.misses += stats.misses;
            sum.expired += stats.expired;
            sum.expired_fields += stats.expired_fields;
            sum.dirty += stats.dirty;
        }
        sum
    }

    /// Sets the shards' counters to zero, except for that of changes. Call it with every shard
    /// locked, or increments of that moment may undo it.
    pub fn reset_stats(&self) {
        self.shards.iter().for_each(|cell| cell.counters.reset());
    }

    /// Bytes of the tables of a database themselves, without what is in them. O(shards), takes
    /// no lock.
    pub fn table_bytes(&self, db: usize) -> usize {
        let used = self
            .shards
            .iter()
            .filter_map(|cell| cell.counts.get(db))
            .filter(|counts| counts.keys() > 0);
        used.count() * SLOTS_PER_SHARD * size_of::<SlotTable>()
    }

    /// Locks every shard: nothing is read or changed until the guard is dropped. The caller
    /// holds no shard.
    pub fn freeze(&self) -> Frozen<'_> {
        Frozen {
            _held: Held::all(&self.shards),
        }
    }

    /// Frees a value, in the background if it is big.
    pub(crate) fn lazy_free(&self, value: Value) {
        self.lazy.free(value);
    }

    /// The background freeing of big values.
    pub fn lazy(&self) -> &LazyFree {
        &self.lazy
    }
}
