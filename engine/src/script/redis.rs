//! The `redis` table that scripts see.

use std::sync::Arc;

use basalt_formats::num;
use mlua::{Lua, MultiValue, Table, Value, Variadic};
use sha1::{Digest, Sha1};

use super::exchange::{Answer, Exchange, Request};
use super::functions::register_function;
use super::raised::command_error;
use super::raw::command_function;
use super::reply::{as_integer, error_table, error_text, tagged, to_lua};
use super::vm::{Kind, Unlimited};
use crate::error::shown;
use crate::session::OwnedArgs;

/// The version that scripts are told.
const VERSION: &str = "7.2.4";
const VERSION_NUM: i64 = 0x0007_0204;

/// SHA1 in hex.
pub(super) fn sha1_hex(bytes: &[u8]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(Sha1::digest(bytes)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

fn log_and_version(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("log", lua.create_function(log)?)?;
    for (name, value) in [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REDIS_VERSION_NUM", VERSION_NUM),
    ] {
        table.set(name, value)?;
    }
    table.set("REDIS_VERSION", VERSION)?;
    Ok(table)
}

/// What a library sees while it is loaded.
pub(super) fn while_loading(lua: &Lua, exchange: &Arc<Exchange>) -> mlua::Result<Table> {
    let table = log_and_version(lua)?;
    let exchange = exchange.clone();
    table.set(
        "register_function",
        lua.create_function(move |lua, args: Variadic<Value>| {
            register_function(lua, &exchange.registered, &args)
        })?,
    )?;
    Ok(table)
}

/// What scripts and functions see.
pub(super) fn table(lua: &Lua, kind: Kind, exchange: &Arc<Exchange>) -> mlua::Result<Table> {
    let table = log_and_version(lua)?;
    for (name, value) in [
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
    ] {
        table.set(name, value)?;
    }
    let from = exchange.clone();
    let made = lua.create_function(move |lua, ()| answer_table(lua, &from))?;
    for (name, raises) in [("call", true), ("pcall", false)] {
        let function = command_function(lua, exchange, &made, raises)?;
        table.set(name, function)?;
    }
    let to = exchange.clone();
    table.set(
        "setresp",
        lua.create_function(move |lua, args: Variadic<Value>| {
            set_resp(lua, &args).and_then(|request| no_answer(to.ask(request)))
        })?,
    )?;
    let to = exchange.clone();
    table.set(
        "set_repl",
        lua.create_function(move |lua, args: Variadic<Value>| {
            set_repl(lua, &args).and_then(|request| no_answer(to.ask(request)))
        })?,
    )?;
    let to = exchange.clone();
    table.set(
        "acl_check_cmd",
        lua.create_function(move |_, args: MultiValue| {
            fill(&to, &args).map_err(plain_error)?;
            match to.ask(Request::AclCheck) {
                Answer::Refused(text, counted) => Err(command_error(text, counted)),
                answer => Ok(matches!(answer, Answer::Done)),
            }
        })?,
    )?;
    table.set("sha1hex", lua.create_function(sha1hex)?)?;
    table.set("error_reply", lua.create_function(error_reply)?)?;
    table.set("status_reply", lua.create_function(status_reply)?)?;
    if kind == Kind::Eval {
        // Without a debugger there is nothing to stop at, and nobody to tell.
        table.set("breakpoint", lua.create_function(|_, ()| Ok(false))?)?;
        table.set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
        table.set("replicate_commands", lua.create_function(|_, ()| Ok(true))?)?;
    }
    Ok(table)
}

/// An error that has no code yet.
fn plain_error(message: &str) -> mlua::Error {
    command_error(format!("ERR {message}").into_bytes(), false)
}

fn no_answer(answer: Answer) -> mlua::Result<()> {
    match answer {
        Answer::Refused(text, counted) => Err(command_error(text, counted)),
        _ => Ok(()),
    }
}

/// The table that a script gets of the answer in the exchange. It takes the memory it takes; the
/// script fails afterwards if that is too much for it.
fn answer_table(lua: &Lua, exchange: &Exchange) -> mlua::Result<Value> {
    let unlimited = Unlimited::new(lua)?;
    let value = match &exchange.talk.lock().answer {
        Answer::Reply(reply) => to_lua(lua, reply)?,
        Answer::Refused(text, counted) => error_table(lua, text, *counted)?,
        Answer::Done | Answer::No => Value::Nil,
    };
    unlimited.end()?;
    Ok(value)
}

/// Puts the words of a command into the exchange: strings as they are, numbers with the digits
/// they need.
fn fill(exchange: &Exchange, args: &MultiValue) -> Result<(), &'static str> {
    if args.is_empty() {
        return Err("Please specify at least one argument for this redis lib call");
    }
    let words = &mut exchange.talk.lock().words;
    words.clear();
    for arg in args {
        match arg {
            Value::String(text) => words.push(&text.as_bytes()),
            Value::Integer(n) => number_word(*n as f64, words),
            Value::Number(n) => number_word(*n, words),
            _ => return Err("Lua redis lib command arguments must be strings or integers"),
        }
    }
    Ok(())
}

/// Adds a number as a word, with the digits it needs.
pub(super) fn number_word(n: f64, words: &mut OwnedArgs) {
    let whole = as_integer(n);
    if (whole as f64).to_bits() == n.to_bits() {
        words.push(itoa::Buffer::new().format(whole).as_bytes());
    } else if n.is_nan() && n.is_sign_negative() {
        // Only here has it a sign.
        words.push(b"-nan");
    } else {
        let mut text = Vec::with_capacity(24);
        num::format_f64(n, &mut text);
        words.push(&text);
    }
}

/// A number, also one spelled in a string, without its fraction.
fn number(lua: &Lua, value: &Value) -> Option<i64> {
    let number = lua.coerce_number(value.clone()).ok().flatten();
    number.map(as_integer)
}

fn set_resp(lua: &Lua, args: &[Value]) -> mlua::Result<Request> {
    let [version] = args else {
        return Err(plain_error("redis.setresp() requires one argument."));
    };
    match number(lua, version) {
        Some(2) => Ok(Request::SetResp(2)),
        Some(3) => Ok(Request::SetResp(3)),
        _ => Err(plain_error("RESP version must be 2 or 3.")),
    }
}

fn set_repl(lua: &Lua, args: &[Value]) -> mlua::Result<Request> {
    let [flags] = args else {
        return Err(plain_error("redis.set_repl() requires one argument."));
    };
    let flags = number(lua, flags).unwrap_or(0);
    if flags & !super::run::REPL_ALL != 0 {
        return Err(plain_error(
            "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ));
    }
    Ok(Request::SetRepl(flags))
}

/// `redis.log`: the words go to the server's log.
fn log(lua: &Lua, args: Variadic<Value>) -> mlua::Result<()> {
    let [level, words @ ..] = args.as_slice() else {
        return Err(plain_error("redis.log() requires two arguments or more."));
    };
    if words.is_empty() {
        return Err(plain_error("redis.log() requires two arguments or more."));
    }
    let Some(level) = number(lua, level) else {
        return Err(plain_error("First argument must be a number (log level)."));
    };
    if !(0..=3).contains(&level) {
        return Err(plain_error("Invalid debug level."));
    }
    let mut line = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !matches!(
            word,
            Value::String(_) | Value::Integer(_) | Value::Number(_)
        ) {
            continue;
        }
        if let Ok(Some(text)) = lua.coerce_string(word.clone()) {
            if at > 0 {
                line.push(b' ');
            }
            line.extend_from_slice(&text.as_bytes());
        }
    }
    let line = shown(&line);
    match level {
        0 => tracing::trace!("{line}"),
        1 => tracing::debug!("{line}"),
        2 => tracing::info!("{line}"),
        _ => tracing::warn!("{line}"),
    }
    Ok(())
}

fn sha1hex(lua: &Lua, args: Variadic<Value>) -> mlua::Result<Value> {
    let [value] = args.as_slice() else {
        return Err(plain_error("wrong number of arguments"));
    };
    let text = match value {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            lua.coerce_string(value.clone())?
        }
        _ => None,
    };
    let bytes = text.map_or_else(Vec::new, |text| text.as_bytes().to_vec());
    Ok(Value::String(lua.create_string(sha1_hex(&bytes))?))
}

const WRONG: &[u8] = b"ERR wrong number or type of arguments";

fn error_reply(lua: &Lua, args: Variadic<Value>) -> mlua::Result<Value> {
    let [Value::String(text)] = args.as_slice() else {
        return error_table(lua, WRONG, false);
    };
    let text = text.as_bytes();
    let text = if text.starts_with(b"-") {
        error_text(&text)
    } else {
        error_text(&[b"-", &text[..]].concat())
    };
    error_table(lua, &text, false)
}

fn status_reply(lua: &Lua, args: Variadic<Value>) -> mlua::Result<Value> {
    match args.as_slice() {
        [Value::String(text)] => tagged(lua, "ok", text.clone()),
        _ => error_table(lua, WRONG, false),
    }
}
