//! Lua scripts: the states they run in, the cache of scripts, libraries of functions, and how one
//! runs over the engine's commands.
//!
//! A script may touch any key, and keeps the shards it touched; there is one at a time (see
//! `keyspace/held.rs`), so one Lua state for all of EVAL and one for all functions serve every
//! thread. What else needs a state is called with every shard locked: its mutex is free then.
//!
//! The language is Lua 5.1.5 by `mlua`; why, and how the holes of that version are closed, is
//! in `docs/adr/`.

mod cache;
mod exchange;
mod functions;
mod lib;
pub mod libraries;
mod raised;
mod raw;
mod redis;
mod reply;
mod run;
pub mod running;
mod shebang;
#[cfg(test)]
mod tests;
mod vm;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mlua::{Lua, RegistryKey, Value};
use parking_lot::Mutex;

use crate::command::spec::{Args, CmdResult, Flags};
use crate::command::{Command, Ctx};
use crate::error::{ReplyError, shown};
use cache::{Cache, Origin};
pub(crate) use functions::{LOAD_TIMEOUT, fcall};
use libraries::Libraries;
use raw::Entry;
use reply::ReplyOrLua;
use run::Run;
use running::Running;
pub use shebang::ScriptFlags;
use vm::{Failure, Kind, Vm};

/// Size of a stack on which any script can run: Lua calls itself up to 200 levels deep through
/// functions of C and of the host, each with its buffers.
pub const STACK_BYTES: usize = 8 << 20;
/// Bytes a Lua state may hold unless told otherwise.
const MEMORY_LIMIT: usize = 1 << 30;
/// The part of that which scripts may take that were only run, not loaded.
const EVAL_SHARE: usize = 4;

/// Scripts and functions of an engine.
pub struct Scripts {
    eval: Mutex<Option<Vm>>,
    functions: Mutex<Option<Vm>>,
    cache: Mutex<Cache>,
    /// Libraries of functions.
    pub libraries: Libraries,
    /// The script that is running.
    pub running: Arc<Running>,
    /// Bytes that each Lua state may hold; what needs more fails. For states made from now on.
    pub memory_limit: AtomicUsize,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may run commands that are not for them.
    pub any_command: AtomicBool,
    eval_bytes: AtomicUsize,
    function_bytes: AtomicUsize,
}

impl Default for Scripts {
    fn default() -> Scripts {
        Scripts {
            eval: Mutex::default(),
            functions: Mutex::default(),
            cache: Mutex::default(),
            libraries: Libraries::default(),
            running: Arc::default(),
            memory_limit: AtomicUsize::new(MEMORY_LIMIT),
            any_command: AtomicBool::new(false),
            eval_bytes: AtomicUsize::new(0),
            function_bytes: AtomicUsize::new(0),
        }
    }
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripts").finish_non_exhaustive()
    }
}

/// The parts of a request that runs a script: what, and its keys and arguments.
struct Call<'a> {
    words: Args<'a>,
    keys: Args<'a>,
    argv: Args<'a>,
    read_only: bool,
}

