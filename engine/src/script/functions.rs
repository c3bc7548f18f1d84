//! Libraries being loaded, and FCALL.

use std::time::Duration;

use mlua::{Function, Lua, RegistryKey, Table, Value};
use parking_lot::Mutex;

use super::exchange::Registered;
use super::libraries::{FunctionInfo, Library, LibraryError, Policy, is_name};
use super::raised::command_error;
use super::shebang::ScriptFlags;
use super::vm::{Kind, Vm};
use super::{Call, Scripts, perform};
use crate::command::Ctx;
use crate::command::spec::{Args, CmdResult};
use crate::error::{ReplyError, shown};

/// For how long the code of a library may run when a client loads it.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_millis(500);

/// A library that was run to see what it registers.
struct Loaded {
    library: Library,
    callbacks: Vec<RegistryKey>,
}

impl Scripts {
    /// Adds libraries with this code, all or none; the name of the last one. The caller holds
    /// every shard, or nobody else uses the engine yet.
    ///
    /// # Errors
    /// What keeps one of them from being loaded.
    pub fn add_libraries(
        &self,
        codes: &[&[u8]],
        policy: Policy,
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>, LibraryError> {
        let failed = |error: ReplyError| LibraryError::State(error.0.into_owned());
        let mut libraries = Vec::new();
        for code in codes {
            libraries.push(Library::parse(code)?);
        }
        let mut outcome = Err(LibraryError::NoFunctions);
        self.vm(Kind::Functions, |vm| {
            outcome = self.load_into(vm, libraries, policy, timeout);
            Ok(())
        })
        .map_err(failed)?;
        outcome
    }

    /// As [`Scripts::add_libraries`], for libraries in files: they take the time they take, and
    /// run on a stack that is deep enough for any script.
    ///
    /// # Errors
    /// What keeps one of them from being loaded.
    pub fn load_libraries(&self, codes: &[&[u8]], policy: Policy) -> Result<Vec<u8>, LibraryError> {
        let failed = |reason: &dyn std::fmt::Display| LibraryError::State(reason.to_string());
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("libraries".into())
                .stack_size(super::STACK_BYTES)
                .spawn_scoped(scope, || self.add_libraries(codes, policy, None))
                .map_err(|error| failed(&error))?
                .join()
                .unwrap_or_else(|_| Err(failed(&"internal error")))
        })
    }

    fn load_into(
        &self,
        vm: &mut Vm,
        libraries: Vec<Library>,
        policy: Policy,
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>, LibraryError> {
        let mut loaded = Vec::new();
        for library in libraries {
            self.running.begin_loading(timeout);
            let one = load(vm, library);
            self.running.end_loading();
            loaded.push(one?);
        }
        let last = loaded.last().map(|one| one.library.name.clone());
        let made = loaded.iter().map(|one| one.library.clone()).collect();
        self.libraries.add(made, policy)?;
        if policy == Policy::Flush {
            vm.functions.clear();
        }
        for Loaded { library, callbacks } in loaded {
            vm.functions.retain(|_, (of, _)| *of != library.name);
            for (function, callback) in library.functions.into_iter().zip(callbacks) {
                let value = (library.name.clone(), callback);
                vm.functions.insert(function.name, value);
            }
        }
        vm.lua.expire_registry_values();
        Ok(last.unwrap_or_default())
    }

    /// FUNCTION DELETE; whether it was there. The caller holds every shard.
    pub fn remove_library(&self, name: &[u8]) -> bool {
        if let Some(vm) = &mut *self.functions.lock() {
            vm.functions.retain(|_, (library, _)| library != name);
            vm.lua.expire_registry_values();
        }
        self.libraries.remove(name)
    }

    /// FUNCTION FLUSH. The caller holds every shard.
    pub fn clear_libraries(&self) {
        self.libraries.clear();
        *self.functions.lock() = None;
        self.function_bytes
            .store(0, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Runs the code of a library.
fn load(vm: &mut Vm, mut library: Library) -> Result<Loaded, LibraryError> {
    let state = |error: mlua::Error| LibraryError::State(error.to_string());
    vm.set_loading(true).map_err(state)?;
    *vm.exchange.registered.lock() = Some(Registered::default());
    let ended = vm
        .compile("@user_function", library.body())
        .map_err(LibraryError::Compile)
        .map(|code| vm.run_code(&code));
    let registered = vm.exchange.registered.lock().take().unwrap_or_default();
    vm.set_loading(false).map_err(state)?;
    if let Err(failure) = ended?.map_err(state)? {
        let message = failure.message.unwrap_or_default();
        return Err(LibraryError::Register(shown(&message)));
    }
    if registered.functions.is_empty() {
        return Err(LibraryError::NoFunctions);
    }
    library.functions = registered.functions;
    Ok(Loaded {
        library,
        callbacks: registered.callbacks,
    })
}

/// `redis.register_function`.
pub(super) fn register_function(
    lua: &Lua,
    registered: &Mutex<Option<Registered>>,
    args: &[Value],
) -> mlua::Result<()> {
    let raise = |message: &str| command_error(format!("ERR {message}").into_bytes(), false);
    if registered.lock().is_none() {
        return Err(raise(
            "redis.register_function can only be called on FUNCTION LOAD command",
        ));
    }
    let (function, callback) = read_registration(args)?.map_err(|message| raise(&message))?;
    let mut registered = registered.lock();
    let Some(registered) = &mut *registered else {
        return Ok(());
    };
    if !is_name(&function.name) {
        return Err(raise(&LibraryError::BadName.to_string()));
    }
    if !registered.names.insert(function.name.clone()) {
        return Err(raise("Function already exists in the library"));
    }
    registered
        .callbacks
        .push(lua.create_registry_value(callback)?);
    registered.functions.push(function);
    Ok(())
}

type Registration = Result<(FunctionInfo, Function), String>;

fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(n) => Some(n.to_string().into_bytes()),
        Value::Number(n) => Some(n.to_string().into_bytes()),
        _ => None,
    }
}

fn read_registration(args: &[Value]) -> mlua::Result<Registration> {
    Ok(match args {
        [Value::Table(named)] => return read_named(named),
        [_] => Err("calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).".into()),
        [name, callback] => match (text(name), callback) {
            (None, _) => Err("first argument to redis.register_function must be a string".into()),
            (Some(name), Value::Function(callback)) => Ok((
                FunctionInfo {
                    name,
                    description: None,
                    flags: ScriptFlags::default(),
                },
                callback.clone(),
            )),
            _ => Err("second argument to redis.register_function must be a function".into()),
        },
        _ => Err("wrong number of arguments to redis.register_function".into()),
    })
}

fn read_named(named: &Table) -> mlua::Result<Registration> {
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = text(&key) else {
            return Ok(Err(
                "named argument key given to redis.register_function is not a string".into(),
            ));
        };
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => {
                name = text(&value);
                if name.is_none() {
                    return Ok(Err(
                        "function_name argument given to redis.register_function must be a string"
                            .into(),
                    ));
                }
            }
            b"description" => {
                description = text(&value);
                if description.is_none() {
                    return Ok(Err(
                        "description argument given to redis.register_function must be a string"
                            .into(),
                    ));
                }
            }
            b"callback" => match value {
                Value::Function(f) => callback = Some(f),
                _ => {
                    return Ok(Err(
                        "callback argument given to redis.register_function must be a function"
                            .into(),
                    ));
                }
            },
            b"flags" => {
                let Value::Table(words) = value else {
                    return Ok(Err("flags argument to redis.register_function must be a table representing function flags".into()));
                };
                match read_flags(&words)? {
                    Some(read) => flags = read,
                    None => return Ok(Err("unknown flag given".into())),
                }
            }
            _ => {
                return Ok(Err(
                    "unknown argument given to redis.register_function".into()
                ));
            }
        }
    }
    let Some(name) = name else {
        return Ok(Err(
            "redis.register_function must get a function name argument".into(),
        ));
    };
    let Some(callback) = callback else {
        return Ok(Err(
            "redis.register_function must get a callback argument".into()
        ));
    };
    let function = FunctionInfo {
        name,
        description,
        flags,
    };
    Ok(Ok((function, callback)))
}

