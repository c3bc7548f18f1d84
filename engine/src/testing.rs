//! A caller for unit tests: one line in, reply bytes out, with a clock the test moves.

pub mod waiting;

use std::sync::{Arc, Mutex};

use crate::command::{DATA_GROUPS, Registry};
use crate::keyspace::held::Held;
use crate::keyspace::{EventSink, Keyspace, NotifyClass};
use crate::log::LogSink;
use crate::value::zset::AddFlags;
use crate::value::{Value, Zset};
use crate::{Engine, Reply, Session};

/// Lines noted by a sink: events as `event key`, or logged commands; with `db:` in front
/// where the database is not 0.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn add(&self, db: usize, words: &[&[u8]]) {
        let line = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
        let line = if db == 0 {
            line
        } else {
            format!("{db}:{line}")
        };
        self.0.lock().expect("no panic while noting").push(line);
    }

    /// The lines since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic while noting"))
    }
}

impl EventSink for Lines {
    fn keyspace_event(&self, db: usize, _: NotifyClass, event: &str, key: &[u8]) {
        self.add(db, &[event.as_bytes(), key]);
    }
    fn invalidate(&self, _: usize, _: &[u8]) {}
}

impl LogSink for Lines {
    fn effect(&self, _: u64, db: usize, args: &[&[u8]]) {
        self.add(db, args);
    }
}

/// A session on an engine of its own or shared with others.
pub struct Client {
    engine: Arc<Engine>,
    /// The session.
    pub session: Session,
    /// The time commands see, Unix milliseconds.
    pub now_ms: i64,
    events: Lines,
}

impl Client {
    /// A client of a new engine with 16 databases.
    pub fn new() -> Client {
        Client {
            engine: Arc::new(Engine::new(16)),
            session: Session::new(1),
            now_ms: 1_700_000_000_000,
            events: Lines::default(),
        }
    }

    /// A client of a new engine that notes keyspace events of every class.
    pub fn with_events() -> Client {
        let events = Lines::default();
        let registry = Registry::build(DATA_GROUPS, &[]);
        let engine = Engine::with(16, registry, Box::new(events.clone()));
        engine
            .settings
            .notify_flags
            .store(u32::MAX, std::sync::atomic::Ordering::Relaxed);
        Client {
            engine: Arc::new(engine),
            events,
            ..Client::new()
        }
    }

    /// Keyspace events since the last call.
    pub fn events(&self) -> Vec<String> {
        self.events.take()
    }

    /// Notes what the engine logs from now on.
    pub fn record_log(&self) -> Lines {
        let lines = Lines::default();
        self.engine.log.attach(Box::new(lines.clone()));
        lines
    }

    /// Puts a sorted set under a key of the selected database.
    pub fn put_zset(&mut self, key: &str, members: &[(&str, f64)]) {
        let limits = self.engine.settings.zset_limits();
        let mut zset = Zset::new();
        for (member, score) in members {
            zset.add(&limits, *score, member.as_bytes(), AddFlags::default());
        }
        self.put(key, Value::Zset(Arc::new(zset)));
    }

    /// Puts a value under a key of the selected database.
    pub fn put(&mut self, key: &str, value: Value) {
        let held = Held::all(&self.engine.shards);
        Keyspace::new(&self.engine, held, self.session.db, self.now_ms).insert(
            key.as_bytes(),
            value,
            None,
        );
    }

    /// Another client of the same engine.
    pub fn other(&self) -> Client {
        Client {
            engine: self.engine.clone(),
            session: Session::new(self.session.id + 1),
            now_ms: self.now_ms,
            events: self.events.clone(),
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs words separated by spaces; `""` is an empty word.
    pub fn run(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> = line
            .split(' ')
            .map(|word| {
                if word == "\"\"" {
                    &b""[..]
                } else {
                    word.as_bytes()
                }
            })
            .collect();
        String::from_utf8_lossy(&self.run_words(&words)).into_owned()
    }

    /// Runs words as they are.
    pub fn run_words(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut out = Reply::new(self.session.resp);
        self.engine
            .execute(&mut self.session, words, &mut out, self.now_ms);
        out.buf
    }
}