impl<'a> Call<'a> {
    fn parse(words: Args<'a>, read_only: bool) -> Result<Call<'a>, ReplyError> {
        let count = crate::command::args::int(words[2])?;
        let rest = &words[3..];
        if count > i64::try_from(rest.len()).unwrap_or(i64::MAX) {
            return Err(ReplyError::err(
                "Number of keys can't be greater than number of args",
            ));
        }
        let count = usize::try_from(count)
            .map_err(|_| ReplyError::err("Number of keys can't be negative"))?;
        let (keys, argv) = rest.split_at(count);
        Ok(Call {
            words,
            keys,
            argv,
            read_only,
        })
    }

    /// A function with the words of this request.
    fn entry(&self, function: &'a RegistryKey, arguments: bool) -> Entry<'a> {
        Entry {
            function,
            keys: self.keys,
            argv: self.argv,
            arguments,
        }
    }
}

fn internal(error: mlua::Error) -> ReplyError {
    tracing::warn!("Lua failed: {error}");
    ReplyError::err("Error running script: out of memory or stack")
}

impl Scripts {
    fn vm<T>(
        &self,
        kind: Kind,
        work: impl FnOnce(&mut Vm) -> Result<T, ReplyError>,
    ) -> Result<T, ReplyError> {
        let (slot, bytes) = match kind {
            Kind::Eval => (&self.eval, &self.eval_bytes),
            Kind::Functions => (&self.functions, &self.function_bytes),
        };
        let mut slot = slot.lock();
        let vm = match &mut *slot {
            Some(vm) => vm,
            empty => {
                let limit = self.memory_limit.load(Ordering::Relaxed);
                empty.insert(Vm::new(kind, &self.running, limit).map_err(internal)?)
            }
        };
        let result = work(vm);
        bytes.store(vm.lua.used_memory(), Ordering::Relaxed);
        result
    }

    /// The flags of a command that runs a script or function: those of its row, or what the
    /// script says of itself.
    pub fn flags(&self, command: &Command, args: Args<'_>) -> Flags {
        let Some(name) = args.get(1) else {
            return command.flags;
        };
        let known = match command.spec.name {
            "fcall" | "fcall_ro" => {
                let found = self.libraries.function(name);
                found.map(|found| found.flags)
            }
            "evalsha" | "evalsha_ro" => self.cache.lock().get(name).map(|script| script.flags),
            _ => shebang::script_flags(name).ok().map(|(flags, _)| flags),
        };
        match known {
            Some(flags) if !flags.has(ScriptFlags::COMPAT) => flags.of_command(command.flags),
            _ => command.flags,
        }
    }

    /// Bytes of the Lua states: of EVAL, of functions.
    pub fn vm_bytes(&self) -> (usize, usize) {
        (
            self.eval_bytes.load(Ordering::Relaxed),
            self.function_bytes.load(Ordering::Relaxed),
        )
    }

    /// Scripts in the cache, and bytes of it.
    pub fn cached(&self) -> (usize, usize) {
        self.cache.lock().size()
    }

    /// Scripts that were forgotten to make room.
    pub fn evicted(&self) -> u64 {
        self.cache.lock().evicted
    }

    /// SCRIPT FLUSH. The caller holds every shard.
    pub(crate) fn flush(&self) {
        self.cache.lock().clear();
        *self.eval.lock() = None;
        self.eval_bytes.store(0, Ordering::Relaxed);
    }

    /// Whether each script is in the cache.
    pub(crate) fn exists(&self, sha: &[u8]) -> bool {
        self.cache.lock().get(sha).is_some()
    }

    /// The source of a cached script.
    pub(crate) fn source(&self, sha: &[u8]) -> Option<Arc<[u8]>> {
        Some(self.cache.lock().get(sha)?.body.clone())
    }

    /// SCRIPT LOAD: puts a script into the cache; its SHA1. The caller holds every shard.
    ///
    /// # Errors
    /// It does not compile.
    pub(crate) fn load(&self, body: &[u8]) -> Result<[u8; 40], ReplyError> {
        let sha = redis::sha1_hex(body);
        if !self.cache.lock().keep(&sha) {
            self.insert(sha, body, Origin::Load)?;
        }
        Ok(sha)
    }

    fn insert(&self, sha: [u8; 40], body: &[u8], origin: Origin) -> Result<(), ReplyError> {
        let (flags, start) = shebang::script_flags(body)?;
        let most = match self.memory_limit.load(Ordering::Relaxed) {
            0 => MEMORY_LIMIT,
            limit => limit,
        } / EVAL_SHARE;
        self.vm(Kind::Eval, |vm| {
            let before = vm.lua.used_memory();
            let f = vm
                .compile("@user_script", body.get(start..).unwrap_or_default())
                .map_err(|message| {
                    ReplyError::err(format_args!(
                        "Error compiling script (new function): {}",
                        shown(message.as_bytes())
                    ))
                })?;
            let f = vm.lua.create_registry_value(f).map_err(internal)?;
            vm.compiled.insert(sha, f);
            let bytes = vm.lua.used_memory().saturating_sub(before);
            let mut cache = self.cache.lock();
            cache.insert(sha, body, flags, bytes, origin);
            let gone = cache.evict(most);
            if !gone.is_empty() {
                for sha in gone {
                    vm.compiled.remove(&sha);
                }
                vm.lua.expire_registry_values();
            }
            Ok(())
        })
    }
}

/// Runs EVAL and its kin. No other script runs.
pub(crate) fn eval(ctx: &mut Ctx<'_>, words: Args<'_>, by_sha: bool, read_only: bool) -> CmdResult {
    let engine = ctx.engine();
    let scripts = &engine.scripts;
    let no_script = || ReplyError::raw("NOSCRIPT No matching script. Please use EVAL.");
    if by_sha && words[1].len() != 40 {
        return Err(no_script());
    }
    let call = Call::parse(words, read_only)?;
    let sha = if by_sha {
        let mut sha = [0; 40];
        sha.copy_from_slice(words[1]);
        sha.make_ascii_lowercase();
        sha
    } else {
        redis::sha1_hex(words[1])
    };
    let known = |scripts: &Scripts| Some(scripts.cache.lock().use_script(&sha)?.flags);
    let flags = match known(scripts) {
        Some(flags) => flags,
        None if by_sha => return Err(no_script()),
        None => {
            scripts.insert(sha, words[1], Origin::Eval)?;
            known(scripts).ok_or_else(no_script)?
        }
    };
    scripts.vm(Kind::Eval, |vm| {
        let Some(key) = vm.compiled.get(&sha) else {
            return Err(no_script());
        };
        let name = std::str::from_utf8(&sha).unwrap_or_default();
        perform(ctx, vm, &call, call.entry(key, false), (name, flags))
    })
}

/// What may keep a script with known flags from running.
fn refusal(ctx: &mut Ctx<'_>, flags: ScriptFlags, read_only: bool) -> Result<(), ReplyError> {
    if flags.has(ScriptFlags::COMPAT) {
        return Ok(());
    }
    let writes = !flags.has(ScriptFlags::NO_WRITES);
    let grows = writes && !flags.has(ScriptFlags::ALLOW_OOM);
    if writes {
        ctx.host.script_may_write()?;
        if read_only {
            return Err(ReplyError::err(
                "Can not execute a script with write flag using *_ro command.",
            ));
        }
    }
    if grows {
        ctx.host.script_may_grow()?;
    }
    Ok(())
}

/// Nothing is running any more, whatever ended it: a panic in a command passes through here.
struct Over<'r>(&'r Running);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        drop(self.0.end());
    }
}

