//! Functions of the base and table libraries that would show or change what is behind the tables
//! scripts see, in the place of Lua's own.
//!
//! They are functions of the host, not of the sandbox's Lua: only such a function finds the line
//! that called it when the call is the last thing a script's function does.

use mlua::{Function, Lua, MultiValue, Table, Value};

use super::call::{self, Call, as_number, bare, native_error, one, raise};
use super::{BEHIND, PRIVATE, SHOWN, WORLD, after, unveiled};
use crate::script::reply::as_integer;
use crate::script::vm::compile;

const READ_ONLY: &str = "Attempt to modify a readonly table";

/// Functions for scripts by name. The globals are still those of Lua.
pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let add = |name: &str, f: fn(&Call<'_>) -> mlua::Result<MultiValue>| {
        table.set(name, call::function(lua, f)?)
    };
    add("rawget", raw_get)?;
    add("rawset", raw_set)?;
    add("getmetatable", get_metatable)?;
    add("setmetatable", set_metatable)?;
    add("getfenv", get_env)?;
    add("setfenv", set_env)?;
    add("loadstring", load_string)?;
    let next: Function = lua.globals().get("next")?;
    let seen = call::function(lua, next_seen)?;
    table.set("next", &seen)?;
    table.set(
        "pairs",
        call::function(lua, move |call| pairs(call, &next, &seen))?,
    )?;
    Ok(table)
}

/// `table.insert` and `table.remove`.
pub(super) fn lists(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let std: Table = lua.globals().get("table")?;
    let insert_at: Function = std.get("insert")?;
    table.set(
        "insert",
        call::function(lua, move |call| insert(call, &insert_at))?,
    )?;
    let remove_at: Function = std.get("remove")?;
    table.set(
        "remove",
        call::function(lua, move |call| remove(call, &remove_at))?,
    )?;
    Ok(table)
}

fn none() -> mlua::Result<MultiValue> {
    Ok(MultiValue::new())
}

/// Whether scripts see a table in the place of another one, which they may not change.
fn is_veil(lua: &Lua, table: &Table) -> mlua::Result<bool> {
    if table.metatable().is_none() {
        return Ok(false);
    }
    let behind: Table = lua.named_registry_value(BEHIND)?;
    Ok(!behind.raw_get::<Value>(table)?.is_nil())
}

/// The error of a write to a table that scripts may not change: as from inside C, without a
/// line.
fn writable(lua: &Lua, table: &Table) -> mlua::Result<()> {
    if is_veil(lua, table)? {
        return Err(bare(READ_ONLY));
    }
    Ok(())
}

fn raw_get(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let table = call.table(1)?;
    let key = call.any(2)?;
    one(unveiled(call.lua, table.clone())?.raw_get(key)?)
}

fn raw_set(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let table = call.table(1)?;
    let key = call.any(2)?;
    let value = call.any(3)?;
    writable(call.lua, table)?;
    match key {
        Value::Nil => return Err(bare("table index is nil")),
        Value::Number(n) if n.is_nan() => return Err(bare("table index is NaN")),
        _ => {}
    }
    table.raw_set(key, value)?;
    one(Value::Table(table.clone()))
}

fn next_seen(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let table = unveiled(call.lua, call.table(1)?.clone())?;
    let key = call.get(2).cloned().unwrap_or(Value::Nil);
    let (key, value) = after(call.lua, &mut None, &table, key).map_err(native_error)?;
    if key.is_nil() {
        return one(Value::Nil);
    }
    Ok(MultiValue::from_vec(vec![key, value]))
}

fn pairs(call: &Call<'_>, next: &Function, seen: &Function) -> mlua::Result<MultiValue> {
    let table = call.table(1)?;
    let next = if is_veil(call.lua, table)? {
        seen
    } else {
        next
    };
    Ok(MultiValue::from_vec(vec![
        Value::Function(next.clone()),
        Value::Table(table.clone()),
        Value::Nil,
    ]))
}

fn get_metatable(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let shown = |value: &Value| -> mlua::Result<Value> {
        let shown: Table = call.lua.named_registry_value(SHOWN)?;
        shown.raw_get(value)
    };
    let table = match call.any(1)? {
        // Strings share one, which is kept under any of them.
        Value::String(_) => return one(shown(&Value::Boolean(true))?),
        Value::Table(table) => table,
        _ => return one(Value::Nil),
    };
    let Some(meta) = table.metatable() else {
        return one(Value::Nil);
    };
    if is_veil(call.lua, table)? {
        return one(shown(&Value::Table(table.clone()))?);
    }
    match meta.raw_get::<Value>("__metatable")? {
        Value::Nil => one(Value::Table(meta)),
        instead => one(instead),
    }
}

fn set_metatable(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let table = call.table(1)?;
    let meta = match call.get(2) {
        Some(Value::Table(meta)) => Some(meta.clone()),
        Some(Value::Nil) => None,
        _ => return Err(call.bad(2, "nil or table expected")),
    };
    if let Some(old) = table.metatable() {
        writable(call.lua, table)?;
        if !old.raw_get::<Value>("__metatable")?.is_nil() {
            return Err(raise(call.lua, "cannot change a protected metatable"));
        }
    }
    table.set_metatable(meta)?;
    one(Value::Table(table.clone()))
}

