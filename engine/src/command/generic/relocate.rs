//! RENAME, RENAMENX, COPY and MOVE: the same value under another key or in another database.
//! The value itself is shared or handed over, never copied, and keeps its expiry.

use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Header, Look, NotifyClass};
use crate::value::Value;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "rename",
        summary: "Gives a key another name, replacing a key that has it.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::WRITE,
        acl: Acl::KEYSPACE,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::OW.or(KeyFlags::UPDATE)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("newkey", ArgType::Key)
            },
        ],
        handler: rename,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "renamenx",
        summary: "Gives a key another name unless that name is taken.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[
            KeySpec::one(1, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
            KeySpec::one(2, KeyFlags::OW.or(KeyFlags::INSERT)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("newkey", ArgType::Key)
            },
        ],
        history: &[(
            "3.2.0",
            "Equal source and destination are no longer an error.",
        )],
        handler: renamenx,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "copy",
        since: "6.2.0",
        summary: "Duplicates the value of a key under another name or in another database.",
        complexity: "O(1) for strings; O(N) at worst for collections, N being the number of elements.",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::KEYSPACE,
        keys: &[
            KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS)),
            KeySpec::one(2, KeyFlags::OW.or(KeyFlags::UPDATE)),
        ],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("source", ArgType::Key)
            },
            ArgSpec {
                key_spec: 1,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            ArgSpec {
                token: "DB",
                optional: true,
                ..ArgSpec::new("destination-db", ArgType::Integer)
            },
            ArgSpec {
                token: "REPLACE",
                optional: true,
                ..ArgSpec::new("replace", ArgType::PureToken)
            },
        ],
        handler: copy,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "move",
        summary: "Takes a key out of this database and puts it into another.",
        complexity: "O(1)",
        arity: 3,
        flags: Flags::WRITE.or(Flags::FAST),
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(
            1,
            KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE),
        )],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec::new("db", ArgType::Integer),
        ],
        handler: move_key,
        ..CommandSpec::BLANK
    },
];

fn rename(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if rename_unless(ctx, args, false)? {
        ctx.out.ok();
    }
    Ok(())
}

fn renamenx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let done = rename_unless(ctx, args, true)?;
    ctx.out.int(i64::from(done));
    Ok(())
}

/// Renames unless `nx` and the new name is taken. Renaming to itself changes nothing and
/// counts as done unless `nx`.
fn rename_unless(ctx: &mut Ctx<'_>, args: Args<'_>, nx: bool) -> Result<bool, ReplyError> {
    let (from, to) = (args[1], args[2]);
    if ctx.ks.look(from, Look::WRITE).is_none() {
        return Err(ReplyError::NO_SUCH_KEY);
    }
    if from == to {
        return Ok(!nx);
    }
    if ctx.ks.look(to, Look::WRITE).is_some() {
        if nx {
            return Ok(false);
        }
        ctx.ks.remove(to);
    }
    let Some((value, header)) = ctx.ks.clone_value(from) else {
        return Err(ReplyError::NO_SUCH_KEY);
    };
    ctx.ks.remove(from);
    place(ctx, to, value, header);
    ctx.ks.modified(from);
    ctx.ks.modified(to);
    ctx.ks.notify(NotifyClass::GENERIC, "rename_from", from);
    ctx.ks.notify(NotifyClass::GENERIC, "rename_to", to);
    ctx.ks.dirty += 1;
    Ok(true)
}

/// Puts a value under a free key with the expiry and access clock it had.
fn place(ctx: &mut Ctx<'_>, key: &[u8], value: Value, header: Header) {
    ctx.ks.put_value(key, value, header.kind, header.expire_ms);
    ctx.ks.set_lru(key, header.lru);
}

/// Runs `f` on another database.
fn in_db<R>(ctx: &mut Ctx<'_>, db: usize, f: impl FnOnce(&mut Ctx<'_>) -> R) -> R {
    let own = std::mem::replace(&mut ctx.ks.db, db);
    let result = f(ctx);
    ctx.ks.db = own;
    result
}

fn move_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args[1];
    let db = args::database(args[2], ctx.engine().databases())?;
    if db == ctx.ks.db {
        return Err(ReplyError::SAME_OBJECT);
    }
    let free = ctx.ks.look(key, Look::WRITE).is_some()
        && in_db(ctx, db, |ctx| ctx.ks.look(key, Look::WRITE).is_none());
    let taken = if free { ctx.ks.clone_value(key) } else { None };
    let Some((value, header)) = taken else {
        ctx.out.int(0);
        return Ok(());
    };
    ctx.ks.remove(key);
    in_db(ctx, db, |ctx| place(ctx, key, value, header));
    ctx.ks.modified(key);
    in_db(ctx, db, |ctx| ctx.ks.modified(key));
    ctx.ks.notify(NotifyClass::GENERIC, "move_from", key);
    in_db(ctx, db, |ctx| {
        ctx.ks.notify(NotifyClass::GENERIC, "move_to", key);
    });
    ctx.ks.dirty += 1;
    ctx.out.int(1);
    Ok(())
}

fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (from, to) = (args[1], args[2]);
    let mut db = ctx.ks.db;
    let mut replace = false;
    let mut words = Cursor::new(args, 3);
    while let Some(word) = words.next() {
        if args::is(word, "REPLACE") {
            replace = true;
        } else if args::is(word, "DB") {
            db = args::database(words.required()?, ctx.engine().databases())?;
        } else {
            return Err(ReplyError::SYNTAX);
        }
    }
    if db == ctx.ks.db && from == to {
        return Err(ReplyError::SAME_OBJECT);
    }
    let done = match ctx.ks.look(from, Look::READ).is_some() {
        true => copy_to(ctx, from, db, to, replace),
        false => false,
    };
    ctx.out.int(i64::from(done));
    Ok(())
}

/// Copies a live key unless the target is taken and must not be replaced.
fn copy_to(ctx: &mut Ctx<'_>, from: &[u8], db: usize, to: &[u8], replace: bool) -> bool {
    let Some((value, header)) = ctx.ks.clone_value(from) else {
        return false;
    };
    let done = in_db(ctx, db, |ctx| {
        if ctx.ks.look(to, Look::WRITE).is_some() {
            if !replace {
                return false;
            }
            ctx.ks.remove(to);
        }
        ctx.ks.put_value(to, value, header.kind, header.expire_ms);
        ctx.ks.modified(to);
        ctx.ks.notify(NotifyClass::GENERIC, "copy_to", to);
        true
    });
    ctx.ks.dirty += u64::from(done);
    done
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn rename_carries_value_and_expiry() {
        let mut c = Client::with_events();
        c.run("SET a 1 EX 10");
        c.run("SET b 2 EX 99");
        c.events();
        assert_eq!(c.run("RENAME a b"), "+OK\r\n");
        assert_eq!(c.events(), ["new b", "rename_from a", "rename_to b"]);
        assert_eq!(c.run("GET b"), "$1\r\n1\r\n");
        assert_eq!(c.run("OBJECT ENCODING b"), "$3\r\nint\r\n");
        assert_eq!(c.run("TTL b"), ":10\r\n");
        assert_eq!(c.run("EXISTS a"), ":0\r\n");
        assert_eq!(c.run("RENAME a b"), "-ERR no such key\r\n");
        assert_eq!(c.run("RENAME a a"), "-ERR no such key\r\n");
        assert_eq!(c.run("RENAME b b"), "+OK\r\n");
        assert_eq!(c.run("RENAMENX b b"), ":0\r\n");
        c.run("SET c 3");
        assert_eq!(c.run("RENAMENX b c"), ":0\r\n");
        assert_eq!(c.run("RENAMENX b d"), ":1\r\n");
        assert_eq!(c.run("DBSIZE"), ":2\r\n");
    }

    #[test]
    fn encodings_and_long_strings_survive() {
        let mut c = Client::new();
        c.run("SET n 1");
        c.run("APPEND n 2");
        c.run(&format!("SET long {}", "x".repeat(5000)));
        c.put_zset("z", &[("m", 1.0)]);
        for (key, encoding) in [("n", "raw"), ("long", "raw"), ("z", "listpack")] {
            c.run(&format!("COPY {key} copy:{key}"));
            c.run(&format!("RENAME {key} new:{key}"));
            for prefix in ["copy", "new"] {
                let told = c.run(&format!("OBJECT ENCODING {prefix}:{key}"));
                assert_eq!(told, format!("${}\r\n{encoding}\r\n", encoding.len()));
            }
        }
        c.run("APPEND new:long y");
        assert_eq!(c.run("STRLEN copy:long"), ":5000\r\n");
        assert_eq!(c.run("STRLEN new:long"), ":5001\r\n");
    }

    #[test]
    fn move_between_databases() {
        let mut c = Client::with_events();
        let log = c.record_log();
        c.run("SET k v PX 5000");
        c.events();
        log.take();
        assert_eq!(
            c.run("MOVE k 0"),
            "-ERR source and destination objects are the same\r\n"
        );
        assert_eq!(c.run("MOVE k 16"), "-ERR DB index is out of range\r\n");
        assert_eq!(c.run("MOVE k -1"), "-ERR DB index is out of range\r\n");
        assert_eq!(
            c.run("MOVE k x"),
            "-ERR value is not an integer or out of range\r\n"
        );
        assert_eq!(c.run("MOVE none 1"), ":0\r\n");
        assert_eq!(c.run("MOVE k 1"), ":1\r\n");
        assert_eq!(c.events(), ["1:new k", "move_from k", "1:move_to k"]);
        assert_eq!(log.take(), ["MOVE k 1"]);
        c.run("SET k w");
        assert_eq!(c.run("MOVE k 1"), ":0\r\n");
        c.session.db = 1;
        assert_eq!(c.run("PTTL k"), ":5000\r\n");
    }

    #[test]
    fn copy_with_options() {
        let mut c = Client::with_events();
        c.run("SET a 1 EX 10");
        c.run("SET b 2");
        c.events();
        assert_eq!(c.run("COPY a b"), ":0\r\n");
        assert_eq!(c.run("COPY a b REPLACE"), ":1\r\n");
        assert_eq!(c.events(), ["new b", "copy_to b"]);
        assert_eq!(c.run("TTL b"), ":10\r\n");
        assert_eq!(c.run("COPY a a DB 1"), ":1\r\n");
        assert_eq!(c.run("COPY none x"), ":0\r\n");
        assert_eq!(c.run("COPY a b DB"), "-ERR syntax error\r\n");
        assert_eq!(
            c.run("COPY a b DB 3000000000"),
            "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"
        );
        assert_eq!(
            c.run("COPY a a REPLACE"),
            "-ERR source and destination objects are the same\r\n"
        );
    }
}
