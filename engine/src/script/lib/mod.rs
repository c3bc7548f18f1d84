//! Libraries that scripts find besides Lua's own: written for this server, with the results of
//! those that Redis ships.

pub(super) mod random;

use mlua::{Lua, MultiValue, Table, Value};

use super::raised::library_error;

/// What a function of a library comes to: its results, or a message.
pub(super) type Outcome = Result<Vec<Value>, String>;

/// All libraries by name.
pub(super) fn all(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    Ok(table)
}

/// Results for Lua; a message is raised with the line that called.
fn answer(lua: &Lua, outcome: Outcome) -> mlua::Result<MultiValue> {
    match outcome {
        Ok(results) => Ok(MultiValue::from_vec(results)),
        Err(message) => Err(library_error(lua, &message)),
    }
}

/// One result.
fn one(value: Value) -> Outcome {
    Ok(vec![value])
}

/// The message for a wrong argument; they are counted from 1.
fn bad_argument(at: usize, function: &str, why: &str) -> String {
    format!("bad argument #{at} to '{function}' ({why})")
}

/// The name of a value's type, for messages.
fn type_name(value: Option<&Value>) -> &'static str {
    match value {
        None => "no value",
        Some(Value::Integer(_) | Value::Number(_)) => "number",
        Some(Value::Error(_)) => "userdata",
        Some(Value::LightUserData(_)) => "userdata",
        Some(value) => value.type_name(),
    }
}

/// A number, also one spelled in a string.
fn number_arg(args: &[Value], at: usize, function: &str) -> Result<f64, String> {
    let number = match args.get(at) {
        Some(Value::Integer(n)) => Some(*n as f64),
        Some(Value::Number(n)) => Some(*n),
        Some(Value::String(text)) => lua_number(&text.as_bytes()),
        _ => None,
    };
    number.ok_or_else(|| {
        let got = type_name(args.get(at));
        bad_argument(at + 1, function, &format!("number expected, got {got}"))
    })
}

/// A number cut to 32 bits, as a C `int` made of it.
fn int_arg(args: &[Value], at: usize, function: &str) -> Result<i32, String> {
    let number = number_arg(args, at, function)?;
    Ok(super::reply::as_integer(number) as i32)
}

/// Text as Lua reads a number: decimal or hexadecimal, blanks around it.
fn lua_number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok()? as f64,
        None if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            digits.parse().ok()?
        }
        None => return None,
    };
    Some(if negative { -value } else { value })
}
