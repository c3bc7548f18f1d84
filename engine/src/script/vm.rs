//! A Lua state with the sandbox in it, and what runs in it.
//!
//! Invariants: no function of the host keeps a handle to the state (it would never be freed);
//! the collector rests while a chunk is parsed, because the parser of Lua 5.1.5 leaves the name
//! of a chunk to it.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Arc;

use mlua::{
    Error, Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, RegistryKey, StdLib,
    Table, Value, VmState,
};

use mlua::chunk::ChunkMode;
use mlua::state::{GcIncParams, GcMode};

use super::cache::BySha;
use super::exchange::Exchange;
use super::raised::{Stop, as_value, text_of};
use super::raw::{Ended, Entry, Serve, enter};
use super::running::Running;
use super::{lib, redis};

/// Instructions between two looks at the clock.
const HOOK_EVERY: u32 = 10_000;
/// The collector begins again when a seventh more is in use than it left, and does four times the
/// work of what is allocated meanwhile: what scripts leave behind stays a small part of a state.
const GC_PAUSE: c_int = 115;
const GC_STEP_MULTIPLIER: c_int = 400;
/// Longest code of a chunk: the lexer counts in 32 bits.
const MAX_CHUNK: usize = 1 << 30;
/// Name of the chunk of the sandbox in messages and in the stack.
const SANDBOX: &str = "=\u{1}";
/// What errors begin with that library functions raise when the sandbox calls them.
const SANDBOX_PREFIX: &[u8] = b"\x01:";

/// Global functions that scripts may use; those not here are replaced or left out.
const BASE: &[&str] = &[
    "assert", "error", "gcinfo", "ipairs", "rawequal", "select", "tonumber", "tostring", "type",
];

/// What a state is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// EVAL.
    Eval,
    /// Libraries of functions.
    Functions,
}

/// How a run ended with an error.
#[derive(Debug, Default)]
pub(super) struct Failure {
    /// The text with its code, if the error had one.
    pub message: Option<Vec<u8>>,
    /// File and line of what failed.
    pub place: Option<(String, String)>,
    /// The error was counted when the command failed that it comes from.
    pub counted: bool,
}

/// A Lua state.
pub(super) struct Vm {
    pub lua: Lua,
    /// The globals themselves, which scripts cannot change, with the names of what changes.
    real: Table,
    guard: Function,
    loading: Function,
    handler: Function,
    /// Compiled scripts by their SHA1. Not as values: the host can hold a few thousand only.
    pub compiled: BySha<RegistryKey>,
    /// Functions by their names, with those of their libraries.
    pub functions: HashMap<Vec<u8>, (Vec<u8>, RegistryKey)>,
    /// What a running script's functions ask of the host.
    pub exchange: Arc<Exchange>,
    memory_limit: usize,
}

impl Vm {
    pub fn new(kind: Kind, running: &Arc<Running>, memory_limit: usize) -> mlua::Result<Vm> {
        let libs = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libs, LuaOptions::new())?;
        let exchange = Arc::new(Exchange::default());
        let host = host_functions(&lua, kind, running, &exchange)?;
        let sandbox = lua
            .load(include_str!("prelude.lua"))
            .set_name(SANDBOX)
            .into_function()?;
        let made: Table = sandbox.call((lua.globals(), host))?;
        let tostring: Function = lua.globals().get("tostring")?;
        lua.set_named_registry_value("tostring", tostring)?;
        lua.set_globals(lua.named_registry_value(lib::WORLD)?)?;
        let handler = lua.create_function(handle_error)?;
        let (running, to) = (running.clone(), exchange.clone());
        lua.set_global_hook(
            HookTriggers::new().every_nth_instruction(HOOK_EVERY),
            move |_, _| hook(&running, &to),
        )?;
        let pace = GcIncParams::default()
            .pause(GC_PAUSE)
            .step_multiplier(GC_STEP_MULTIPLIER);
        lua.gc_set_mode(GcMode::Incremental(pace));
        // What only the making needed.
        lua.unset_named_registry_value("_LOADED")?;
        lua.gc_collect()?;
        if memory_limit > 0 {
            lua.set_memory_limit(memory_limit)?;
        }
        Ok(Vm {
            real: made.get("real")?,
            guard: made.get("guard")?,
            loading: made.get("loading")?,
            handler,
            compiled: BySha::default(),
            functions: HashMap::new(),
            exchange,
            memory_limit,
            lua,
        })
    }

    /// Whether globals are those for the loading of a library.
    pub fn set_loading(&self, loading: bool) -> mlua::Result<()> {
        self.loading.call(loading)
    }

    /// Code as a function.
    ///
    /// # Errors
    /// The compiler's message.
    pub fn compile(&self, name: &str, code: &[u8]) -> Result<Function, String> {
        compile(&self.lua, name, code)
    }

    /// Runs a script or function for a run, which writes the result if that is simple.
    pub fn run(
        &self,
        entry: Entry<'_>,
        serve: &mut dyn Serve,
    ) -> mlua::Result<Result<Option<Value>, Failure>> {
        let with = (&self.real, &self.handler);
        let exchange = &*self.exchange;
        let ended = exchange
            .door
            .open(serve, || enter(&self.lua, exchange, with, entry));
        exchange.talk.lock().trim();
        self.collect();
        Ok(match ended? {
            Ended::Written => Ok(None),
            Ended::Result(value) => Ok(Some(value)),
            Ended::Failed(problem) => Err(failure(&self.lua, problem)),
        })
    }

    /// Runs the code of a library, which has no run to ask.
    pub fn run_code(&self, code: &Function) -> mlua::Result<Result<(), Failure>> {
        let ended = self.guard.call::<(bool, Value)>((code, &self.handler));
        self.collect();
        Ok(match ended? {
            (true, _) => Ok(()),
            (false, problem) => Err(failure(&self.lua, problem)),
        })
    }

    /// Lua 5.1 does not collect when memory runs out: what a script used up must not be missing
    /// for the next one.
    fn collect(&self) {
        if self.memory_limit > 0 && self.lua.used_memory() > self.memory_limit / 2 {
            // A finaliser cannot fail: scripts have none.
            let _ = self.lua.gc_collect();
        }
    }
}

