//! `struct`: numbers and strings as C lays them out in memory. The host's order is little-endian
//! and its largest alignment 8.
//!
//! A format is read up to its first NUL. `<` and `>` choose the byte order, `!n` the largest
//! alignment; `b h l i` are signed and `B H L T I` unsigned integers, `in` has n bytes; `f d`
//! floats, `s` a string up to a NUL, `cn` a string of n bytes, `x` a byte of padding.

use mlua::{Lua, MultiValue, Table, Value};

use super::call::{self, Call, MAX_RESULTS, as_number, as_unsigned, one, raise, stack_overflow};

/// Bytes of an integer at most.
const MAX_INTEGER: i32 = 32;
const MAX_ALIGN: i32 = 8;

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("pack", call::function(lua, pack)?)?;
    table.set("unpack", call::function(lua, unpack)?)?;
    table.set("size", call::function(lua, size)?)?;
    Ok(table)
}

/// A format being read.
struct Format<'a> {
    call: &'a Call<'a>,
    rest: &'a [u8],
    big: bool,
    align: i32,
}

impl<'a> Format<'a> {
    fn new(call: &'a Call<'a>, text: &'a [u8]) -> Format<'a> {
        Format {
            call,
            rest: text.split(|&byte| byte == 0).next().unwrap_or_default(),
            big: false,
            align: 1,
        }
    }

    /// The next option, with the bytes it takes, and those before it at position `at`.
    fn next(&mut self, at: u64) -> mlua::Result<Option<(u8, u64, u64)>> {
        let Some((&option, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let size = self.size(option)?;
        Ok(Some((option, size, self.padding(at, option, size))))
    }

    fn number(&mut self, default: i32) -> mlua::Result<i32> {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut number = 0i32;
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            let digit = i32::from(digit - b'0');
            number = number
                .checked_mul(10)
                .and_then(|n| n.checked_add(digit))
                .ok_or_else(|| raise(self.call.lua, "integral size overflow"))?;
            self.rest = rest;
        }
        Ok(number)
    }

    fn size(&mut self, option: u8) -> mlua::Result<u64> {
        Ok(match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'f' => 4,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'c' => self.number(1)?.unsigned_abs().into(),
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > MAX_INTEGER {
                    return Err(raise(
                        self.call.lua,
                        format!("integral size {size} is larger than limit of {MAX_INTEGER}"),
                    ));
                }
                size.unsigned_abs().into()
            }
            _ => 0,
        })
    }

    fn padding(&self, at: u64, option: u8, size: u64) -> u64 {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.align.unsigned_abs().into());
        // Sizes that are no power of two are masked in the same way.
        size.wrapping_sub(at & (size - 1)) & (size - 1)
    }

    /// Options that stand for no value.
    fn control(&mut self, option: u8) -> mlua::Result<()> {
        match option {
            b' ' => {}
            b'>' => self.big = true,
            b'<' => self.big = false,
            b'!' => {
                let align = self.number(MAX_ALIGN)?;
                if align <= 0 || !align.unsigned_abs().is_power_of_two() {
                    return Err(raise(
                        self.call.lua,
                        format!("alignment {align} is not a power of 2"),
                    ));
                }
                self.align = align;
            }
            _ => {
                let why = [b"invalid format option '", &[option][..], b"'"].concat();
                return Err(self.call.bad(1, why));
            }
        }
        Ok(())
    }
}

fn pack(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let text = call.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(call, &text);
    let mut out: Vec<u8> = Vec::new();
    let mut at = 2;
    let mut place = 0u64;
    while let Some((option, mut size, padding)) = format.next(place)? {
        out.resize(out.len() + padding as usize, 0);
        place += padding;
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let mut bytes = [0; MAX_INTEGER as usize];
                bytes[..8].copy_from_slice(&as_unsigned(argument(call, at)?).to_le_bytes());
                at += 1;
                append(&mut out, &bytes[..size as usize], format.big);
            }
            b'x' => out.push(0),
            b'f' => {
                let number = argument(call, at)? as f32;
                at += 1;
                append(&mut out, &number.to_le_bytes(), format.big);
            }
            b'd' => {
                let number = argument(call, at)?;
                at += 1;
                append(&mut out, &number.to_le_bytes(), format.big);
            }
            b'c' | b's' => {
                let value = match call.get(at) {
                    Some(_) => call.string(at)?,
                    None => return Err(missing(call, at, "string")),
                };
                at += 1;
                let value = value.as_bytes();
                if size == 0 {
                    size = value.len() as u64;
                }
                let Some(part) = value.get(..size as usize) else {
                    // Redis counts the argument that follows.
                    return Err(call.bad(at, "string too short"));
                };
                out.extend_from_slice(part);
                if option == b's' {
                    out.push(0);
                    size += 1;
                }
            }
            _ => format.control(option)?,
        }
        place += size;
        if out.len() > call::MAX_OUTPUT {
            return Err(call::out_of_memory());
        }
    }
    one(Value::String(call.lua.create_string(&out)?))
}

