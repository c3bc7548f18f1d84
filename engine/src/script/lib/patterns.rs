//! `string.find`, `string.match` and `string.gmatch`: Lua's own behind checks. Its matcher calls
//! itself for items of a pattern, so a pattern as long as a script likes would use up the stack.

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::call::{self, Call, native_error, raise};

/// Longest pattern.
pub(in crate::script) const MAX_PATTERN: usize = 4096;

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let std: Table = lua.globals().get("string")?;
    for (name, kind) in [
        ("find", Kind::Find),
        ("match", Kind::Match),
        ("gmatch", Kind::Each),
    ] {
        let native: Function = std.get(name)?;
        let f = call::function(lua, move |call| search(call, kind, &native))?;
        table.set(name, f)?;
    }
    Ok(table)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Find,
    Match,
    Each,
}

fn search(call: &Call<'_>, kind: Kind, native: &Function) -> mlua::Result<MultiValue> {
    let subject = call.text(1)?;
    let pattern = call.text(2)?;
    let start = match call.get(3) {
        None | Some(Value::Nil) => None,
        Some(_) if kind == Kind::Each => None,
        Some(_) => Some(call.number(3)?),
    };
    let plain = kind == Kind::Find
        && !matches!(call.get(4), None | Some(Value::Nil | Value::Boolean(false)));
    if let Value::String(text) = pattern
        && !plain
        && text.as_bytes().len() > MAX_PATTERN
    {
        return Err(raise(call.lua, "pattern too complex"));
    }
    let results = match kind {
        Kind::Each => native.call((subject, pattern)),
        Kind::Match => native.call((subject, pattern, start)),
        Kind::Find => native.call((subject, pattern, start, plain)),
    };
    results.map_err(|error| match native_error(error) {
        mlua::Error::RuntimeError(text) => raise(call.lua, text),
        other => other,
    })
}