/// What `getfenv` and `setfenv` are about.
enum Whose {
    /// A function, or the one at a level of the stack.
    Function(Function),
    /// The state itself.
    State,
}

/// The function that the first argument names. The stack at level 0 is the function called.
fn whose(call: &Call<'_>, default: Option<f64>) -> mlua::Result<Whose> {
    let level = match (call.get(1), default) {
        (Some(Value::Function(f)), _) => return Ok(Whose::Function(f.clone())),
        (None | Some(Value::Nil), Some(level)) => level,
        _ => call.number(1)?,
    };
    let level = as_integer(level);
    let Ok(depth) = usize::try_from(level) else {
        return Err(call.bad(1, "level must be non-negative"));
    };
    if depth == 0 {
        return Ok(Whose::State);
    }
    let found = i32::try_from(level).ok().and_then(|_| {
        call.lua.inspect_stack(depth, |debug| {
            let lost = debug.source().what == "tail";
            (!lost).then(|| debug.function())
        })
    });
    match found {
        None => Err(call.bad(1, "invalid level")),
        Some(None) => Err(raise(
            call.lua,
            format!("no function environment for tail call at level {level}"),
        )),
        Some(Some(f)) => Ok(Whose::Function(f)),
    }
}

/// The environment of a function of a script; none of the sandbox's own and of the host's.
fn environment(f: &Function) -> mlua::Result<Option<Table>> {
    let Some(env) = f.environment() else {
        return Ok(None);
    };
    let hidden: Value = env.raw_get(PRIVATE)?;
    Ok(hidden.is_nil().then_some(env))
}

fn get_env(call: &Call<'_>) -> mlua::Result<MultiValue> {
    if let Whose::Function(f) = whose(call, Some(1.0))?
        && let Some(env) = environment(&f)?
    {
        return one(Value::Table(env));
    }
    one(Value::Table(call.lua.named_registry_value(WORLD)?))
}

fn set_env(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let Some(Value::Table(env)) = call.get(2) else {
        return Err(call.wrong_type(2, "table"));
    };
    let f = match whose(call, None)? {
        Whose::Function(f) => f,
        // The state is everybody's.
        Whose::State => return Err(raise(call.lua, READ_ONLY)),
    };
    if environment(&f)?.is_none() {
        return Err(raise(
            call.lua,
            "'setfenv' cannot change environment of given object",
        ));
    }
    f.set_environment(env.clone())?;
    one(Value::Function(f))
}

fn load_string(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let code = call.string(1)?;
    let name = match call.get(2) {
        None | Some(Value::Nil) => code.clone(),
        Some(_) => call.string(2)?,
    };
    loaded(call.lua, &code.as_bytes(), &name.to_string_lossy())
}

/// Code as a function in the world of scripts; or nothing, and why.
pub(in crate::script) fn loaded(lua: &Lua, code: &[u8], name: &str) -> mlua::Result<MultiValue> {
    let name = name.split('\0').next().unwrap_or_default();
    match compile(lua, name, code) {
        Ok(f) => {
            f.set_environment(lua.named_registry_value(WORLD)?)?;
            one(Value::Function(f))
        }
        Err(message) => Ok(MultiValue::from_vec(vec![
            Value::Nil,
            Value::String(lua.create_string(message)?),
        ])),
    }
}

fn insert(call: &Call<'_>, insert_at: &Function) -> mlua::Result<MultiValue> {
    let table = call.table(1)?;
    match call.args.as_slice() {
        [_, value] => {
            writable(call.lua, table)?;
            table.raw_push(value)?;
        }
        [_, at, value] => {
            let at = as_number(call.lua, at).ok_or_else(|| call.wrong_type(2, "number"))?;
            writable(call.lua, table)?;
            insert_at.call::<()>((table, at, value))?;
        }
        _ => {
            return Err(raise(call.lua, "wrong number of arguments to 'insert'"));
        }
    }
    none()
}

fn remove(call: &Call<'_>, remove_at: &Function) -> mlua::Result<MultiValue> {
    let table = call.table(1)?;
    let at = match call.get(2) {
        None | Some(Value::Nil) => None,
        Some(at) => Some(as_number(call.lua, at).ok_or_else(|| call.wrong_type(2, "number"))?),
    };
    match at {
        // What is seen of a table that scripts may not change has no elements.
        _ if table.raw_len() == 0 => none(),
        None => one(table.raw_pop()?),
        Some(at) => remove_at.call((table, at)),
    }
}

#[cfg(test)]
mod tests {
    use crate::script::tests::ev;

