//! Reading MessagePack. What comes is not trusted: tables grow with what is really there, nesting
//! costs no recursion and ends where Lua's stack does.

use mlua::{Error, MultiValue, Value};

use crate::script::lib::call::{Call, MAX_RESULTS, STACK_SLOTS, bare, raise, stack_overflow};
use crate::script::lib::levels::{Level, Levels};

const TOO_MANY: &str = "too many return values at once; use unpack_one or unpack_limit instead.";

/// `unpack`: all values.
pub(super) fn unpack(call: &Call<'_>) -> mlua::Result<MultiValue> {
    read(call, 0, 0, call.args.len())
}

/// `unpack_one`: where to go on, and the value at an offset.
pub(super) fn unpack_one(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let offset = call.integer_or(2, 0)?;
    read(call, 1, offset, 1)
}

/// `unpack_limit`: where to go on, and so many values from an offset.
pub(super) fn unpack_limit(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let limit = call.integer(2)?;
    let offset = call.integer_or(3, 0)?;
    read(call, limit, offset, 1)
}

/// `slots` of the stack are taken by arguments.
fn read(call: &Call<'_>, limit: i64, offset: i64, slots: usize) -> mlua::Result<MultiValue> {
    let all = limit == 0 && offset == 0;
    let data = call.string(1)?;
    let data = data.as_bytes();
    let len = data.len();
    let (Ok(start), Ok(most)) = (usize::try_from(offset), usize::try_from(limit)) else {
        return Err(raise(
            call.lua,
            format!(
                "Invalid request to unpack with offset of {} and limit of {}.",
                offset as i32, len as i32
            ),
        ));
    };
    if start > len {
        return Err(raise(
            call.lua,
            format!(
                "Start offset {} greater than input length {}.",
                offset as i32, len as i32
            ),
        ));
    }
    let most = if all { i32::MAX as usize } else { most };
    let mut reader = Reader {
        call,
        data: &data,
        at: start,
    };
    let mut values = Vec::new();
    while reader.at < len && values.len() < most {
        if slots + values.len() > MAX_RESULTS {
            return Err(stack_overflow(call.lua, TOO_MANY));
        }
        let value = reader.whole(slots + values.len());
        values.push(value.map_err(|fault| fault.raised(call))?);
    }
    if !all {
        let next = if reader.at == len {
            -1
        } else {
            reader.at as i64
        };
        values.insert(0, Value::Integer(next));
    }
    Ok(MultiValue::from_vec(values))
}