/// Runs a compiled function for a request and writes its reply.
fn perform(
    ctx: &mut Ctx<'_>,
    vm: &Vm,
    call: &Call<'_>,
    entry: Entry<'_>,
    (name, flags): (&str, ScriptFlags),
) -> CmdResult {
    refusal(ctx, flags, call.read_only)?;
    let running = &ctx.engine().scripts.running;
    running.begin(name, call.words, !entry.arguments, ctx.session.replaying);
    let _over = Over(running);
    let (db, session_db) = (ctx.ks.db, ctx.session.db);
    let denied = std::mem::replace(&mut ctx.session.deny_blocking, true);
    ctx.host.script_runs(true);
    let mut run = Run::new(ctx, running, flags, call.read_only);
    let ended = vm.run(entry, &mut run);
    let resp = run.end();
    ctx.host.script_runs(false);
    ctx.session.deny_blocking = denied;
    ctx.ks.db = db;
    ctx.session.db = session_db;
    let left = running.end();
    ctx.end_watches(left);
    // The effects of its commands are settled; the script itself adds none.
    ctx.propagate_nothing();
    match ended.map_err(internal)? {
        Ok(None) => Ok(()),
        Ok(Some(value)) => answer(ctx, &vm.lua, value, resp),
        Err(failure) => failed(ctx, name, failure),
    }
}

fn answer(ctx: &mut Ctx<'_>, lua: &Lua, value: Value, resp: u8) -> CmdResult {
    let start = ctx.out.buf.len();
    let Ctx {
        out, host, command, ..
    } = ctx;
    let mut noted = |error: Option<&ReplyError>| host.script_failed(command, error);
    match reply::from_lua(lua, value, resp, out, &mut noted) {
        Ok(()) => Ok(()),
        Err(ReplyOrLua::Reply(error)) => Err(error),
        Err(ReplyOrLua::Lua(error)) => {
            ctx.out.buf.truncate(start);
            Err(internal(error))
        }
    }
}

fn failed(ctx: &mut Ctx<'_>, name: &str, failure: Failure) -> CmdResult {
    let Some(message) = failure.message else {
        return Err(ReplyError::err(format_args!(
            "Error running script {name}, execution failure"
        )));
    };
    let mut text = shown(&message);
    if let Some((source, line)) = failure.place {
        text.push_str(&format!(" script: {name}, on {source}:{line}."));
    }
    let error = ReplyError::raw(text);
    if failure.counted {
        ctx.host.script_failed(ctx.command, None);
        ctx.out.error(&error);
        return Ok(());
    }
    Err(error)
}