    #[test]
    fn a_last_call_has_its_line() {
        for (call, text) in [
            (
                "rawget(1, 2)",
                "bad argument #1 to 'rawget' (table expected, got number)",
            ),
            (
                "rawset({}, 1)",
                "bad argument #3 to 'rawset' (value expected)",
            ),
            (
                "pairs()",
                "bad argument #1 to 'pairs' (table expected, got no value)",
            ),
            (
                "next(nil)",
                "bad argument #1 to 'next' (table expected, got nil)",
            ),
            (
                "setmetatable({})",
                "bad argument #2 to 'setmetatable' (nil or table expected)",
            ),
            (
                "getmetatable()",
                "bad argument #1 to 'getmetatable' (value expected)",
            ),
            (
                "getfenv({})",
                "bad argument #1 to 'getfenv' (number expected, got table)",
            ),
            (
                "getfenv(-1)",
                "bad argument #1 to 'getfenv' (level must be non-negative)",
            ),
            (
                "setfenv(99, {})",
                "bad argument #1 to 'setfenv' (invalid level)",
            ),
            (
                "setfenv(string.len, {})",
                "'setfenv' cannot change environment of given object",
            ),
            (
                "loadstring({})",
                "bad argument #1 to 'loadstring' (string expected, got table)",
            ),
            (
                "table.insert(1, 2)",
                "bad argument #1 to 'insert' (table expected, got number)",
            ),
            (
                "table.insert({}, 1, 2, 3)",
                "wrong number of arguments to 'insert'",
            ),
            (
                "table.remove({}, {})",
                "bad argument #2 to 'remove' (number expected, got table)",
            ),
            ("string.find('x', '[a')", "malformed pattern (missing ']')"),
            (
                "string.match('x')",
                "bad argument #2 to 'match' (string expected, got no value)",
            ),
            (
                "string.find('x', 'x', {})",
                "bad argument #3 to 'find' (number expected, got table)",
            ),
            (
                "('x'):find({})",
                "bad argument #1 to 'find' (string expected, got table)",
            ),
        ] {
            let script = format!("return {{pcall(function()\n return {call} end)}}");
            let text = format!("user_script:2: {text}");
            let expected = format!("*2\r\n$-1\r\n${}\r\n{text}\r\n", text.len());
            assert_eq!(ev(&script), expected, "{call}");
        }
        for (call, text) in [
            ("rawset({}, nil, 1)", "table index is nil"),
            ("rawset({}, 0/0, 1)", "table index is NaN"),
            ("next({}, 'x')", "invalid key to 'next'"),
            ("rawset(_G, 'x', 1)", "Attempt to modify a readonly table"),
        ] {
            let script = format!("return {{pcall(function() return {call} end)}}");
            let expected = format!("*2\r\n$-1\r\n${}\r\n{text}\r\n", text.len());
            assert_eq!(ev(&script), expected, "{call}");
        }
    }

    #[test]
    fn results_are_those_of_lua() {
        for (script, reply) in [
            (
                "local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) return t",
                "*4\r\n:0\r\n:1\r\n:2\r\n:3\r\n",
            ),
            (
                "local t = {1, 2, 3} return {table.remove(t, 1), table.remove(t), #t, select('#', table.remove({}))}",
                "*4\r\n:1\r\n:3\r\n:1\r\n:0\r\n",
            ),
            ("return {unpack({1, 2, 3}, 2)}", "*2\r\n:2\r\n:3\r\n"),
            (
                "return {select('#', unpack({}, 1, 7000)), select('#', unpack({}, 2, 1))}",
                "*2\r\n:7000\r\n:0\r\n",
            ),
            (
                "local t = {} for i = 1, 7990 do t[i] = 'v' .. i end return {select('#', unpack(t)), (select(7990, unpack(t)))}",
                "*2\r\n:7990\r\n$5\r\nv7990\r\n",
            ),
            ("return setfenv(1, {})", "$-1\r\n"),
            (
                "local f = setfenv(function() return x end, {x = 7}) return {f(), getfenv(f).x}",
                "*2\r\n:7\r\n:7\r\n",
            ),
            (
                "return {tostring(getfenv() == _G), tostring(getfenv(0) == _G), tostring(getfenv(string.len) == _G), tostring(getfenv(pcall) == _G)}",
                "*4\r\n$4\r\ntrue\r\n$4\r\ntrue\r\n$4\r\ntrue\r\n$4\r\ntrue\r\n",
            ),
            (
                "local t = setmetatable({}, {__metatable = 5}) return {getmetatable(t), pcall(setmetatable, t, nil)}",
                "*3\r\n:5\r\n$-1\r\n$35\r\ncannot change a protected metatable\r\n",
            ),
            (
                "local n = 0 for k, v in pairs(redis) do if next(redis) then n = 1 end end return {n, type(rawget(_G, 'redis')), type(rawget(redis, 'call'))}",
                "*3\r\n:1\r\n$5\r\ntable\r\n$8\r\nfunction\r\n",
            ),
            (
                "return {loadstring('return ...')(5), (loadstring('return +'))}",
                "*1\r\n:5\r\n",
            ),
            (
                "return {('a.b'):find('.', 1, true), ('key=val'):match('(%w+)=(%w+)'), ('a b'):gmatch('%a')()}",
                "*3\r\n:2\r\n$3\r\nkey\r\n$1\r\na\r\n",
            ),
            (
                "return tostring(rawequal(getmetatable('').__index, string))",
                "$4\r\ntrue\r\n",
            ),
        ] {
            assert_eq!(ev(script), reply, "{script}");
        }
    }
}
