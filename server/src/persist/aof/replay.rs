//! Running the commands of a log.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::OnceLock;

use basalt_engine::command::spec::Flags;
use basalt_engine::command::{Command, args};
use basalt_engine::script::libraries::Policy;
use basalt_engine::{Flow, Host, Reply, Session, shown};
use smallvec::SmallVec;

use crate::client::Conn;
use crate::client::handle::Handle;
use crate::command::SERVER_GROUPS;
use crate::server::{Server, unix_ms};

/// Errors of commands that the log shows; after that it would only repeat itself.
const SHOWN_ERRORS: u32 = 10;

/// What commands of a log run for: there is no connection.
pub struct Replay {
    /// The process.
    pub server: Arc<Server>,
    /// One without a socket, for the few commands of scripts that need it, like PING and PUBLISH.
    conn: Option<Box<Conn>>,
}

impl Replay {
    fn new(server: Arc<Server>) -> Replay {
        Replay { server, conn: None }
    }

    /// A connection that nobody sees.
    pub fn conn(&mut self) -> &mut Conn {
        let server = &self.server;
        self.conn.get_or_insert_with(|| {
            let (id, nowhere) = (server.clients.next_id(), String::new);
            let handle = Handle::new(id, nowhere(), nowhere(), -1, false, true, unix_ms());
            let worker = server.stats.add_worker(server.engine.registry.all().len());
            Box::new(Conn::new(server.clone(), Arc::new(handle), worker))
        })
    }
}

impl Host for Replay {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Why a command of a log cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCommand {
    /// There is no such command, or none that has a place in a log.
    #[error("Unknown command '{0}'")]
    Unknown(String),
    /// It exists, but not like this.
    #[error("{0}")]
    Wrong(String),
}

/// The state between the commands of a file.
pub struct Replayer {
    host: Replay,
    session: Session,
    reply: Reply,
    errors: u32,
}

impl Replayer {
    /// At the begin of a file: database 0, no transaction.
    pub fn new(server: Arc<Server>) -> Replayer {
        let mut session = Session::new(0);
        session.replaying = true;
        session.no_touch = false;
        Replayer {
            host: Replay::new(server),
            session,
            reply: Reply::new(2),
            errors: 0,
        }
    }

    /// Runs one command, or queues it in a transaction.
    ///
    /// # Errors
    /// [`BadCommand`]: then the log is not for this server.
    pub fn run(&mut self, words: &SmallVec<[&[u8]; 8]>) -> Result<(), BadCommand> {
        let server = self.host.server.clone();
        let Some(first) = words.first() else {
            return Ok(());
        };
        if self.session.txn.is_none() && is_function_load(words) {
            return self.load_function(words);
        }
        let command = server
            .engine
            .registry
            .resolve(words)
            .map_err(|_| BadCommand::Unknown(shown(first)))?;
        if !command.arity_fits(words.len()) {
            return Err(BadCommand::Wrong(format!(
                "wrong number of arguments for '{}'",
                command.name
            )));
        }
        if command.spec.name == "select"
            && args::database(
                words.get(1).copied().unwrap_or_default(),
                server.engine.databases(),
            )
            .is_err()
        {
            return Err(BadCommand::Wrong(
                "a database is out of range; see the directive databases".into(),
            ));
        }
        if !has_a_place(command) {
            return if command.flags.has(Flags::WRITE) {
                Err(BadCommand::Unknown(shown(first)))
            } else {
                // It changes nothing.
                Ok(())
            };
        }
        // Inside a transaction these two are void in Redis as well.
        if self.session.txn.is_some() && matches!(command.spec.name, "multi" | "discard" | "watch")
        {
            return Ok(());
        }
        self.reply.buf.clear();
        if server
            .engine
            .queue(&mut self.session, command, words, &mut self.reply)
        {
            return Ok(());
        }
        let flow = server.engine.call(
            command,
            &mut self.session,
            &mut self.host,
            words,
            &mut self.reply,
            unix_ms(),
        );
        if let Flow::Failed(error) = flow {
            self.errors += 1;
            if self.errors <= SHOWN_ERRORS {
                tracing::warn!(
                    "== CRITICAL == This server is sending an error to its AOF-loading-client: '{error}' after processing the command '{}'",
                    command.name
                );
            }
        }
        Ok(())
    }

    /// Loads a library, however long that takes.
    fn load_function(&mut self, words: &[&[u8]]) -> Result<(), BadCommand> {
        let wrong = |error: &dyn std::fmt::Display| BadCommand::Wrong(error.to_string());
        let (policy, code) = match words {
            // It may be in the base already, if it was loaded at the moment of the cut.
            [_, _, code] => (Policy::Replace, code),
            [_, _, word, code] if args::is(word, "replace") => (Policy::Replace, code),
            _ => return Err(wrong(&"wrong number of arguments for 'function|load'")),
        };
        let scripts = &self.host.server.engine.scripts;
        scripts
            .load_libraries(&[code], policy)
            .map(drop)
            .map_err(|error| wrong(&error))
    }
}

fn is_function_load(words: &[&[u8]]) -> bool {
    matches!(words, [name, sub, ..] if args::is(name, "function") && args::is(sub, "load"))
}

/// Whether a command may be in a log: all on data, and those on databases and libraries. The
/// others need a connection, and no server logs them.
fn has_a_place(command: &'static Command) -> bool {
    static SERVER_COMMANDS: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let of_server = SERVER_COMMANDS.get_or_init(|| {
        let rows = SERVER_GROUPS.iter().flat_map(|group| group.iter());
        rows.map(|row| row.name).collect()
    });
    match command.parent {
        Some(parent) if parent.name == "function" => {
            matches!(command.spec.name, "delete" | "flush" | "restore")
        }
        Some(parent) => !of_server.contains(parent.name),
        None => command.spec.name == "select" || !of_server.contains(command.spec.name),
    }
}
