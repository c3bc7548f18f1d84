//! `cmsgpack`: values in the MessagePack format, as the library of that name in version 0.4.0
//! writes and reads them.

mod pack;
mod unpack;

use mlua::{Lua, Table};

use super::call;

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("pack", call::function(lua, pack::pack)?)?;
    table.set("unpack", call::function(lua, unpack::unpack)?)?;
    table.set("unpack_one", call::function(lua, unpack::unpack_one)?)?;
    table.set("unpack_limit", call::function(lua, unpack::unpack_limit)?)?;
    table.set("_NAME", "cmsgpack")?;
    table.set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}
