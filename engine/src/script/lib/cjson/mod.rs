//! `cjson`: JSON as version 2.1.0 of the library of that name writes and reads it.
//!
//! Settings belong to a table of functions and stay from one script to the next, as in Redis;
//! `new` makes a table with settings of its own.

mod decode;
mod encode;
mod number;

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};
use parking_lot::Mutex;

use super::call::{self, Call, one};

/// How numbers without a JSON form are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Invalid {
    Refused,
    Named,
    Null,
}

#[derive(Clone, Copy, Debug)]
struct Config {
    /// Sparse arrays become objects rather than errors.
    sparse_convert: bool,
    /// An array is sparse whose last index is more than so many times its elements; 0: none is.
    sparse_ratio: i32,
    /// Last index up to which none is.
    sparse_safe: i32,
    encode_depth: i32,
    decode_depth: i32,
    precision: i32,
    /// Without effect here.
    keep_buffer: bool,
    encode_invalid: Invalid,
    decode_invalid: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: 1000,
            decode_depth: 1000,
            precision: 14,
            keep_buffer: true,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
        }
    }
}

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let config = Arc::new(Mutex::new(Config::default()));
    let table = lua.create_table()?;
    let add = |name: &str, f: fn(&Call<'_>, &mut Config) -> mlua::Result<MultiValue>| {
        let config = config.clone();
        let f = call::function(lua, move |call| f(call, &mut config.lock()))?;
        table.set(name, f)
    };
    add("encode", encode::encode)?;
    add("decode", decode::decode)?;
    add("encode_sparse_array", sparse_array)?;
    add("encode_max_depth", |call, config| {
        most(call, 1)?;
        one(whole(call, 1, &mut config.encode_depth, 1, i32::MAX)?)
    })?;
    add("decode_max_depth", |call, config| {
        most(call, 1)?;
        one(whole(call, 1, &mut config.decode_depth, 1, i32::MAX)?)
    })?;
    add("encode_number_precision", |call, config| {
        most(call, 1)?;
        one(whole(call, 1, &mut config.precision, 1, 14)?)
    })?;
    add("encode_keep_buffer", |call, config| {
        most(call, 1)?;
        one(truth(call, 1, &mut config.keep_buffer)?)
    })?;
    add("encode_invalid_numbers", encode_invalid)?;
    add("decode_invalid_numbers", |call, config| {
        most(call, 1)?;
        one(truth(call, 1, &mut config.decode_invalid)?)
    })?;
    let new = lua.create_function(|lua, _: MultiValue| self::table(lua))?;
    table.set("new", new)?;
    table.set("null", Value::NULL)?;
    table.set("_NAME", "cjson")?;
    table.set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// There are no more arguments than so many.
fn most(call: &Call<'_>, count: usize) -> mlua::Result<()> {
    if call.args.len() > count {
        return Err(call.bad(count + 1, "found too many arguments"));
    }
    Ok(())
}

/// Exactly one argument.
fn only(call: &Call<'_>) -> mlua::Result<()> {
    if call.args.len() == 1 {
        Ok(())
    } else {
        Err(call.bad(1, "expected 1 argument"))
    }
}

/// Changes a number if there is an argument for it; its value.
fn whole(call: &Call<'_>, at: usize, setting: &mut i32, min: i32, max: i32) -> mlua::Result<Value> {
    if !matches!(call.get(at), None | Some(Value::Nil)) {
        let value = call.integer(at)? as i32;
        if !(min..=max).contains(&value) {
            let why = format!("expected integer between {min} and {max}");
            return Err(call.bad(1, why));
        }
        *setting = value;
    }
    Ok(Value::Integer((*setting).into()))
}

/// The place of an argument among words.
fn option(call: &Call<'_>, at: usize, words: &[&str]) -> mlua::Result<usize> {
    let text = call.string(at)?;
    let text = text.as_bytes();
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let found = words.iter().position(|word| word.as_bytes() == text);
    found.ok_or_else(|| call.bad(at, [b"invalid option '", text, b"'"].concat()))
}

/// Changes a switch if there is an argument for it; its value.
fn truth(call: &Call<'_>, at: usize, setting: &mut bool) -> mlua::Result<Value> {
    match call.get(at) {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *setting = *value,
        Some(_) => *setting = option(call, at, &["off", "on"])? == 1,
    }
    Ok(Value::Boolean(*setting))
}

fn sparse_array(call: &Call<'_>, config: &mut Config) -> mlua::Result<MultiValue> {
    most(call, 3)?;
    Ok(MultiValue::from_vec(vec![
        truth(call, 1, &mut config.sparse_convert)?,
        whole(call, 2, &mut config.sparse_ratio, 0, i32::MAX)?,
        whole(call, 3, &mut config.sparse_safe, 0, i32::MAX)?,
    ]))
}

fn encode_invalid(call: &Call<'_>, config: &mut Config) -> mlua::Result<MultiValue> {
    most(call, 1)?;
    const CHOICES: [Invalid; 3] = [Invalid::Refused, Invalid::Named, Invalid::Null];
    let chosen = match call.get(1) {
        None | Some(Value::Nil) => None,
        Some(Value::Boolean(value)) => Some(usize::from(*value)),
        Some(_) => Some(option(call, 1, &["off", "on", "null"])?),
    };
    if let Some(choice) = chosen.and_then(|at| CHOICES.get(at)) {
        config.encode_invalid = *choice;
    }
    one(match config.encode_invalid {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Named => Value::Boolean(true),
        Invalid::Null => Value::String(call.lua.create_string("null")?),
    })
}
