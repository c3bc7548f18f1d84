//! `math.random` and `math.randomseed`: the same numbers for the same seed on every machine, and
//! as Redis gives them. The generator is the one of POSIX's `drand48` family.

use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Table, Value};
use parking_lot::Mutex;

use super::{answer, bad_argument, one};

const MULTIPLIER: u64 = 0x5_deec_e66d;
const ADDEND: u64 = 0xb;
/// What a fresh generator holds.
const START: u64 = 0x1234_abcd_330e;
const MASK: u64 = (1 << 48) - 1;
const MAX: u64 = i32::MAX as u64;

struct Generator(u64);

impl Generator {
    fn seed(&mut self, seed: i32) {
        self.0 = u64::from(seed.cast_unsigned()) << 16 | 0x330e;
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(ADDEND) & MASK;
        self.0 >> 17
    }
}

pub(in crate::script) fn functions(lua: &Lua) -> mlua::Result<Table> {
    let generator = Arc::new(Mutex::new(Generator(START)));
    let table = lua.create_table()?;
    let seeded = generator.clone();
    let random: Function = lua.create_function(move |lua, args: MultiValue| {
        answer(lua, random(&mut generator.lock(), &args.into_vec()))
    })?;
    table.set("random", random)?;
    table.set(
        "randomseed",
        lua.create_function(move |lua, args: MultiValue| {
            let args = args.into_vec();
            answer(
                lua,
                super::int_arg(&args, 0, "randomseed").map(|seed| {
                    seeded.lock().seed(seed);
                    Vec::new()
                }),
            )
        })?,
    )?;
    Ok(table)
}

fn random(generator: &mut Generator, args: &[Value]) -> Result<Vec<Value>, String> {
    let r = (generator.next() % MAX) as f64 / MAX as f64;
    match args.len() {
        0 => one(Value::Number(r)),
        1 => {
            let upper = super::int_arg(args, 0, "random")?;
            if upper < 1 {
                return Err(bad_argument(1, "random", "interval is empty"));
            }
            one(Value::Number((r * f64::from(upper)).floor() + 1.0))
        }
        2 => {
            let lower = super::int_arg(args, 0, "random")?;
            let upper = super::int_arg(args, 1, "random")?;
            if lower > upper {
                return Err(bad_argument(2, "random", "interval is empty"));
            }
            let span = upper.wrapping_sub(lower).wrapping_add(1);
            one(Value::Number(
                (r * f64::from(span)).floor() + f64::from(lower),
            ))
        }
        _ => Err("wrong number of arguments".into()),
    }
}
