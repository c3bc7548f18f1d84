//! Handlers of FUNCTION.

use basalt_formats::glob::glob_match;
use basalt_formats::rdb::{Reader, Writer, open_payload, seal_payload};

use super::is_flush_mode;
use crate::command::spec::{Args, CmdResult};
use crate::command::{Ctx, args};
use crate::error::{ReplyError, shown};
use crate::script::LOAD_TIMEOUT;
use crate::script::libraries::{Library, LibraryError, Policy};

/// The byte before a library in a payload or file.
const OPCODE: u8 = 245;
/// The byte before a library in files of early candidates of Redis 7.0, which had more fields.
const OPCODE_BEFORE_RELEASE: u8 = 246;

const FUNCTION_HELP: &[&str] = &[
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
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
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
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
    ctx.engine().scripts.clear_libraries();
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}

pub(super) fn function_delete(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    if !ctx.engine().scripts.remove_library(words[2]) {
        return Err(ReplyError::err("Library not found"));
    }
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}

/// Wrong words after a subcommand, in Redis's words.
fn subcommand_syntax(words: Args<'_>) -> ReplyError {
    let at = |at: usize| {
        let word = words.get(at).copied().unwrap_or_default();
        shown(&word[..word.len().min(128)])
    };
    ReplyError::err(format_args!(
        "unknown subcommand or wrong number of arguments for '{}'. Try {} HELP.",
        at(1),
        at(0).to_uppercase()
    ))
}

pub(super) fn function_load(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let mut policy = Policy::Append;
    let [options @ .., code] = &words[2..] else {
        return Err(ReplyError::err("Function code is missing"));
    };
    for option in options {
        if !args::is(option, "replace") {
            return Err(ReplyError::err(format_args!(
                "Unknown option given: {}",
                shown(option)
            )));
        }
        policy = Policy::Replace;
    }
    let timeout = (!ctx.session.replaying).then_some(LOAD_TIMEOUT);
    let library = Library::parse(code).map_err(ReplyError::err)?;
    let scripts = &ctx.engine().scripts;
    if policy == Policy::Append && scripts.libraries.contains(&library.name) {
        let there = LibraryError::LoadExists(shown(&library.name));
        return Err(ReplyError::err(there));
    }
    let name = scripts
        .add_libraries(&[code], policy, timeout)
        .map_err(ReplyError::err)?;
    ctx.ks.dirty += 1;
    ctx.out.bulk(&name);
    Ok(())
}

pub(super) fn function_kill(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.engine().scripts.running.kill(false)?;
    ctx.out.ok();
    Ok(())
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
                shown(word)
            )));
        }
    }
    let mut libraries = ctx.engine().scripts.libraries.all();
    libraries
        .retain(|library| pattern.is_none_or(|pattern| glob_match(pattern, &library.name, true)));
    ctx.out.array(libraries.len());
    for library in libraries {
        ctx.out.map(if with_code { 4 } else { 3 });
        ctx.out.bulk(b"library_name");
        ctx.out.bulk(&library.name);
        ctx.out.bulk(b"engine");
        ctx.out.bulk(library.engine.as_bytes());
        ctx.out.bulk(b"functions");
        ctx.out.array(library.functions.len());
        for function in &library.functions {
            ctx.out.map(3);
            ctx.out.bulk(b"name");
            ctx.out.bulk(&function.name);
            ctx.out.bulk(b"description");
            ctx.out.bulk_opt(function.description.as_deref());
            ctx.out.bulk(b"flags");
            ctx.out.set(function.flags.words().count());
            for word in function.flags.words() {
                ctx.out.simple(word);
            }
        }
        if with_code {
            ctx.out.bulk(b"library_code");
            ctx.out.bulk(&library.code);
        }
    }
    Ok(())
}

pub(super) fn function_stats(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let scripts = &ctx.engine().scripts;
    let running = scripts.running.function()?;
    ctx.out.map(2);
    ctx.out.bulk(b"running_script");
    match running {
        None => ctx.out.null(),
        Some(running) => {
            ctx.out.map(3);
            ctx.out.bulk(b"name");
            ctx.out.bulk(running.name.as_bytes());
            ctx.out.bulk(b"command");
            let words = running.command.slices();
            ctx.out.array(words.len());
            words.iter().for_each(|word| ctx.out.bulk(word));
            ctx.out.bulk(b"duration_ms");
            let elapsed = i64::try_from(running.elapsed.as_millis()).unwrap_or(i64::MAX);
            ctx.out.int(elapsed);
        }
    }
    ctx.out.bulk(b"engines");
    ctx.out.map(1);
    ctx.out.bulk(b"LUA");
    ctx.out.map(2);
    ctx.out.bulk(b"libraries_count");
    ctx.out.count(scripts.libraries.len());
    ctx.out.bulk(b"functions_count");
    ctx.out.count(scripts.libraries.function_count());
    Ok(())
}

pub(super) fn function_help(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    ctx.out.help("function", FUNCTION_HELP);
    Ok(())
}

pub(super) fn function_dump(ctx: &mut Ctx<'_>, _words: Args<'_>) -> CmdResult {
    let mut writer = Writer::new(true);
    for library in ctx.engine().scripts.libraries.all() {
        writer.raw(&[OPCODE]);
        writer.string(&library.code);
    }
    ctx.out.bulk(&seal_payload(writer.into_bytes()));
    Ok(())
}

/// The libraries of a payload.
fn libraries_in(payload: &[u8]) -> Result<Vec<Vec<u8>>, ReplyError> {
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
        libraries.push(code.to_vec());
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
    let codes: Vec<&[u8]> = libraries.iter().map(Vec::as_slice).collect();
    if codes.is_empty() && policy == Policy::Flush {
        ctx.engine().scripts.clear_libraries();
    } else if !codes.is_empty() {
        ctx.engine()
            .scripts
            .add_libraries(&codes, policy, None)
            .map_err(ReplyError::err)?;
    }
    ctx.ks.dirty += 1;
    ctx.out.ok();
    Ok(())
}
