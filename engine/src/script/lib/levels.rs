//! The tables that enclose the one being read or written.
//!
//! Depth is up to the script, so nothing here recurses. Each value of Lua that Rust holds takes
//! one of a few thousand slots of the state; deep levels are therefore kept in a Lua table.

use mlua::{Lua, Table, Value};

/// Levels held as values.
const NEAR: usize = 100;

/// A table that is not finished.
pub(in crate::script) struct Level {
    pub table: Table,
    /// The key whose value is awaited, or the last key read.
    pub key: Value,
    pub at: usize,
    pub len: usize,
    /// It has keys of any kind, not only counted ones.
    pub map: bool,
}

/// A stack of levels.
pub(in crate::script) struct Levels<'a> {
    lua: &'a Lua,
    near: Vec<Level>,
    far: Option<Table>,
    marks: Vec<(usize, usize, bool)>,
}

impl<'a> Levels<'a> {
    pub fn new(lua: &'a Lua) -> Levels<'a> {
        Levels {
            lua,
            near: Vec::new(),
            far: None,
            marks: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.near.len() + self.marks.len()
    }

    pub fn push(&mut self, level: Level) -> mlua::Result<()> {
        if self.near.len() < NEAR {
            self.near.push(level);
            return Ok(());
        }
        let far = match &mut self.far {
            Some(far) => far,
            none => none.insert(self.lua.create_table()?),
        };
        let at = 2 * self.marks.len();
        far.raw_set(at + 1, level.table)?;
        far.raw_set(at + 2, level.key)?;
        self.marks.push((level.at, level.len, level.map));
        Ok(())
    }

    pub fn pop(&mut self) -> mlua::Result<Option<Level>> {
        let (Some(far), Some((at, len, map))) = (&self.far, self.marks.pop()) else {
            return Ok(self.near.pop());
        };
        let slot = 2 * self.marks.len();
        Ok(Some(Level {
            table: far.raw_get(slot + 1)?,
            key: far.raw_get(slot + 2)?,
            at,
            len,
            map,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_come_back_in_reverse() {
        let lua = Lua::new();
        let mut levels = Levels::new(&lua);
        for n in 0..1000 {
            let table = lua.create_table().unwrap();
            table.raw_set("n", n).unwrap();
            let key = if n % 2 == 0 {
                Value::Nil
            } else {
                Value::Integer(n)
            };
            let level = Level {
                table,
                key,
                at: n as usize,
                len: 7,
                map: n % 3 == 0,
            };
            levels.push(level).unwrap();
            assert_eq!(levels.len(), n as usize + 1);
        }
        for n in (0..1000).rev() {
            let level = levels.pop().unwrap().unwrap();
            assert_eq!(level.table.raw_get::<i64>("n").unwrap(), n);
            assert_eq!(level.key.as_integer(), (n % 2 == 1).then_some(n));
            assert_eq!(
                (level.at, level.len, level.map),
                (n as usize, 7, n % 3 == 0)
            );
        }
        assert!(levels.pop().unwrap().is_none());
        assert_eq!(levels.len(), 0);
    }
}