fn read_flags(words: &Table) -> mlua::Result<Option<ScriptFlags>> {
    let mut flags = ScriptFlags::default();
    for at in 1.. {
        let word = words.get::<Value>(at)?;
        if word == Value::Nil {
            break;
        }
        let word = text(&word).unwrap_or_default();
        let known = ScriptFlags::WORDS
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(&word));
        match known {
            Some((_, flag)) => flags.set(*flag),
            None => return Ok(None),
        }
    }
    Ok(Some(flags))
}

/// Runs FCALL and FCALL_RO. No other script runs.
pub(crate) fn fcall(ctx: &mut Ctx<'_>, words: Args<'_>, read_only: bool) -> CmdResult {
    let engine = ctx.engine();
    let scripts = &engine.scripts;
    let Some(found) = scripts.libraries.function(words[1]) else {
        return Err(ReplyError::err("Function not found"));
    };
    if basalt_formats::num::parse_i64(words[2]).is_none() {
        return Err(ReplyError::err("Bad number of keys provided"));
    }
    let call = Call::parse(words, read_only)?;
    scripts.vm(Kind::Functions, |vm| {
        let Some((_, f)) = vm.functions.get(&found.name) else {
            return Err(ReplyError::err("Function not found"));
        };
        let entry = call.entry(f, true);
        perform(ctx, vm, &call, entry, (&found.shown, found.flags))
    })
}
