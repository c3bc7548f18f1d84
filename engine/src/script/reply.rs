//! Replies as Lua values, and Lua values as replies, by Redis's rules.

use basalt_formats::num;
use mlua::{Function, Lua, LuaString, Table, Value};

use super::lib::after;
use super::lib::levels::{Level, Levels};

use crate::reply::{Aggregate, Deferred, Reply};
use crate::{ReplyError, shown};

/// Values inside values that a reply of ours can hold.
const MAX_DEPTH: usize = 64;
/// Tables inside tables that a script's result can hold: where the Lua stack of Redis ends.
const MAX_NESTED: usize = 7_997;

/// One encoded reply as a Lua value. Attributes are left out.
pub(super) fn to_lua(lua: &Lua, reply: &[u8]) -> mlua::Result<Value> {
    let mut rest = reply;
    value(lua, &mut rest, 0)
}

fn malformed() -> mlua::Error {
    mlua::Error::runtime("malformed reply")
}

/// Takes the bytes up to the next line end.
fn line<'a>(rest: &mut &'a [u8]) -> mlua::Result<&'a [u8]> {
    let bytes = *rest;
    let end = bytes
        .iter()
        .position(|&byte| byte == b'\r')
        .ok_or_else(malformed)?;
    *rest = bytes.get(end + 2..).ok_or_else(malformed)?;
    bytes.get(..end).ok_or_else(malformed)
}

/// Takes `len` bytes and a line end.
fn bytes<'a>(rest: &mut &'a [u8], len: usize) -> mlua::Result<&'a [u8]> {
    let all = *rest;
    let after = len.checked_add(2).ok_or_else(malformed)?;
    *rest = all.get(after..).ok_or_else(malformed)?;
    all.get(..len).ok_or_else(malformed)
}

fn count(text: &[u8]) -> mlua::Result<Option<usize>> {
    let n = num::parse_i64(text).ok_or_else(malformed)?;
    Ok(usize::try_from(n).ok())
}

/// A table with one field.
pub(super) fn tagged(lua: &Lua, field: &str, value: impl mlua::IntoLua) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(field, value)?;
    Ok(Value::Table(table))
}

/// The table for an error that a command answered, which counts as noted already.
pub(super) fn error_table(lua: &Lua, text: &[u8], counted: bool) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set("err", lua.create_string(text)?)?;
    if counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(Value::Table(table))
}

/// The text of an error table made from a message: one with a leading `-` names its code, any
/// other gets the code `ERR`.
pub(super) fn error_text(message: &[u8]) -> Vec<u8> {
    let message = message.split(|&byte| byte == 0).next().unwrap_or_default();
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let trim = |text: &[u8]| -> Vec<u8> {
        let start = text.iter().position(|byte| !is_break(byte));
        let end = text.iter().rposition(|byte| !is_break(byte));
        match (start, end) {
            (Some(start), Some(end)) => text[start..=end].to_vec(),
            _ => Vec::new(),
        }
    };
    let (code, text) = match message.strip_prefix(b"-") {
        None => (&b"ERR"[..], message),
        Some(rest) => match rest.iter().position(|&byte| byte == b' ') {
            None => (&b"ERR"[..], rest),
            Some(at) => (&rest[..at], &rest[at + 1..]),
        },
    };
    [code, b" ", &trim(text)].concat()
}

