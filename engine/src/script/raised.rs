//! Errors that functions of the host raise in a script.
//!
//! Lua carries them as values of its own kind; the sandbox and the handler of errors make of them
//! what a script expects: a table with the text in `err`, or a string that begins with the place.

use mlua::{Error, Lua, Value};

use super::reply::error_table;

/// An error raised by the host.
#[derive(Debug, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(text))]
pub(super) struct Raised {
    pub text: Vec<u8>,
    /// It is a table for scripts, not a string.
    pub table: bool,
    /// It was counted where it arose.
    pub counted: bool,
}

/// Raised to end what was killed, whatever the script does.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Stop(pub &'static str);

/// The error of a command, as a table.
pub(super) fn command_error(text: Vec<u8>, counted: bool) -> Error {
    Error::external(Raised {
        text,
        table: true,
        counted,
    })
}

/// An error of a library function, as a string with the line that called it.
pub(super) fn library_error(lua: &Lua, message: impl AsRef<[u8]>) -> Error {
    let place = lua.inspect_stack(1, |debug| {
        let line = debug.current_line()?;
        let source = debug.source();
        Some(format!("{}:{line}: ", source.short_src.as_deref()?))
    });
    let mut text = place.flatten().unwrap_or_default().into_bytes();
    text.extend_from_slice(message.as_ref());
    Error::external(Raised {
        text,
        table: false,
        counted: false,
    })
}

/// The error at the bottom of what `mlua` wraps around it.
fn cause(error: &Error) -> &Error {
    let mut at = error;
    while let Error::CallbackError { cause, .. } = at {
        at = cause;
    }
    at
}

/// An error of the host as a script gets it from `pcall`.
pub(super) fn as_value(lua: &Lua, error: &Error) -> mlua::Result<Value> {
    let error = cause(error);
    if let Some(raised) = error.downcast_ref::<Raised>() {
        return if raised.table {
            error_table(lua, &raised.text, raised.counted)
        } else {
            Ok(Value::String(lua.create_string(&raised.text)?))
        };
    }
    Ok(Value::String(lua.create_string(plain(error))?))
}

/// The text of an error for a reply, with its code, and whether it was counted.
pub(super) fn text_of(error: &Error) -> (Vec<u8>, bool) {
    let error = cause(error);
    if let Some(raised) = error.downcast_ref::<Raised>() {
        return if raised.table {
            (raised.text.clone(), raised.counted)
        } else {
            ([b"ERR ", raised.text.as_slice()].concat(), false)
        };
    }
    (format!("ERR {}", plain(error)).into_bytes(), false)
}

fn plain(error: &Error) -> String {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stop.0.into();
    }
    match error {
        Error::MemoryError(_) => "not enough memory".into(),
        Error::RuntimeError(text) => text.clone(),
        Error::StackError => "stack overflow".into(),
        other => other.to_string(),
    }
}
