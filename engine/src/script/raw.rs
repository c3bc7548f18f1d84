//! The short ways between a script and the engine, on Lua's own interface: into a script and out
//! of it with a plain result, and from `redis.call` to its command and back with a plain reply.
//! What is not plain goes the long way, through `mlua`'s handles.
//!
//! A handle costs a lock, a slot and a count, and a short script made some forty of them: more
//! than all else that it did. This is the only module of scripts with `unsafe` in it.
//!
//! Invariants, beside what each block says:
//! - Lua's errors jump over frames without unwinding them. So in a function that may raise one,
//!   nothing with a destructor is alive when it calls Lua: what needs one is done in functions
//!   that raise nothing ([`take_words`], [`serve`]) and handed over as plain copies.
//! - No panic passes through Lua: commands are caught in [`Serve::answer`].
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, RegistryKey, Table, Value};

use super::exchange::{Answer, Exchange, Request, Talk};
use super::redis::number_word;
use crate::session::OwnedArgs;
use basalt_formats::num;

/// What a run does for the functions of its script.
pub(super) trait Serve {
    /// Lets others have their turn.
    fn tick(&mut self);
    /// Does what is asked for. Does not panic.
    fn answer(&mut self, talk: &mut Talk);
    /// Writes the script's result.
    fn finish(&mut self, result: Plain<'_>);
}

/// A reply or a result that is no table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain<'a> {
    Nil,
    Boolean(bool),
    Number(f64),
    Text(&'a [u8]),
}

/// A run that is under way.
struct Seat<'a>(&'a mut dyn Serve);

/// Where the functions of a state find the run that is under way in it.
#[derive(Debug, Default)]
pub(super) struct Door(AtomicPtr<Seat<'static>>);

impl Door {
    /// Does `work` with the run to be found here.
    pub fn open<R>(&self, serve: &mut dyn Serve, work: impl FnOnce() -> R) -> R {
        struct Shut<'d>(&'d Door);
        impl Drop for Shut<'_> {
            fn drop(&mut self) {
                self.0.0.store(ptr::null_mut(), Ordering::Relaxed);
            }
        }
        let mut seat = Seat(serve);
        let _shut = Shut(self);
        self.0
            .store((&raw mut seat).cast::<Seat<'static>>(), Ordering::Relaxed);
        work()
    }

    /// Does something with the run, if there is one that is not doing something already.
    pub fn with<R>(&self, act: impl FnOnce(&mut dyn Serve) -> R) -> Option<R> {
        struct Back<'d>(&'d Door, *mut Seat<'static>);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.0.store(self.1, Ordering::Relaxed);
            }
        }
        let seat = self.0.load(Ordering::Relaxed);
        if seat.is_null() {
            return None;
        }
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
        let _back = Back(self, seat);
        // SAFETY: `open` put it there and is still at work, or it had taken it away again, so
        // what it points at is alive and not used meanwhile. Doors are asked only by functions
        // in a Lua state, and by the run itself; the state is locked by the thread of the run,
        // so this is that thread. Nobody else has the reference: it was taken out above, and is
        // put back when this one is not used any more.
        let seat = unsafe { &mut *seat };
        Some(act(seat.0))
    }
}

/// The words of a call, from the stack: strings as they are, numbers with the digits they need.
/// Raises nothing.
///
/// # Safety
/// `state` is the state that called the function which this is part of.
unsafe fn take_words(state: *mut lua_State, words: &mut OwnedArgs) -> Result<(), &'static str> {
    words.clear();
    // SAFETY: the caller's; asking for the number of arguments changes nothing.
    let count = unsafe { ffi::lua_gettop(state) };
    if count == 0 {
        return Err("Please specify at least one argument for this redis lib call");
    }
    for at in 1..=count {
        // SAFETY: there are `count` arguments. A string is not converted, so nothing is
        // allocated and nothing raised; its bytes are valid while it is on the stack.
        unsafe {
            match ffi::lua_type(state, at) {
                ffi::LUA_TSTRING => words.push(text(state, at)),
                ffi::LUA_TNUMBER => number_word(ffi::lua_tonumber(state, at), words),
                _ => return Err("Lua redis lib command arguments must be strings or integers"),
            }
        }
    }
    Ok(())
}

/// The bytes of a string on the stack.
///
/// # Safety
/// There is a string at `at`, and it stays there for as long as the slice is used.
unsafe fn text<'a>(state: *mut lua_State, at: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: the caller's; Lua's strings have `len` bytes there, which do not move.
    unsafe {
        let start = ffi::lua_tolstring(state, at, &raw mut len);
        if start.is_null() {
            return &[];
        }
        slice::from_raw_parts(start.cast::<u8>(), len)
    }
}