fn value(lua: &Lua, rest: &mut &[u8], depth: usize) -> mlua::Result<Value> {
    if depth > MAX_DEPTH {
        return Err(malformed());
    }
    let head = line(rest)?;
    let (&kind, text) = head.split_first().ok_or_else(malformed)?;
    Ok(match kind {
        b':' => {
            let n = num::parse_i64(text).ok_or_else(malformed)?;
            Value::Number(n as f64)
        }
        b'$' => match count(text)? {
            Some(len) => Value::String(lua.create_string(bytes(rest, len)?)?),
            None => Value::Boolean(false),
        },
        b'+' => tagged(lua, "ok", lua.create_string(text)?)?,
        b'-' => error_table(lua, &error_text(head), true)?,
        b'*' | b'>' => match count(text)? {
            None => Value::Boolean(false),
            Some(len) => {
                let table = lua.create_table()?;
                for at in 1..=len {
                    let element = value(lua, rest, depth + 1)?;
                    table.raw_set(at, element)?;
                }
                Value::Table(table)
            }
        },
        b'%' => {
            let table = lua.create_table()?;
            for _ in 0..count(text)?.unwrap_or(0) {
                let key = value(lua, rest, depth + 1)?;
                let element = value(lua, rest, depth + 1)?;
                table.raw_set(key, element)?;
            }
            tagged(lua, "map", table)?
        }
        b'~' => {
            let table = lua.create_table()?;
            for _ in 0..count(text)?.unwrap_or(0) {
                table.raw_set(value(lua, rest, depth + 1)?, true)?;
            }
            tagged(lua, "set", table)?
        }
        b'|' => {
            for _ in 0..count(text)?.unwrap_or(0) {
                value(lua, rest, depth + 1)?;
                value(lua, rest, depth + 1)?;
            }
            value(lua, rest, depth + 1)?
        }
        b'_' => Value::Nil,
        b'#' => Value::Boolean(text == b"t"),
        b',' => tagged(lua, "double", double(text))?,
        b'(' => tagged(lua, "big_number", lua.create_string(text)?)?,
        b'=' => {
            let len = count(text)?.ok_or_else(malformed)?;
            let (format, text) = bytes(rest, len)?
                .split_at_checked(4)
                .ok_or_else(malformed)?;
            let table = lua.create_table()?;
            table.raw_set("string", lua.create_string(text)?)?;
            table.raw_set("format", lua.create_string(&format[..3])?)?;
            tagged(lua, "verbatim_string", table)?
        }
        _ => return Err(malformed()),
    })
}

fn double(text: &[u8]) -> f64 {
    match text {
        b"inf" => f64::INFINITY,
        b"-inf" => f64::NEG_INFINITY,
        _ => num::parse_f64(text).unwrap_or(f64::NAN),
    }
}

