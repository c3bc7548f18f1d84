//! Libraries that scripts find besides Lua's own: written for this server, with the results of
//! those that Redis ships.

mod base;
mod bit;
mod call;
mod cjson;
mod cmsgpack;
pub(super) mod levels;
mod patterns;
pub(super) mod random;
mod structs;
#[cfg(test)]
mod tests;

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::raised::library_error;
pub(super) use base::loaded;

/// What a function of a library comes to: its results, or a message.
pub(super) type Outcome = Result<Vec<Value>, String>;

/// Name of Lua's `next` in the registry.
const NEXT: &str = "next";

/// Name, in the registry, of the table from what scripts see of protected tables to what is
/// behind it.
pub(super) const BEHIND: &str = "behind";

/// Name, in the registry, of the table from what scripts see of protected tables to the metatable
/// they see on it; that of strings is under `true`.
pub(super) const SHOWN: &str = "shown";

/// Name, in the registry, of the globals of scripts.
pub(super) const WORLD: &str = "world";

/// The key, in the environment of the sandbox's own functions, that scripts are not shown it.
const PRIVATE: &str = "private";

/// The pair that follows a key, by Lua's `next`, which is kept for the pairs to come.
pub(super) fn after(
    lua: &Lua,
    next: &mut Option<Function>,
    table: &Table,
    key: Value,
) -> mlua::Result<(Value, Value)> {
    let next = match next {
        Some(next) => next,
        none => none.insert(lua.named_registry_value(NEXT)?),
    };
    next.call((table, key))
}

/// The table that a table stands for, if it is one that scripts may not change.
fn unveiled(lua: &Lua, table: Table) -> mlua::Result<Table> {
    if table.metatable().is_none() {
        return Ok(table);
    }
    let behind: Table = lua.named_registry_value(BEHIND)?;
    let real: Option<Table> = behind.raw_get(&table)?;
    Ok(real.unwrap_or(table))
}

/// All libraries by name. The globals are still those of Lua.
pub(super) fn all(lua: &Lua) -> mlua::Result<Table> {
    lua.set_named_registry_value(NEXT, lua.globals().get::<Function>("next")?)?;
    let table = lua.create_table()?;
    table.set("bit", bit::table(lua)?)?;
    table.set("cjson", cjson::table(lua)?)?;
    table.set("cmsgpack", cmsgpack::table(lua)?)?;
    table.set("struct", structs::table(lua)?)?;
    Ok(table)
}

/// Functions in the place of Lua's own, by the library they are in. The globals are still those of
/// Lua.
pub(super) fn replaced(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("base", base::table(lua)?)?;
    table.set("table", base::lists(lua)?)?;
    table.set("string", patterns::table(lua)?)?;
    table.set("max_pattern", patterns::MAX_PATTERN)?;
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