/// What came of a command.
#[derive(Clone, Copy)]
enum Outcome {
    Nil,
    Boolean(bool),
    Number(f64),
    /// Bytes of the reply in the exchange.
    Text(*const u8, usize),
    /// An array, which is the reply in the exchange.
    Array(*const u8, usize),
    /// A table is to be made of the reply in the exchange, which is an error or is not.
    Table(bool),
}

/// Has a command run for a function of a script. Raises nothing.
///
/// # Safety
/// As [`take_words`].
unsafe fn serve(exchange: &Exchange, state: *mut lua_State) -> Outcome {
    let talk = &mut *exchange.talk.lock();
    // SAFETY: the caller's.
    let taken = unsafe { take_words(state, &mut talk.words) };
    let refusal = match taken {
        Ok(()) => {
            talk.request = Request::Call;
            let answered = exchange.door.with(|run| run.answer(talk));
            answered.is_none().then_some(Exchange::NO_RUN)
        }
        Err(message) => Some(message),
    };
    if let Some(message) = refusal {
        talk.answer = Answer::Refused(format!("ERR {message}").into_bytes(), false);
    }
    match &talk.answer {
        Answer::Reply(reply) => match take_plain(&mut &reply[..]) {
            Some(Plain::Nil) => Outcome::Nil,
            Some(Plain::Boolean(truth)) => Outcome::Boolean(truth),
            Some(Plain::Number(n)) => Outcome::Number(n),
            Some(Plain::Text(text)) => Outcome::Text(text.as_ptr(), text.len()),
            None if reply.first() == Some(&b'*') => Outcome::Array(reply.as_ptr(), reply.len()),
            None => Outcome::Table(reply.first() == Some(&b'-')),
        },
        Answer::Refused(..) => Outcome::Table(true),
        Answer::Done | Answer::No => Outcome::Nil,
    }
}

/// Takes the first line: its first byte, and the rest of it.
fn take_line<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&kind, after) = rest.split_first()?;
    let end = after.iter().position(|&byte| byte == b'\r')?;
    *rest = after.get(end + 2..)?;
    Some((kind, after.get(..end)?))
}

/// Takes an encoded reply of which no table is made; what is not one is left.
fn take_plain<'a>(rest: &mut &'a [u8]) -> Option<Plain<'a>> {
    let mut after = *rest;
    let (kind, head) = take_line(&mut after)?;
    let plain = match kind {
        b':' => Plain::Number(num::parse_i64(head)? as f64),
        b'$' | b'*' if head == b"-1" => Plain::Boolean(false),
        b'$' => {
            let len = usize::try_from(num::parse_i64(head)?).ok()?;
            let text = after.get(..len)?;
            after = after.get(len.checked_add(2)?..)?;
            Plain::Text(text)
        }
        b'_' => Plain::Nil,
        b'#' => Plain::Boolean(head == b"t"),
        _ => return None,
    };
    *rest = after;
    Some(plain)
}

/// Arrays in arrays that are made here.
const MAX_DEPTH: u32 = 6;

/// Pushes the table of an array of plain replies and such arrays; false, with something left on
/// the stack, when there is anything else in it.
///
/// # Safety
/// Two slots of the stack are free for each level, and nothing with a destructor is alive.
unsafe fn push_array(state: *mut lua_State, rest: &mut &[u8], depth: u32) -> bool {
    let count = take_line(rest).and_then(|(_, head)| num::parse_i64(head));
    let Some(count) = count.and_then(|count| c_int::try_from(count).ok()) else {
        return false;
    };
    // SAFETY: the caller's. The bytes of what is taken are copied by Lua.
    unsafe {
        // An element has four bytes and more.
        let room = c_int::try_from(rest.len() / 4).unwrap_or(c_int::MAX);
        ffi::lua_createtable(state, count.min(room), 0);
        for at in 1..=count {
            match take_plain(rest) {
                Some(Plain::Nil) => ffi::lua_pushnil(state),
                Some(Plain::Boolean(truth)) => ffi::lua_pushboolean(state, c_int::from(truth)),
                Some(Plain::Number(n)) => ffi::lua_pushnumber(state, n),
                Some(Plain::Text(text)) => {
                    ffi::lua_pushlstring(state, text.as_ptr().cast(), text.len());
                }
                None => {
                    let array = rest.first() == Some(&b'*') && depth < MAX_DEPTH;
                    if !array || !push_array(state, rest, depth + 1) {
                        return false;
                    }
                }
            }
            ffi::lua_rawseti(state, -2, at.into());
        }
    }
    true
}

