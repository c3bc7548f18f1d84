//! `bit`: operations on 32 bits. Every number is taken modulo 2^32, rounded to the nearest
//! integer, and every result is signed.

use mlua::{Lua, MultiValue, Table, Value};

use super::call::{self, Call, as_number, one};

/// Adding this puts the lowest 32 bits of a number's integer into those of the double.
const SHIFT: f64 = 6_755_399_441_055_744.0;

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let add = |name: &str, f: fn(&Call<'_>) -> mlua::Result<MultiValue>| {
        table.set(name, call::function(lua, f)?)
    };
    add("tobit", |call| result(bits(call, 1)?))?;
    add("bnot", |call| result(!bits(call, 1)?))?;
    add("band", |call| fold(call, |a, b| a & b))?;
    add("bor", |call| fold(call, |a, b| a | b))?;
    add("bxor", |call| fold(call, |a, b| a ^ b))?;
    add("lshift", |call| shift(call, |b, n| b << n))?;
    add("rshift", |call| shift(call, |b, n| b >> n))?;
    add("arshift", |call| {
        shift(call, |b, n| (b.cast_signed() >> n).cast_unsigned())
    })?;
    add("rol", |call| shift(call, u32::rotate_left))?;
    add("ror", |call| shift(call, u32::rotate_right))?;
    add("bswap", |call| result(bits(call, 1)?.swap_bytes()))?;
    add("tohex", to_hex)?;
    Ok(table)
}

fn bits(call: &Call<'_>, at: usize) -> mlua::Result<u32> {
    let number = match call.get(at).and_then(|value| as_number(call.lua, value)) {
        Some(number) => number,
        // Raises.
        None => call.number(at)?,
    };
    Ok((number + SHIFT).to_bits() as u32)
}

fn result(bits: u32) -> mlua::Result<MultiValue> {
    one(Value::Number(f64::from(bits.cast_signed())))
}

fn fold(call: &Call<'_>, op: fn(u32, u32) -> u32) -> mlua::Result<MultiValue> {
    let mut value = bits(call, 1)?;
    // From the last one, which matters for the one that is refused.
    for at in (2..=call.args.len()).rev() {
        value = op(value, bits(call, at)?);
    }
    result(value)
}

fn shift(call: &Call<'_>, op: fn(u32, u32) -> u32) -> mlua::Result<MultiValue> {
    let value = bits(call, 1)?;
    result(op(value, bits(call, 2)? & 31))
}

/// Eight digits or fewer, as many as the second argument says; capital letters if it is negative.
fn to_hex(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let value = bits(call, 1)?;
    let wanted = match call.get(2) {
        None => 8,
        Some(_) => bits(call, 2)?.cast_signed(),
    };
    let text = if wanted < 0 {
        format!("{value:08X}")
    } else {
        format!("{value:08x}")
    };
    let digits = wanted.unsigned_abs().min(8) as usize;
    let tail = text.get(8 - digits..).unwrap_or_default();
    one(Value::String(call.lua.create_string(tail)?))
}
