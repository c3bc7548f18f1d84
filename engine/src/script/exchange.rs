//! How a function in a Lua state reaches the command that runs the script.
//!
//! Functions in a state outlive every run, so they hold nothing of one. They leave what they want
//! here and ask the run that is found here; it answers here.

use std::collections::HashSet;

use mlua::RegistryKey;
use parking_lot::Mutex;

use super::libraries::FunctionInfo;
use super::raw::Door;
use crate::session::OwnedArgs;

/// What a script's function wants.
#[derive(Debug, Default)]
pub(super) enum Request {
    /// A command to be run, in `words`.
    #[default]
    Call,
    /// The protocol of replies from now on.
    SetResp(u8),
    /// Where effects go from now on.
    SetRepl(i64),
    /// Whether the caller may run the command in `words`.
    AclCheck,
}

/// What comes back.
#[derive(Debug, Default)]
pub(super) enum Answer {
    /// Nothing, or yes.
    #[default]
    Done,
    /// No.
    No,
    /// The encoded reply of a command.
    Reply(Vec<u8>),
    /// The text, with its code, of an error that is not a command's.
    Refused(Vec<u8>, bool),
}

/// What goes back and forth.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub words: OwnedArgs,
    pub request: Request,
    pub answer: Answer,
}

impl Talk {
    /// Memory of a reply that is kept for the next one.
    pub const KEPT: usize = 64 * 1024;

    /// Lets go of a reply that is large.
    pub fn trim(&mut self) {
        if matches!(&self.answer, Answer::Reply(reply) if reply.capacity() > Talk::KEPT) {
            self.answer = Answer::Done;
        }
    }

    /// The memory of the last reply, for the next one.
    pub fn spare(&mut self) -> Vec<u8> {
        self.trim();
        match std::mem::take(&mut self.answer) {
            Answer::Reply(mut reply) => {
                reply.clear();
                reply
            }
            _ => Vec::new(),
        }
    }
}

/// Functions that a library has registered so far.
#[derive(Debug, Default)]
pub(super) struct Registered {
    pub functions: Vec<FunctionInfo>,
    /// Their names.
    pub names: HashSet<Vec<u8>>,
    pub callbacks: Vec<RegistryKey>,
}

/// Between a Lua state and whoever runs something in it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub talk: Mutex<Talk>,
    /// Filled while a library is loaded.
    pub registered: Mutex<Option<Registered>>,
    /// The run.
    pub door: Door,
}

impl Exchange {
    /// What is said where there is no run.
    pub const NO_RUN: &str = "This is only possible inside a script";

    /// Has a request answered by the run.
    pub fn ask(&self, request: Request) -> Answer {
        let talk = &mut *self.talk.lock();
        talk.request = request;
        match self.door.with(|run| run.answer(talk)) {
            Some(()) => std::mem::take(&mut talk.answer),
            None => Answer::Refused(format!("ERR {}", Exchange::NO_RUN).into_bytes(), false),
        }
    }

    /// Lets others have their turn.
    pub fn tick(&self) {
        self.door.with(|run| run.tick());
    }
}