/// Pushes the table that the long way makes of what is in the exchange.
///
/// # Safety
/// This is part of [`command`].
unsafe fn push_table(state: *mut lua_State) {
    // SAFETY: the second upvalue is a function without arguments.
    unsafe {
        ffi::lua_settop(state, 0);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
        ffi::lua_call(state, 0, 1);
    }
}

/// `redis.call` and `redis.pcall`. Upvalues: the exchange, and a function that makes the table
/// of the answer in it.
unsafe extern "C-unwind" fn command<const RAISES: bool>(state: *mut lua_State) -> c_int {
    // SAFETY: only `command_function` makes closures of this, with these upvalues, the second
    // of which keeps the exchange alive. A function of C has 20 slots of the stack free. Nothing
    // here has a destructor, so Lua may raise (there is no memory) wherever it likes. The bytes
    // of a reply stay in the exchange until the next command; making a string may run the
    // collector, but no finaliser of ours comes back here.
    unsafe {
        let at = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1));
        let exchange = at.cast::<Exchange>();
        match serve(&*exchange, state) {
            Outcome::Nil => ffi::lua_pushnil(state),
            Outcome::Boolean(truth) => ffi::lua_pushboolean(state, c_int::from(truth)),
            Outcome::Number(n) => ffi::lua_pushnumber(state, n),
            Outcome::Text(start, len) => {
                ffi::lua_pushlstring(state, start.cast(), len);
            }
            Outcome::Array(start, len) => {
                // The words are not needed any more; 20 slots are enough for all levels.
                ffi::lua_settop(state, 0);
                if !push_array(state, &mut slice::from_raw_parts(start, len), 0) {
                    push_table(state);
                }
            }
            Outcome::Table(error) => {
                push_table(state);
                if error && RAISES {
                    ffi::lua_error(state);
                }
            }
        }
    }
    1
}

/// `redis.call`, or `redis.pcall`. `table` makes the table of what is in the exchange, and keeps
/// the exchange alive.
pub(super) fn command_function(
    lua: &Lua,
    exchange: &Exchange,
    table: &Function,
    raises: bool,
) -> mlua::Result<Function> {
    let function = if raises {
        command::<true>
    } else {
        command::<false>
    };
    let at = ptr::from_ref(exchange).cast_mut().cast();
    // SAFETY: `exec_raw` gives room for two more than its arguments, catches what is raised,
    // and takes what is left on the stack: the argument became an upvalue.
    unsafe {
        lua.exec_raw(table, |state| {
            ffi::lua_pushlightuserdata(state, at);
            ffi::lua_insert(state, 1);
            ffi::lua_pushcclosure(state, function, 2);
        })
    }
}

/// How a run ended.
pub(super) enum Ended {
    /// The result is written.
    Written,
    /// With this result.
    Result(Value),
    /// With what the handler of errors made.
    Failed(Value),
}

/// A function with its words.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Where it is.
    pub function: &'a RegistryKey,
    pub keys: &'a [&'a [u8]],
    pub argv: &'a [&'a [u8]],
    /// It gets the words as arguments; otherwise they are globals.
    pub arguments: bool,
}

/// Runs a function; its words become globals of `globals`, or its arguments. `handler` is called
/// where an error is raised.
pub(super) fn enter(
    lua: &Lua,
    exchange: &Exchange,
    (globals, handler): (&Table, &Function),
    entry: Entry<'_>,
) -> mlua::Result<Ended> {
    let mut written = false;
    let id = entry.function.id();
    let done = &mut written;
    // SAFETY: `exec_raw` catches what is raised outside of the function, and takes what is left
    // on the stack. Room is made for what is pushed. The closure owns nothing with a destructor,
    // and nor does what it calls while Lua may raise. A result's bytes are used while it is on
    // the stack.
    let (ok, value) = unsafe {
        lua.exec_raw::<(bool, Value)>((globals, handler), |state| {
            ffi::luaL_checkstack(state, 8, ptr::null());
            ffi::lua_rawgeti(state, ffi::LUA_REGISTRYINDEX, id.into());
            push_words(state, entry.keys);
            push_words(state, entry.argv);
            let mut count = 2;
            if !entry.arguments {
                count = 0;
                for name in [c"ARGV", c"KEYS"] {
                    ffi::lua_pushlstring(state, name.as_ptr(), name.count_bytes());
                    ffi::lua_insert(state, -2);
                    ffi::lua_rawset(state, 1);
                }
            }
            let status = ffi::lua_pcall(state, count, 1, 2);
            let ok = status == ffi::LUA_OK;
            if ok && let Some(result) = result(state, -1) {
                *done = exchange.door.with(|run| run.finish(result)).is_some();
            }
            // Only these two are left: how it ended, and the value.
            ffi::lua_replace(state, 1);
            ffi::lua_pushboolean(state, c_int::from(ok));
            ffi::lua_replace(state, 2);
            ffi::lua_insert(state, 1);
            if *done {
                ffi::lua_pushnil(state);
                ffi::lua_replace(state, 2);
            }
        })?
    };
    Ok(match (written, ok) {
        (true, _) => Ended::Written,
        (false, true) => Ended::Result(value),
        (false, false) => Ended::Failed(value),
    })
}

