//! What the engine knows of one caller: selected database, protocol version,
//! open transaction and watched keys. The server adds the connection around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::command::Command;
use crate::keyspace::Place;

/// The words of a request, owned: for queued and blocked commands. One buffer
/// and the end offset of each word.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl OwnedArgs {
    /// Copies the words.
    pub fn new(args: &[&[u8]]) -> OwnedArgs {
        let mut owned = OwnedArgs {
            bytes: Vec::with_capacity(args.iter().map(|a| a.len()).sum()),
            ends: Vec::with_capacity(args.len()),
        };
        for arg in args {
            owned.bytes.extend_from_slice(arg);
            owned.ends.push(owned.bytes.len());
        }
        owned
    }

    /// Adds a word.
    pub(crate) fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
    }

    /// Takes all words out, keeping the memory if it is not much.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(64 * 1024);
        self.ends.shrink_to(1024);
    }

    /// The words as slices.
    pub fn slices(&self) -> Vec<&[u8]> {
        let mut start = 0;
        self.ends
            .iter()
            .map(|&end| {
                let word = &self.bytes[start..end];
                start = end;
                word
            })
            .collect()
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

/// Raised by the keyspace when a watched key changes.
#[derive(Default, Debug)]
pub struct WatchFlag(AtomicBool);

impl WatchFlag {
    /// Marks the transaction as failed.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }
    /// Whether a watched key changed.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A key under WATCH.
#[derive(Clone, Debug)]
pub struct WatchedKey {
    /// Database of the key.
    pub db: usize,
    /// The key.
    pub key: Box<[u8]>,
}

/// A command waiting for EXEC.
#[derive(Debug)]
pub struct Queued {
    /// Which command.
    pub command: &'static Command,
    /// Its words.
    pub args: OwnedArgs,
}

/// State between MULTI and EXEC.
#[derive(Default, Debug)]
pub struct Transaction {
    /// Commands in order.
    pub queue: Vec<Queued>,
    /// A command could not be queued: EXEC will refuse.
    pub failed: bool,
    /// Heap bytes of the queue.
    pub bytes: usize,
}

/// One caller of the engine.
#[derive(Debug)]
pub struct Session {
    /// Unique id, the client id of the server.
    pub id: u64,
    /// Selected database.
    pub db: usize,
    /// Protocol version, 2 or 3.
    pub resp: u8,
    /// Open transaction.
    pub txn: Option<Transaction>,
    /// Flag that watched keys raise; a fresh one per WATCH generation.
    pub watch: Arc<WatchFlag>,
    /// Keys under WATCH.
    pub watched: Vec<WatchedKey>,
    /// CLIENT NO-TOUCH: reads do not update LRU or LFU.
    pub no_touch: bool,
    /// Commands that would block must answer at once (inside EXEC, scripts).
    pub deny_blocking: bool,
    /// A log is being replayed: no key is past its time, since the log says when each went, and
    /// what a client would be refused for is done as it was then.
    pub replaying: bool,
    /// The key of the coming command and its place, if worked out beforehand; the next command
    /// takes it.
    pub expected: Option<Expected>,
    /// Commit index of the newest effect of this session's commands, 0 if there was none: what
    /// its replies may have to wait for.
    pub log_index: u64,
}

/// The place of a key, known by the key's address.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    at: usize,
    len: usize,
    place: Place,
}

impl Expected {
    /// The key, which stays where it is until its command ran, and its place.
    #[inline]
    pub fn new(key: &[u8], place: Place) -> Expected {
        Expected {
            at: key.as_ptr().addr(),
            len: key.len(),
            place,
        }
    }

    /// The place, if this is the key.
    #[inline]
    pub(crate) fn place_of(self, key: &[u8]) -> Option<Place> {
        (self.at == key.as_ptr().addr() && self.len == key.len()).then_some(self.place)
    }
}

impl Session {
    /// A session on database 0 in RESP2.
    pub fn new(id: u64) -> Session {
        Session {
            id,
            db: 0,
            resp: 2,
            txn: None,
            watch: Arc::default(),
            watched: Vec::new(),
            no_touch: false,
            deny_blocking: false,
            replaying: false,
            expected: None,
            log_index: 0,
        }
    }
}
