//! Writing MessagePack. Tables below the sixteenth level, and what the format has no type for,
//! become nil; so nesting is bounded here, and recursion is safe.

use mlua::{MultiValue, Table, Value};

use crate::script::lib::call::{
    Call, MAX_OUTPUT, STACK_SLOTS, one, out_of_memory, stack_overflow, walk_ends,
};
use crate::script::lib::unveiled;
use crate::script::reply::as_integer;

/// Tables inside tables.
const MAX_NESTING: usize = 16;

/// `pack`: its arguments one after the other.
pub(super) fn pack(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let count = call.args.len();
    if count == 0 {
        return Err(call.bad(0, "MessagePack pack needs input."));
    }
    if 2 * count > STACK_SLOTS {
        return Err(call.bad(0, "Too many arguments for MessagePack pack."));
    }
    let mut packer = Packer {
        call,
        out: Vec::new(),
    };
    for (at, value) in call.args.iter().enumerate() {
        packer.value(value, 0, count + at + 1)?;
    }
    one(Value::String(call.lua.create_string(&packer.out)?))
}

struct Packer<'a> {
    call: &'a Call<'a>,
    out: Vec<u8>,
}

impl Packer<'_> {
    /// `top` is the slot of the stack that the value takes.
    fn value(&mut self, value: &Value, level: usize, top: usize) -> mlua::Result<()> {
        match value {
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Boolean(truth) => self.out.push(if *truth { 0xc3 } else { 0xc2 }),
            Value::Integer(n) => self.integer(*n),
            Value::Number(n) => self.number(*n),
            Value::Table(table) if level < MAX_NESTING => self.table(table, level, top)?,
            _ => self.out.push(0xc0),
        }
        if self.out.len() > MAX_OUTPUT {
            return Err(out_of_memory());
        }
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        let len = text.len();
        if len < 32 {
            self.out.push(0xa0 | len as u8);
        } else if let Ok(len) = u8::try_from(len) {
            self.out.extend([0xd9, len]);
        } else {
            self.header(0xda, 0xdb, len);
        }
        self.out.extend_from_slice(text);
    }

    /// The length in two bytes if it fits, else in four.
    fn header(&mut self, short: u8, long: u8, len: usize) {
        if let Ok(len) = u16::try_from(len) {
            self.out.push(short);
            self.out.extend(len.to_be_bytes());
        } else {
            self.out.push(long);
            self.out.extend((len as u32).to_be_bytes());
        }
    }

    /// Integers keep their value in the smallest form; other numbers are single precision if
    /// that is exact.
    fn number(&mut self, number: f64) {
        let whole = as_integer(number);
        if whole as f64 == number {
            return self.integer(whole);
        }
        let single = number as f32;
        if f64::from(single) == number {
            self.out.push(0xca);
            self.out.extend(single.to_be_bytes());
        } else {
            self.out.push(0xcb);
            self.out.extend(number.to_be_bytes());
        }
    }

    fn integer(&mut self, n: i64) {
        let bytes = n.to_be_bytes();
        let (kind, size) = match n {
            -32..=127 => return self.out.push(bytes[7]),
            128..=0xff => (0xcc, 1),
            0x100..=0xffff => (0xcd, 2),
            0x1_0000..=0xffff_ffff => (0xce, 4),
            0x1_0000_0000.. => (0xcf, 8),
            -0x80..=-33 => (0xd0, 1),
            -0x8000..=-0x81 => (0xd1, 2),
            -0x8000_0000..=-0x8001 => (0xd2, 4),
            _ => (0xd3, 8),
        };
        self.out.push(kind);
        self.out.extend_from_slice(&bytes[8 - size..]);
    }

    fn room(&self, top: usize, slots: usize, what: &str) -> mlua::Result<()> {
        if top + slots > STACK_SLOTS {
            return Err(stack_overflow(
                self.call.lua,
                &format!("in function {what}"),
            ));
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, level: usize, top: usize) -> mlua::Result<()> {
        self.room(top, 2, "table_is_an_array")?;
        let table = &unveiled(self.call.lua, table.clone())?;
        match array_length(table)? {
            Some(len) => {
                if len <= 15 {
                    self.out.push(0x90 | len as u8);
                } else {
                    self.header(0xdc, 0xdd, len);
                }
                self.room(top, 1, "mp_encode_lua_table_as_array")?;
                for at in 1..=len {
                    let element: Value = table.raw_get(at)?;
                    self.value(&element, level + 1, top + 1)?;
                }
                Ok(())
            }
            None => self.map(table, level, top),
        }
    }

    fn map(&mut self, table: &Table, level: usize, top: usize) -> mlua::Result<()> {
        self.room(top, 3, "mp_encode_lua_table_as_map")?;
        let mut len = 0usize;
        table.for_each(|_: bool, _: bool| {
            len += 1;
            Ok(())
        })?;
        if len <= 15 {
            self.out.push(0x80 | len as u8);
        } else {
            self.header(0xde, 0xdf, len);
        }
        table.for_each(|key: Value, value: Value| {
            self.value(&key, level + 1, top + 3)?;
            self.value(&value, level + 1, top + 2)
        })
    }
}

/// The length of a table whose keys are 1 to that length.
fn array_length(table: &Table) -> mlua::Result<Option<usize>> {
    let (mut count, mut max) = (0i32, 0i32);
    let mut array = true;
    let counted = table.for_each(|key: Value, _: bool| {
        let index = key.as_integer().and_then(|n| i32::try_from(n).ok());
        if let Some(n @ 1..) = index {
            max = max.max(n);
            count = count.saturating_add(1);
            return Ok(());
        }
        array = false;
        Err(walk_ends())
    });
    if array {
        counted?;
    }
    Ok(usize::try_from(max).ok().filter(|_| array && max == count))
}