/// Pushes a table of words.
///
/// # Safety
/// Three slots of the stack are free, and nothing with a destructor is alive: there may be no
/// memory, which is raised.
unsafe fn push_words(state: *mut lua_State, words: &[&[u8]]) {
    // SAFETY: the caller's. Requests have less than 2^31 words.
    unsafe {
        let count = c_int::try_from(words.len()).unwrap_or(c_int::MAX);
        ffi::lua_createtable(state, count, 0);
        for (at, word) in (1..).zip(words) {
            ffi::lua_pushlstring(state, word.as_ptr().cast(), word.len());
            ffi::lua_rawseti(state, -2, at);
        }
    }
}

/// A result that is no table.
///
/// # Safety
/// There is a value at `at`, and it stays there for as long as what is returned is used.
unsafe fn result<'a>(state: *mut lua_State, at: c_int) -> Option<Plain<'a>> {
    // SAFETY: the caller's; values are converted only from what they are.
    unsafe {
        Some(match ffi::lua_type(state, at) {
            ffi::LUA_TSTRING => Plain::Text(text(state, at)),
            ffi::LUA_TNUMBER => Plain::Number(ffi::lua_tonumber(state, at)),
            ffi::LUA_TBOOLEAN => Plain::Boolean(ffi::lua_toboolean(state, at) != 0),
            ffi::LUA_TNIL => Plain::Nil,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counter(u32);

    impl Serve for Counter {
        fn tick(&mut self) {
            self.0 += 1;
        }
        fn answer(&mut self, _: &mut Talk) {}
        fn finish(&mut self, _: Plain<'_>) {}
    }

    #[test]
    fn a_run_is_found_while_it_is_there_and_by_one_at_a_time() {
        let (door, mut counter) = (Door::default(), Counter::default());
        assert!(door.with(|run| run.tick()).is_none());
        door.open(&mut counter, || {
            assert!(door.with(|run| run.tick()).is_some());
            let inner = door.with(|run| {
                run.tick();
                door.with(|run| run.tick()).is_some()
            });
            assert_eq!(inner, Some(false));
            assert!(door.with(|run| run.tick()).is_some());
        });
        assert!(door.with(|run| run.tick()).is_none());
        assert_eq!(counter.0, 3);
    }

    #[test]
    fn a_panic_leaves_no_run_behind() {
        let (door, mut counter) = (Door::default(), Counter::default());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            door.open(&mut counter, || {
                door.with(|_| panic!("a command fails")).unwrap_or(())
            });
        }));
        assert!(panicked.is_err());
        assert!(door.with(|run| run.tick()).is_none());
    }

    #[test]
    fn plain_replies_are_read_and_others_left() {
        for (reply, value) in [
            (&b":-7\r\n"[..], Plain::Number(-7.0)),
            (b"$3\r\na\rb\r\n", Plain::Text(b"a\rb")),
            (b"$0\r\n\r\n", Plain::Text(b"")),
            (b"$-1\r\n", Plain::Boolean(false)),
            (b"*-1\r\n", Plain::Boolean(false)),
            (b"_\r\n", Plain::Nil),
            (b"#t\r\n", Plain::Boolean(true)),
        ] {
            let mut rest = reply;
            assert_eq!((take_plain(&mut rest), rest), (Some(value), &b""[..]));
        }
        for other in [
            "+OK\r\n",
            "-E x\r\n",
            "*0\r\n",
            "$9\r\nshort\r\n",
            "$1\r\na",
            "",
            ":",
            "_\r",
        ] {
            let mut rest = other.as_bytes();
            assert_eq!((take_plain(&mut rest), rest), (None, other.as_bytes()));
        }
    }
}