/// While it is there, the state has no limit of memory: the host's own work in it is bounded, and
/// costs less when no step of it can fail.
pub(super) struct Unlimited<'a> {
    lua: &'a Lua,
    limit: usize,
}

impl<'a> Unlimited<'a> {
    pub fn new(lua: &'a Lua) -> mlua::Result<Unlimited<'a>> {
        Ok(Unlimited {
            lua,
            limit: lua.set_memory_limit(0)?,
        })
    }

    /// Sets the limit again.
    ///
    /// # Errors
    /// There is more in use than that.
    pub fn end(self) -> mlua::Result<()> {
        if self.limit > 0 && self.lua.used_memory() > self.limit {
            return Err(Error::MemoryError("not enough memory".into()));
        }
        Ok(())
    }
}

impl Drop for Unlimited<'_> {
    fn drop(&mut self) {
        // It cannot fail where it did not before.
        let _ = self.lua.set_memory_limit(self.limit);
    }
}

/// Code as a function, with the collector at rest.
pub(super) fn compile(lua: &Lua, name: &str, code: &[u8]) -> Result<Function, String> {
    if code.len() > MAX_CHUNK {
        return Err("chunk is too long".into());
    }
    if code.first() == Some(&0x1b) {
        // What Redis's parser, which knows text only, says of bytecode.
        return Err(format!(
            "{}:1: unexpected symbol near 'char(27)'",
            short(name)
        ));
    }
    lua.gc_stop();
    let made = lua
        .load(code)
        .set_name(name)
        .set_mode(ChunkMode::Text)
        .into_function();
    lua.gc_restart();
    made.map_err(|error| match error {
        Error::SyntaxError { message, .. } => message,
        Error::MemoryError(_) => "not enough memory".into(),
        other => other.to_string(),
    })
}

/// The name of a chunk as messages show it.
fn short(name: &str) -> String {
    const MOST: usize = 60;
    if let Some(name) = name.strip_prefix('=') {
        return name.chars().take(MOST - 1).collect();
    }
    if let Some(name) = name.strip_prefix('@') {
        return name.into();
    }
    let line = name.lines().next().unwrap_or_default();
    let room = MOST - "[string \"...\"]".len() - 1;
    if line.len() < name.len() || line.len() > room {
        let cut: String = line.chars().take(room).collect();
        format!("[string \"{cut}...\"]")
    } else {
        format!("[string \"{line}\"]")
    }
}

fn hook(running: &Running, exchange: &Exchange) -> mlua::Result<VmState> {
    if running.check() && running.stop().is_none() {
        exchange.tick();
    }
    running.stop().map_or(Ok(VmState::Continue), |stop| {
        Err(Error::external(Stop(stop)))
    })
}

/// What the sandbox gets from the host.
fn host_functions(
    lua: &Lua,
    kind: Kind,
    running: &Arc<Running>,
    exchange: &Arc<Exchange>,
) -> mlua::Result<Table> {
    let host = lua.create_table()?;
    let state = running.clone();
    host.set(
        "killed",
        lua.create_function(move |_, ()| Ok(state.stop().is_some()))?,
    )?;
    let state = running.clone();
    host.set(
        "kill",
        lua.create_function(move |_, ()| -> mlua::Result<()> {
            match state.stop() {
                Some(stop) => Err(Error::external(Stop(stop))),
                None => Ok(()),
            }
        })?,
    )?;
    host.set("load", lua.create_function(load)?)?;
    host.set(
        "problem",
        lua.create_function(|lua, problem: Value| match problem {
            Value::Error(error) => as_value(lua, &error),
            _ => Ok(Value::String(lua.create_string("userdata")?)),
        })?,
    )?;
    host.set("redis", redis::table(lua, kind, exchange)?)?;
    host.set("loading", redis::while_loading(lua, exchange)?)?;
    host.set("math", lib::random::functions(lua)?)?;
    host.set("libs", lib::all(lua)?)?;
    host.set("replaced", lib::replaced(lua)?)?;
    for name in [lib::BEHIND, lib::SHOWN, lib::WORLD] {
        let table = lua.create_table()?;
        lua.set_named_registry_value(name, &table)?;
        host.set(name, table)?;
    }
    host.set("base", BASE.to_vec())?;
    Ok(host)
}