/// A number to be packed. Behind the last argument there is a nil.
fn argument(call: &Call<'_>, at: usize) -> mlua::Result<f64> {
    match call.get(at) {
        Some(_) => call.number(at),
        None => Err(missing(call, at, "number")),
    }
}

fn missing(call: &Call<'_>, at: usize, expected: &str) -> mlua::Error {
    call.bad(at, format!("{expected} expected, got nil"))
}

fn append(out: &mut Vec<u8>, little: &[u8], big: bool) {
    if big {
        out.extend(little.iter().rev());
    } else {
        out.extend_from_slice(little);
    }
}

fn unpack(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let text = call.string(1)?;
    let text = text.as_bytes();
    let data = call.string(2)?;
    let data = data.as_bytes();
    let start = call.integer_or(3, 1)?;
    if start == 0 {
        return Err(call.bad(3, "offset must be 1 or greater"));
    }
    // An offset before the data lies far behind it.
    let mut place = start.wrapping_sub(1).cast_unsigned();
    let mut format = Format::new(call, &text);
    let mut values: Vec<Value> = Vec::new();
    while let Some((option, mut size, padding)) = format.next(place)? {
        place = place.wrapping_add(padding);
        let mut bytes = field(call, &data, place, size)?;
        if call.args.len() + values.len() + 2 > MAX_RESULTS {
            return Err(stack_overflow(call.lua, "too many results"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = option.is_ascii_lowercase();
                values.push(Value::Number(integer(bytes, format.big, signed)));
            }
            b'x' => {}
            b'f' => {
                let number = f32::from_le_bytes(ordered(bytes, format.big));
                values.push(Value::Number(number.into()));
            }
            b'd' => {
                let number = f64::from_le_bytes(ordered(bytes, format.big));
                values.push(Value::Number(number));
            }
            b'c' => {
                if size == 0 {
                    let previous = values.pop();
                    size = previous
                        .and_then(|value| as_number(call.lua, &value))
                        .map(as_unsigned)
                        .ok_or_else(|| raise(call.lua, "format 'c0' needs a previous size"))?;
                    bytes = field(call, &data, place, size)?;
                }
                values.push(Value::String(call.lua.create_string(bytes)?));
            }
            b's' => {
                let rest = data.get(place as usize..).unwrap_or_default();
                let end = rest
                    .iter()
                    .position(|&byte| byte == 0)
                    .ok_or_else(|| raise(call.lua, "unfinished string in data"))?;
                size = end as u64 + 1;
                let bytes = rest.get(..end).unwrap_or_default();
                values.push(Value::String(call.lua.create_string(bytes)?));
            }
            _ => format.control(option)?,
        }
        place = place.wrapping_add(size);
    }
    values.push(Value::Integer(place.wrapping_add(1).cast_signed()));
    Ok(MultiValue::from_vec(values))
}

/// The bytes of a field.
fn field<'d>(call: &Call<'_>, data: &'d [u8], at: u64, size: u64) -> mlua::Result<&'d [u8]> {
    let start = usize::try_from(at).ok();
    let end = at
        .checked_add(size)
        .and_then(|end| usize::try_from(end).ok());
    start
        .zip(end)
        .and_then(|(start, end)| data.get(start..end))
        .ok_or_else(|| call.bad(2, "data string too short"))
}

/// Bytes of a float, lowest first.
fn ordered<const N: usize>(bytes: &[u8], big: bool) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    if big {
        array.reverse();
    }
    array
}

/// The lowest 64 bits of an integer of any size.
fn integer(bytes: &[u8], big: bool, signed: bool) -> f64 {
    let mut value = 0u64;
    for at in 0..bytes.len() {
        let at = if big { at } else { bytes.len() - 1 - at };
        value = value << 8 | u64::from(bytes[at]);
    }
    if !signed {
        return value as f64;
    }
    // The place of the sign is counted modulo 64, as processors shift.
    let place = (bytes.len() as u32).wrapping_mul(8).wrapping_sub(1);
    let mask = u64::MAX.wrapping_shl(place);
    if value & mask != 0 {
        value |= mask;
    }
    value.cast_signed() as f64
}

fn size(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let text = call.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(call, &text);
    let mut place = 0u64;
    while let Some((option, size, padding)) = format.next(place)? {
        place = place.wrapping_add(padding);
        if option == b's' {
            return Err(call.bad(1, "option 's' has no fixed size"));
        }
        if option == b'c' && size == 0 {
            return Err(call.bad(1, "option 'c0' has no fixed size"));
        }
        if !option.is_ascii_alphanumeric() {
            format.control(option)?;
        }
        place = place.wrapping_add(size);
    }
    one(Value::Integer(place.cast_signed()))
}
