//! How a function in a Lua state reaches the command that runs the script.
//!
//! Functions in a state outlive every run, so they hold nothing of one. They leave what they want
//! here and call the one function of the run that is here; it answers here.

use std::collections::HashSet;

use mlua::{Function, RegistryKey};
use parking_lot::Mutex;

use super::libraries::FunctionInfo;
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
    /// The memory of a reply that was read, for the next one.
    pub spare: Vec<u8>,
}

impl Talk {
    /// Keeps the memory of a reply, if it is not much.
    pub fn keep(&mut self, mut reply: Vec<u8>) {
        reply.clear();
        if reply.capacity() <= 64 * 1024 {
            self.spare = reply;
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
    /// The function of the run: it answers a request, or lets others have their turn.
    run: Mutex<Option<Function>>,
}

impl Exchange {
    /// A run begins, with its function, or ends.
    pub fn set_run(&self, run: Option<Function>) {
        *self.run.lock() = run;
    }

    /// Has a request answered by the run.
    pub fn ask(&self, request: Request) -> mlua::Result<Answer> {
        self.talk.lock().request = request;
        if !self.call(false)? {
            let text = b"ERR This is only possible inside a script".to_vec();
            return Ok(Answer::Refused(text, false));
        }
        Ok(std::mem::take(&mut self.talk.lock().answer))
    }

    /// Lets others have their turn.
    pub fn tick(&self) -> mlua::Result<()> {
        self.call(true).map(|_| ())
    }

    /// Calls the run, if there is one. Nothing of a run calls here again.
    fn call(&self, tick: bool) -> mlua::Result<bool> {
        match &*self.run.lock() {
            Some(run) => run.call::<()>(tick).map(|()| true),
            None => Ok(false),
        }
    }
}
