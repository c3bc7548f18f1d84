//! Writing JSON. Nesting costs no recursion; it is bounded by the setting and, as in Redis, by
//! the slots of Lua's stack that each level would take there.

use mlua::{Function, LightUserData, MultiValue, Table, Value};

use super::{Config, Invalid, number, only};
use crate::script::lib::call::{
    Call, MAX_OUTPUT, STACK_SLOTS, number_in, one, out_of_memory, raise, walk_ends,
};
use crate::script::lib::levels::{Level, Levels};
use crate::script::lib::{after, type_name, unveiled};

/// Slots that a level needs beside those it keeps.
const SPARE_SLOTS: usize = 3;

pub(super) fn encode(call: &Call<'_>, config: &mut Config) -> mlua::Result<MultiValue> {
    only(call)?;
    let mut encoder = Encoder {
        call,
        config: *config,
        out: Vec::new(),
        levels: Levels::new(call.lua),
        slots: 1,
        next: None,
    };
    let value = call.get(1).cloned().unwrap_or(Value::Nil);
    encoder.document(value)?;
    one(Value::String(call.lua.create_string(&encoder.out)?))
}

struct Encoder<'a> {
    call: &'a Call<'a>,
    config: Config,
    out: Vec<u8>,
    levels: Levels<'a>,
    /// Slots of the stack that the levels keep.
    slots: usize,
    /// Lua's `next`.
    next: Option<Function>,
}

impl Encoder<'_> {
    fn document(&mut self, value: Value) -> mlua::Result<()> {
        let Some(table) = self.scalar(value)? else {
            return Ok(());
        };
        let mut level = self.open(table)?;
        loop {
            if let Some(inner) = self.advance(&mut level)? {
                self.slots += slots(&level);
                self.levels.push(level)?;
                level = self.open(inner)?;
                continue;
            }
            self.out.push(if level.map { b'}' } else { b']' });
            match self.levels.pop()? {
                Some(outer) => {
                    self.slots -= slots(&outer);
                    level = outer;
                }
                None => return Ok(()),
            }
        }
    }

    /// Writes a value, or gives back the table that it is.
    fn scalar(&mut self, value: Value) -> mlua::Result<Option<Table>> {
        if self.out.len() > MAX_OUTPUT {
            return Err(out_of_memory());
        }
        match value {
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Integer(n) => self.number(n as f64)?,
            Value::Number(n) => self.number(n)?,
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(LightUserData(null)) if null.is_null() => {
                self.out.extend_from_slice(b"null");
            }
            Value::Table(table) => return Ok(Some(table)),
            other => return Err(self.refused(&other, "type not supported")),
        }
        Ok(None)
    }

    /// Begins a table.
    fn open(&mut self, table: Table) -> mlua::Result<Level> {
        let depth = self.levels.len() + 1;
        let deepest = usize::try_from(self.config.encode_depth).unwrap_or(0);
        if depth > deepest || self.slots + SPARE_SLOTS > STACK_SLOTS {
            let message = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(raise(self.call.lua, message));
        }
        let table = unveiled(self.call.lua, table)?;
        let len = self.array_length(&table)?;
        self.out.push(if len == 0 { b'{' } else { b'[' });
        Ok(Level {
            table,
            key: Value::Nil,
            at: 0,
            len,
            map: len == 0,
        })
    }

    /// Writes elements up to the end, or to one that is a table.
    fn advance(&mut self, level: &mut Level) -> mlua::Result<Option<Table>> {
        while level.map || level.at < level.len {
            let value = if level.map {
                let key = std::mem::replace(&mut level.key, Value::Nil);
                let (key, value) = after(self.call.lua, &mut self.next, &level.table, key)?;
                if key.is_nil() {
                    break;
                }
                self.comma(level.at);
                self.key(&key)?;
                level.key = key;
                value
            } else {
                self.comma(level.at);
                level.table.raw_get(level.at + 1)?
            };
            level.at += 1;
            if let Some(inner) = self.scalar(value)? {
                return Ok(Some(inner));
            }
        }
        Ok(None)
    }

    fn comma(&mut self, before: usize) {
        if before > 0 {
            self.out.push(b',');
        }
    }

    fn key(&mut self, key: &Value) -> mlua::Result<()> {
        match key {
            Value::String(text) => self.string(&text.as_bytes()),
            _ => {
                let number = number_in(key)
                    .ok_or_else(|| self.refused(key, "table key must be a number or string"))?;
                self.out.push(b'"');
                self.number(number)?;
                self.out.push(b'"');
            }
        }
        self.out.push(b':');
        Ok(())
    }

    fn refused(&self, value: &Value, why: &str) -> mlua::Error {
        let kind = type_name(Some(value));
        raise(self.call.lua, format!("Cannot serialise {kind}: {why}"))
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        if !number.is_finite() {
            match self.config.encode_invalid {
                Invalid::Refused => {
                    return Err(self.refused(&Value::Number(number), "must not be NaN or Inf"));
                }
                Invalid::Named if number.is_nan() => {
                    self.out.extend_from_slice(b"nan");
                    return Ok(());
                }
                Invalid::Named => {}
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
            }
        }
        let precision = usize::try_from(self.config.precision).unwrap_or(1);
        number::write(number, precision, &mut self.out);
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        let mut rest = text;
        while let Some(at) = rest.iter().position(is_escaped) {
            let (plain, tail) = rest.split_at(at);
            self.out.extend_from_slice(plain);
            if let Some((&byte, tail)) = tail.split_first() {
                self.escape(byte);
                rest = tail;
            }
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let letter = match byte {
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0x00..=0x1f | 0x7f => {
                self.out.extend_from_slice(b"\\u00");
                self.out.push(HEX[usize::from(byte >> 4)]);
                self.out.push(HEX[usize::from(byte & 15)]);
                return;
            }
            itself => itself,
        };
        self.out.extend([b'\\', letter]);
    }

    /// The last index of a table that is written as an array, else 0.
    fn array_length(&self, table: &Table) -> mlua::Result<usize> {
        let (mut max, mut items) = (0i32, 0i32);
        let mut array = true;
        let walked = table.for_each(|key: Value, _: bool| {
            let index = number_in(&key).filter(|k| *k >= 1.0 && k.floor() == *k);
            let Some(index) = index else {
                array = false;
                return Err(walk_ends());
            };
            if index > f64::from(max) {
                // One that is no `int` makes an object of what was found so far.
                max = if index <= f64::from(i32::MAX) {
                    index as i32
                } else {
                    i32::MIN
                };
            }
            items = items.wrapping_add(1);
            Ok(())
        });
        if !array {
            return Ok(0);
        }
        walked?;
        let Config {
            sparse_convert,
            sparse_ratio,
            sparse_safe,
            ..
        } = self.config;
        if sparse_ratio > 0 && max > items.wrapping_mul(sparse_ratio) && max > sparse_safe {
            if !sparse_convert {
                let table = Value::Table(table.clone());
                return Err(self.refused(&table, "excessively sparse array"));
            }
            return Ok(0);
        }
        Ok(usize::try_from(max).unwrap_or(0))
    }
}

fn is_escaped(byte: &u8) -> bool {
    matches!(byte, 0x00..=0x1f | b'"' | b'/' | b'\\' | 0x7f)
}

/// Slots of the stack that a level keeps while one inside it is written.
fn slots(level: &Level) -> usize {
    if level.map { 2 } else { 1 }
}
