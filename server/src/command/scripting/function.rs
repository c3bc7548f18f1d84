//! Handlers of FUNCTION: what can be done with libraries without running them.

use basalt_engine::ReplyError;
use basalt_engine::command::spec::{Args, CmdResult};
use basalt_engine::command::{Ctx, args};
use basalt_formats::glob::glob_match;
use basalt_formats::rdb::{Reader, Writer, open_payload, seal_payload};

use super::{is_flush_mode, not_busy};
use crate::command::server::subcommand_syntax;
use crate::persist::libraries::{Library, Policy};
use crate::persist::server_of;

/// The byte before a library in a payload or file.
const OPCODE: u8 = 245;
/// The byte before a library in files of early candidates of Redis 7.0, which had more fields.
const OPCODE_BEFORE_RELEASE: u8 = 246;

const FUNCTION_HELP: &[&str] = &[
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Library description",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries of a payload. What happens to libraries that are there (default APPEND):",
    "    * FLUSH: delete all of them first.",
    "    * APPEND: keep them; fail if a name is taken.",
    "    * REPLACE: keep them, except those whose names come again.",
];

pub(super) fn function_flush(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if words.len() > 3 {
        return Err(subcommand_syntax(words));
    }
    if !is_flush_mode(&words[2..]) {
        return Err(ReplyError::err(
            "FUNCTION FLUSH only supports SYNC|ASYNC option",
        ));
    }
    server_of(ctx).persist.libraries.clear();
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}

pub(super) fn function_delete(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if !server_of(ctx).persist.libraries.remove(words[2]) {
        return Err(ReplyError::err("Library not found"));
    }
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}

pub(super) fn function_kill(_ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    Err(not_busy())
}

pub(super) fn function_list(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let mut cursor = args::Cursor::new(words, 2);
    let (mut with_code, mut pattern) = (false, None);
    while let Some(word) = cursor.next() {
        if !with_code && args::is(word, "withcode") {
            with_code = true;
        } else if pattern.is_none() && args::is(word, "libraryname") {
            pattern = cursor.next();
            if pattern.is_none() {
                return Err(ReplyError::err("library name argument was not given"));
            }
        } else {
            return Err(ReplyError::err(format_args!(
                "Unknown argument {}",
                basalt_engine::shown(word)
            )));
        }
    }
    let mut libraries = server_of(ctx).persist.libraries.all();
    libraries
        .retain(|library| pattern.is_none_or(|pattern| glob_match(pattern, &library.name, true)));
    ctx.out.array(libraries.len());
    for library in libraries {
        ctx.out.map(if with_code { 4 } else { 3 });
        ctx.out.bulk(b"library_name");
        ctx.out.bulk(&library.name);
        ctx.out.bulk(b"engine");
        ctx.out.bulk(library.engine.as_bytes());
        // Which functions a library registers is known only by running it.
        ctx.out.bulk(b"functions");
        ctx.out.array(0);
        if with_code {
            ctx.out.bulk(b"library_code");
            ctx.out.bulk(&library.code);
        }
    }
    Ok(())
}

pub(super) fn function_stats(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let libraries = server_of(ctx).persist.libraries.len();
    ctx.out.map(2);
    ctx.out.bulk(b"running_script");
    ctx.out.null();
    ctx.out.bulk(b"engines");
    if libraries == 0 {
        ctx.out.map(0);
        return Ok(());
    }
    ctx.out.map(1);
    ctx.out.bulk(b"LUA");
    ctx.out.map(2);
    ctx.out.bulk(b"libraries_count");
    ctx.out.count(libraries);
    ctx.out.bulk(b"functions_count");
    ctx.out.int(0);
    Ok(())
}

pub(super) fn function_help(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.help("function", FUNCTION_HELP);
    Ok(())
}

pub(super) fn function_dump(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let mut writer = Writer::new(true);
    for library in server_of(ctx).persist.libraries.all() {
        writer.raw(&[OPCODE]);
        writer.string(&library.code);
    }
    ctx.out.bulk(&seal_payload(writer.into_bytes()));
    Ok(())
}

/// The libraries of a payload.
fn libraries_in(payload: &[u8]) -> Result<Vec<Library>, ReplyError> {
    let body = open_payload(payload, true)
        .map_err(|_| ReplyError::err("DUMP payload version or checksum are wrong"))?;
    let mut reader = Reader::new(body);
    let mut libraries = Vec::new();
    while reader.left() > 0 {
        match reader.byte() {
            Ok(OPCODE) => {}
            Ok(OPCODE_BEFORE_RELEASE) => {
                return Err(ReplyError::err("Pre-GA function format not supported"));
            }
            _ => return Err(ReplyError::err("given type is not a function")),
        }
        let code = reader
            .string()
            .map_err(|_| ReplyError::err("Failed loading library code"))?;
        libraries.push(Library::parse(&code).map_err(ReplyError::err)?);
    }
    Ok(libraries)
}

pub(super) fn function_restore(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let policy = match &words[3..] {
        [] => Policy::Append,
        [word] if args::is(word, "append") => Policy::Append,
        [word] if args::is(word, "replace") => Policy::Replace,
        [word] if args::is(word, "flush") => Policy::Flush,
        [_] => {
            return Err(ReplyError::err(
                "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => return Err(subcommand_syntax(words)),
    };
    let libraries = libraries_in(words[2])?;
    let store = &server_of(ctx).persist.libraries;
    store.add(libraries, policy).map_err(ReplyError::err)?;
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}
