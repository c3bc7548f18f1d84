//! A call of a library function: its arguments, read and refused as C functions of Lua do it.
//!
//! Messages name the function as the script called it, so they come from the stack, not from
//! the table of functions. Raised errors begin with the line that called.

use mlua::{Error, Function, Lua, LuaString, MultiValue, Table, Value};

use super::type_name;
use crate::script::raised::{Raised, library_error};
use crate::script::reply::as_integer;

/// Slots that a C function may use of Lua's stack. Nested data ends there in Redis, whatever
/// the configured depth.
pub(super) const STACK_SLOTS: usize = 8000;
/// Results that a function can give back. A few of the slots are needed on the way, so this is a
/// little less than in Redis.
pub(super) const MAX_RESULTS: usize = STACK_SLOTS - 100;
/// Bytes that one function may make: as many as a string of a database may have.
pub(super) const MAX_OUTPUT: usize = if cfg!(test) { 1 << 24 } else { 1 << 29 };

/// The arguments of a call.
pub(super) struct Call<'a> {
    pub lua: &'a Lua,
    pub args: Vec<Value>,
}

/// A function for scripts.
pub(super) fn function<F>(lua: &Lua, f: F) -> mlua::Result<Function>
where
    F: Fn(&Call<'_>) -> mlua::Result<MultiValue> + Send + Sync + 'static,
{
    lua.create_function(move |lua, args: MultiValue| f(&Call::new(lua, args)))
}

/// An error of one of Lua's own functions as that function raised it, without the places that
/// `mlua` adds.
pub(super) fn native_error(error: Error) -> Error {
    match error {
        Error::RuntimeError(text) => {
            let end = text.find("\nstack traceback:").unwrap_or(text.len());
            Error::RuntimeError(text.get(..end).unwrap_or_default().into())
        }
        other => other,
    }
}

/// One result.
pub(super) fn one(value: Value) -> mlua::Result<MultiValue> {
    Ok(MultiValue::from_vec(vec![value]))
}

/// An error without a place.
pub(super) fn bare(message: &str) -> Error {
    Error::external(Raised {
        text: message.into(),
        table: false,
        counted: false,
    })
}

/// Ends the walk over a table; nobody sees it.
pub(super) fn walk_ends() -> Error {
    Error::RuntimeError(String::new())
}

/// What Lua says when it has no memory left.
pub(super) fn out_of_memory() -> Error {
    bare("not enough memory")
}

/// Room for results and nested data is used up.
pub(super) fn stack_overflow(lua: &Lua, what: &str) -> Error {
    raise(lua, format!("stack overflow ({what})"))
}

/// An error with the line that called the function.
pub(super) fn raise(lua: &Lua, message: impl AsRef<[u8]>) -> Error {
    library_error(lua, message)
}

impl<'a> Call<'a> {
    pub fn new(lua: &'a Lua, args: MultiValue) -> Call<'a> {
        Call {
            lua,
            args: args.into_vec(),
        }
    }

    /// An argument, counted from 1.
    pub fn get(&self, at: usize) -> Option<&Value> {
        self.args.get(at.checked_sub(1)?)
    }

    /// A wrong argument; 0 stands for all of them.
    pub fn bad(&self, at: usize, why: impl AsRef<[u8]>) -> Error {
        let (name, method) = self
            .lua
            .inspect_stack(0, |debug| {
                let names = debug.names();
                let method = names.name_what == Some("method");
                (names.name.map(|name| name.into_owned()), method)
            })
            .unwrap_or_default();
        let name = name.unwrap_or_else(|| "?".into());
        // The object of a method call is not counted.
        let at = at as i64 - i64::from(method);
        let mut message = if method && at == 0 {
            format!("calling '{name}' on bad self (")
        } else {
            format!("bad argument #{at} to '{name}' (")
        }
        .into_bytes();
        message.extend_from_slice(why.as_ref());
        message.push(b')');
        raise(self.lua, message)
    }

    pub fn wrong_type(&self, at: usize, expected: &str) -> Error {
        let got = type_name(self.get(at));
        self.bad(at, format!("{expected} expected, got {got}"))
    }

    /// An argument of any kind.
    pub fn any(&self, at: usize) -> mlua::Result<&Value> {
        self.get(at).ok_or_else(|| self.bad(at, "value expected"))
    }

    /// A table.
    pub fn table(&self, at: usize) -> mlua::Result<&Table> {
        match self.get(at) {
            Some(Value::Table(table)) => Ok(table),
            _ => Err(self.wrong_type(at, "table")),
        }
    }

    /// A string, or a number that Lua will take as its digits.
    pub fn text(&self, at: usize) -> mlua::Result<&Value> {
        match self.get(at) {
            Some(text @ (Value::String(_) | Value::Integer(_) | Value::Number(_))) => Ok(text),
            _ => Err(self.wrong_type(at, "string")),
        }
    }

    /// A string; a number is taken as its digits.
    pub fn string(&self, at: usize) -> mlua::Result<LuaString> {
        let text = match self.get(at) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(number @ (Value::Integer(_) | Value::Number(_))) => {
                self.lua.coerce_string(number.clone())?
            }
            _ => None,
        };
        text.ok_or_else(|| self.wrong_type(at, "string"))
    }

    /// A number, also one spelled in a string.
    pub fn number(&self, at: usize) -> mlua::Result<f64> {
        self.get(at)
            .and_then(|value| as_number(self.lua, value))
            .ok_or_else(|| self.wrong_type(at, "number"))
    }

    /// A number without its fraction.
    pub fn integer(&self, at: usize) -> mlua::Result<i64> {
        self.number(at).map(as_integer)
    }

    /// A number without its fraction, or `default` if there is none.
    pub fn integer_or(&self, at: usize, default: i64) -> mlua::Result<i64> {
        match self.get(at) {
            None | Some(Value::Nil) => Ok(default),
            Some(_) => self.integer(at),
        }
    }
}

/// The number that a value is.
pub(super) fn number_in(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        _ => None,
    }
}

/// The number that a value is or spells.
pub(super) fn as_number(lua: &Lua, value: &Value) -> Option<f64> {
    match value {
        text @ Value::String(_) => lua.coerce_number(text.clone()).ok().flatten(),
        _ => number_in(value),
    }
}

/// A number as `size_t` or `unsigned long`, as compilers for x86-64 convert it.
pub(super) fn as_unsigned(number: f64) -> u64 {
    const TOP: f64 = 9_223_372_036_854_775_808.0;
    if number >= TOP {
        as_integer(number - TOP).cast_unsigned() ^ 1 << 63
    } else {
        as_integer(number).cast_unsigned()
    }
}