/// A number as Redis makes an integer of it: what does not fit is the smallest there is.
pub(super) fn as_integer(number: f64) -> i64 {
    let held = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    if held.contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// A string as C sees it: up to its first NUL.
fn c_string(text: &LuaString) -> Vec<u8> {
    let bytes = text.as_bytes();
    bytes
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default()
        .to_vec()
}

/// Writes a script's result. `resp` is the protocol the script chose with `redis.setresp`.
/// An error that is the whole result and has not been counted yet is returned; `noted` hears of
/// every other one, which it gets unless it was counted.
pub(super) fn from_lua(
    lua: &Lua,
    value: Value,
    resp: u8,
    out: &mut Reply,
    noted: &mut dyn FnMut(Option<&ReplyError>),
) -> Result<(), ReplyOrLua> {
    let mut outer = Levels::new(lua);
    let mut headers: Vec<(Deferred, Aggregate)> = Vec::new();
    let mut open: Option<Level> = None;
    let mut lua_next = None;
    let mut next = Some(value);
    loop {
        if let Some(value) = next.take() {
            if headers.len() >= MAX_NESTED {
                out.error(&ReplyError::err("reached lua stack limit"));
            } else if let Some((kind, table)) = one(value, resp, out, headers.is_empty(), noted)? {
                headers.push((out.deferred(), kind));
                let level = Level {
                    table,
                    key: Value::Nil,
                    at: 0,
                    len: 0,
                    map: kind != Aggregate::Array,
                };
                if let Some(level) = open.replace(level) {
                    outer.push(level)?;
                }
            }
        }
        let (Some(level), Some(&(_, kind))) = (&mut open, headers.last()) else {
            return Ok(());
        };
        next = advance(lua, &mut lua_next, level, kind)?;
        if next.is_none()
            && let Some((header, kind)) = headers.pop()
        {
            let count = match kind {
                Aggregate::Map => level.at / 2,
                _ => level.at,
            };
            out.close(header, kind, count);
            open = outer.pop()?;
        }
    }
}

/// What is written next of an aggregate: an element, a key, or after a key its value.
fn advance(
    lua: &Lua,
    lua_next: &mut Option<Function>,
    level: &mut Level,
    kind: Aggregate,
) -> mlua::Result<Option<Value>> {
    let item = if !level.map {
        level.table.raw_get(level.at + 1)?
    } else if kind == Aggregate::Map && level.at % 2 == 1 {
        level.table.raw_get(&level.key)?
    } else {
        let key = std::mem::replace(&mut level.key, Value::Nil);
        level.key = after(lua, lua_next, &level.table, key)?.0;
        level.key.clone()
    };
    if item.is_nil() {
        return Ok(None);
    }
    level.at += 1;
    Ok(Some(item))
}

/// Why a result could not be written as it is.
pub(super) enum ReplyOrLua {
    /// It is this error.
    Reply(ReplyError),
    /// The Lua state failed.
    Lua(mlua::Error),
}

impl From<mlua::Error> for ReplyOrLua {
    fn from(error: mlua::Error) -> ReplyOrLua {
        ReplyOrLua::Lua(error)
    }
}

/// An aggregate that is still to be written.
type Begun = Option<(Aggregate, Table)>;

/// Writes one value, or says which aggregate it is.
fn one(
    value: Value,
    resp: u8,
    out: &mut Reply,
    whole: bool,
    noted: &mut dyn FnMut(Option<&ReplyError>),
) -> Result<Begun, ReplyOrLua> {
    match value {
        Value::String(text) => out.bulk(&text.as_bytes()),
        Value::Boolean(truth) if resp >= 3 => out.boolean(truth),
        Value::Boolean(true) => out.int(1),
        Value::Boolean(false) => out.null(),
        Value::Integer(n) => out.int(n),
        Value::Number(n) => out.int(as_integer(n)),
        Value::Table(table) => return self::table(table, out, whole, noted),
        _ => out.null(),
    }
    Ok(None)
}

fn table(
    table: Table,
    out: &mut Reply,
    whole: bool,
    noted: &mut dyn FnMut(Option<&ReplyError>),
) -> Result<Begun, ReplyOrLua> {
    if let Value::String(text) = table.raw_get("err")? {
        let error = ReplyError::raw(shown(&text.as_bytes()));
        let counted: Value = table.raw_get("ignore_error_stats_update")?;
        let counted = counted == Value::Boolean(true);
        if whole && !counted {
            return Err(ReplyOrLua::Reply(error));
        }
        noted((!counted).then_some(&error));
        out.error(&error);
        return Ok(None);
    }
    if let Value::String(text) = table.raw_get("ok")? {
        basalt_formats::resp::encode::simple(&mut out.buf, &c_string(&text));
        return Ok(None);
    }
    match table.raw_get("double")? {
        Value::Number(x) => {
            out.double(x);
            return Ok(None);
        }
        Value::Integer(n) => {
            out.double(n as f64);
            return Ok(None);
        }
        _ => {}
    }
    if let Value::String(digits) = table.raw_get("big_number")? {
        let digits: Vec<u8> = digits
            .as_bytes()
            .iter()
            .map(|&byte| {
                if matches!(byte, b'\r' | b'\n') {
                    b' '
                } else {
                    byte
                }
            })
            .collect();
        basalt_formats::resp::encode::big_number(&mut out.buf, out.protocol, &digits);
        return Ok(None);
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let (Value::String(format), Value::String(text)) =
            (verbatim.raw_get("format")?, verbatim.raw_get("string")?)
    {
        let mut name = c_string(&format);
        name.resize(3, b' ');
        for byte in &mut name {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        basalt_formats::resp::encode::verbatim(&mut out.buf, out.protocol, &name, &text.as_bytes());
        return Ok(None);
    }
    for (field, kind) in [("map", Aggregate::Map), ("set", Aggregate::Set)] {
        if let Value::Table(members) = table.raw_get(field)? {
            return Ok(Some((kind, members)));
        }
    }
    Ok(Some((Aggregate::Array, table)))
}
