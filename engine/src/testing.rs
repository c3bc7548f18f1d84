//! A caller for unit tests: one line in, reply bytes out, with a clock the test moves.

use std::sync::Arc;

use crate::{Engine, Reply, Session};

/// A session on an engine of its own or shared with others.
pub struct Client {
    engine: Arc<Engine>,
    /// The session.
    pub session: Session,
    /// The time commands see, Unix milliseconds.
    pub now_ms: i64,
}

impl Client {
    /// A client of a new engine with 16 databases.
    pub fn new() -> Client {
        Client {
            engine: Arc::new(Engine::new(16)),
            session: Session::new(1),
            now_ms: 1_700_000_000_000,
        }
    }

    /// Another client of the same engine.
    pub fn other(&self) -> Client {
        Client {
            engine: self.engine.clone(),
            session: Session::new(self.session.id + 1),
            now_ms: self.now_ms,
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