/// `load` behind the sandbox's checks.
fn load(lua: &Lua, (code, name): (LuaString, LuaString)) -> mlua::Result<MultiValue> {
    lib::loaded(lua, &code.as_bytes(), &name.to_string_lossy())
}

/// One level of the stack.
struct Frame {
    native: bool,
    ours: bool,
    source: String,
    short: String,
    line: String,
}

fn frame(lua: &Lua, level: usize) -> Option<Frame> {
    lua.inspect_stack(level, |debug| {
        let source = debug.source();
        let text = source.source.as_deref().unwrap_or_default();
        Frame {
            native: source.what == "C",
            ours: text == SANDBOX,
            source: text.into(),
            short: source.short_src.as_deref().unwrap_or_default().into(),
            line: debug
                .current_line()
                .map_or_else(|| "-1".into(), |line| line.to_string()),
        }
    })
}

/// The frame that an error belongs to: where it was raised, or where a function of the host was
/// called that raised it.
fn guilty(lua: &Lua) -> Option<Frame> {
    let mut level = 1;
    let mut found = frame(lua, level)?;
    if found.native || found.ours {
        loop {
            level += 1;
            let next = frame(lua, level)?;
            let inside = next.ours || found.native && level > 2 && next.native;
            found = next;
            if !inside {
                break;
            }
        }
    }
    Some(found)
}

/// Makes every error a table with its text and place. Runs where the error was raised.
fn handle_error(lua: &Lua, problem: Value) -> mlua::Result<Table> {
    let made = lua.create_table()?;
    let place = guilty(lua);
    match &problem {
        Value::Table(table) => {
            for field in ["err", "ignore_error_stats_update"] {
                made.raw_set(field, table.get::<Value>(field)?)?;
            }
        }
        Value::Error(error) => {
            let (text, counted) = text_of(error);
            made.raw_set("err", lua.create_string(text)?)?;
            if counted {
                made.raw_set("ignore_error_stats_update", true)?;
            }
        }
        other => {
            let tostring: Function = lua.named_registry_value("tostring")?;
            let text: Value = tostring.call(other)?;
            let text = match &text {
                Value::String(text) => text.as_bytes().to_vec(),
                _ => Vec::new(),
            };
            let text = renamed(&text, place.as_ref());
            made.raw_set("err", lua.create_string([b"ERR ", &text[..]].concat())?)?;
        }
    }
    if let Some(place) = place {
        made.raw_set("source", place.source)?;
        made.raw_set("line", place.line)?;
    }
    Ok(made)
}

/// A message that begins with a line of the sandbox, with the script's line in its place.
fn renamed(text: &[u8], place: Option<&Frame>) -> Vec<u8> {
    let Some(rest) = text.strip_prefix(SANDBOX_PREFIX) else {
        return text.to_vec();
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = rest.get(digits..).and_then(|rest| rest.strip_prefix(b": "));
    match (rest, place) {
        (Some(rest), Some(place)) if !place.native => {
            [format!("{}:{}: ", place.short, place.line).as_bytes(), rest].concat()
        }
        (Some(rest), _) => rest.to_vec(),
        (None, _) => text.to_vec(),
    }
}

/// Reads the table that `handle_error` made.
fn failure(lua: &Lua, problem: Value) -> Failure {
    let text = |value: Value| match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        number @ (Value::Integer(_) | Value::Number(_)) => {
            let text = lua.coerce_string(number).ok().flatten()?;
            Some(text.as_bytes().to_vec())
        }
        _ => None,
    };
    let plain = |value: Value| text(value).map(|text| String::from_utf8_lossy(&text).into_owned());
    match problem {
        Value::Table(table) => {
            let get = |field: &str| table.raw_get(field).unwrap_or(Value::Nil);
            Failure {
                message: text(get("err")),
                place: plain(get("source")).zip(plain(get("line"))),
                counted: get("ignore_error_stats_update") == Value::Boolean(true),
            }
        }
        // The handler itself failed: there was no memory, or no stack, left for it.
        Value::Error(error) => {
            let (message, counted) = text_of(&error);
            Failure {
                message: Some(message),
                place: None,
                counted,
            }
        }
        other => Failure {
            message: text(other).map(|text| [b"ERR ", &text[..]].concat()),
            ..Failure::default()
        },
    }
}