/// Why reading ended.
enum Fault {
    Short,
    Format,
    /// Too many values, or too deep.
    Full(&'static str),
    Lua(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Lua(error)
    }
}

impl Fault {
    fn raised(self, call: &Call<'_>) -> Error {
        match self {
            Fault::Short => raise(call.lua, "Missing bytes in input."),
            Fault::Format => raise(call.lua, "Bad data format in input."),
            Fault::Full(what) => stack_overflow(call.lua, what),
            Fault::Lua(error) => error,
        }
    }
}

/// One value, or the beginning of a table.
enum Item {
    Value(Value),
    Array(usize),
    Map(usize),
}

struct Reader<'a> {
    call: &'a Call<'a>,
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(len).ok_or(Fault::Short)?;
        let bytes = self.data.get(self.at..end).ok_or(Fault::Short)?;
        self.at = end;
        Ok(bytes)
    }

    /// A big-endian number of N bytes.
    fn uint<const N: usize>(&mut self) -> Result<u64, Fault> {
        let bytes = self.take(N)?;
        Ok(bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn int<const N: usize>(&mut self) -> Result<Item, Fault> {
        let unused = 64 - 8 * N as u32;
        let number = self.uint::<N>()?.cast_signed() << unused >> unused;
        Ok(Item::Value(Value::Integer(number)))
    }

    fn len<const N: usize>(&mut self) -> Result<usize, Fault> {
        Ok(self.uint::<N>()? as usize)
    }

    fn string(&mut self, len: usize) -> Result<Item, Fault> {
        let bytes = self.take(len)?;
        Ok(Item::Value(Value::String(
            self.call.lua.create_string(bytes)?,
        )))
    }

    fn item(&mut self) -> Result<Item, Fault> {
        let [kind] = *self.take(1)? else {
            return Err(Fault::Short);
        };
        Ok(match kind {
            0x00..=0x7f => Item::Value(Value::Integer(kind.into())),
            0x80..=0x8f => Item::Map(usize::from(kind & 15)),
            0x90..=0x9f => Item::Array(usize::from(kind & 15)),
            0xa0..=0xbf => return self.string(usize::from(kind & 31)),
            0xc0 => Item::Value(Value::Nil),
            0xc2 => Item::Value(Value::Boolean(false)),
            0xc3 => Item::Value(Value::Boolean(true)),
            0xca => {
                let bits = self.uint::<4>()? as u32;
                Item::Value(Value::Number(f32::from_bits(bits).into()))
            }
            0xcb => Item::Value(Value::Number(f64::from_bits(self.uint::<8>()?))),
            0xcc => Item::Value(Value::Integer(self.uint::<1>()?.cast_signed())),
            0xcd => Item::Value(Value::Integer(self.uint::<2>()?.cast_signed())),
            0xce => Item::Value(Value::Integer(self.uint::<4>()?.cast_signed())),
            // Those of 2^63 and more come out negative in Redis, too.
            0xcf | 0xd3 => return self.int::<8>(),
            0xd0 => return self.int::<1>(),
            0xd1 => return self.int::<2>(),
            0xd2 => return self.int::<4>(),
            0xd9 => {
                let len = self.len::<1>()?;
                return self.string(len);
            }
            0xda => {
                let len = self.len::<2>()?;
                return self.string(len);
            }
            0xdb => {
                let len = self.len::<4>()?;
                return self.string(len);
            }
            0xdc => Item::Array(self.len::<2>()?),
            0xdd => Item::Array(self.len::<4>()?),
            0xde => Item::Map(self.len::<2>()?),
            0xdf => Item::Map(self.len::<4>()?),
            0xe0..=0xff => Item::Value(Value::Integer(kind.cast_signed().into())),
            0xc1 | 0xc4..=0xc9 | 0xd4..=0xd8 => return Err(Fault::Format),
        })
    }

    /// A value with all that is in it. `top` slots of the stack are taken.
    fn whole(&mut self, mut top: usize) -> Result<Value, Fault> {
        let lua = self.call.lua;
        let mut levels = Levels::new(lua);
        let mut open: Option<Level> = None;
        loop {
            if self.at >= self.data.len() {
                return Err(Fault::Short);
            }
            if top + 1 > STACK_SLOTS {
                return Err(Fault::Full(TOO_MANY));
            }
            let (len, map) = match self.item()? {
                Item::Value(value) => match self.store(value, &mut open, &mut levels, &mut top)? {
                    Some(value) => return Ok(value),
                    None => continue,
                },
                Item::Array(len) => (len, false),
                Item::Map(len) => (len, true),
            };
            let table = lua.create_table()?;
            if !map && top + 2 > STACK_SLOTS {
                return Err(Fault::Full("in function mp_decode_to_lua_array"));
            }
            if len == 0 {
                match self.store(Value::Table(table), &mut open, &mut levels, &mut top)? {
                    Some(value) => return Ok(value),
                    None => continue,
                }
            }
            if let Some(outer) = open.take() {
                levels.push(outer)?;
            }
            top += if map { 1 } else { 2 };
            open = Some(Level {
                table,
                key: Value::Nil,
                at: 0,
                len,
                map,
            });
        }
    }

    /// Puts a value where it belongs; gives back the outermost one. In an array `at` counts the
    /// elements, in a map it counts keys and values.
    fn store(
        &self,
        mut value: Value,
        open: &mut Option<Level>,
        levels: &mut Levels<'_>,
        top: &mut usize,
    ) -> Result<Option<Value>, Fault> {
        loop {
            let Some(level) = open else {
                return Ok(Some(value));
            };
            level.at += 1;
            if level.map && level.at % 2 == 1 {
                level.key = value;
                *top += 1;
                return Ok(None);
            }
            if level.map {
                *top -= 1;
                let key = std::mem::replace(&mut level.key, Value::Nil);
                match key {
                    Value::Nil => return Err(bare("table index is nil").into()),
                    Value::Number(n) if n.is_nan() => {
                        return Err(bare("table index is NaN").into());
                    }
                    key => level.table.raw_set(key, value)?,
                }
            } else {
                level.table.raw_set(level.at, value)?;
            }
            let expected = if level.map { 2 * level.len } else { level.len };
            if level.at < expected {
                return Ok(None);
            }
            *top -= if level.map { 1 } else { 2 };
            value = Value::Table(level.table.clone());
            *open = levels.pop()?;
        }
    }
}
