//! How a function in a Lua state reaches the command that runs the script.
//!
//! Functions in a state outlive every run, so they hold nothing of one. They leave what they want
//! here and call the one function that the run has put into the state; it answers here.

use mlua::{Function, Lua};
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
}

/// Functions that a library has registered so far.
#[derive(Debug, Default)]
pub(super) struct Registered {
    pub functions: Vec<FunctionInfo>,
    pub callbacks: Vec<Function>,
}

/// Between a Lua state and whoever runs something in it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub talk: Mutex<Talk>,
    /// Filled while a library is loaded.
    pub registered: Mutex<Option<Registered>>,
}

impl Exchange {
    /// Has a request answered by the run.
    pub fn ask(&self, lua: &Lua, request: Request) -> mlua::Result<Answer> {
        self.talk.lock().request = request;
        let ask: Option<Function> = lua.named_registry_value("ask")?;
        let Some(ask) = ask else {
            let text = b"ERR This is only possible inside a script".to_vec();
            return Ok(Answer::Refused(text, false));
        };
        ask.call::<()>(())?;
        Ok(std::mem::take(&mut self.talk.lock().answer))
    }
}
