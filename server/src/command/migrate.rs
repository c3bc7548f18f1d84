//! MIGRATE: hands keys over to another server, which restores them while they vanish here.
//!
//! The whole exchange happens with the keys locked, as in Redis, so that nobody sees a key in
//! both places or in neither. Connections are kept for the next call (`links`).

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, KeyFlags, KeyRef, KeySpec,
};
use basalt_engine::command::{Ctx, args};
use basalt_engine::keyspace::{Look, NotifyClass};
use basalt_engine::value::serial::{self, Content};
use basalt_engine::{ReplyError, shown};
use basalt_formats::resp::encode;

use super::links::{Link, io_error};
use crate::client::Conn;

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "migrate",
    since: "2.6.0",
    summary: "Hands keys over to another server, where they appear as they vanish here.",
    complexity: "That of DUMP and DEL here and RESTORE there, plus O(N) to send N bytes.",
    arity: -6,
    flags: Flags::WRITE,
    acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
    keys: &[
        KeySpec::one(3, KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE)),
        KeySpec::keyword(
            "KEYS",
            -2,
            FindKeys::Range(-1, 1, 0),
            KeyFlags::RW
                .or(KeyFlags::ACCESS)
                .or(KeyFlags::DELETE)
                .or(KeyFlags::INCOMPLETE),
        ),
    ],
    get_keys: Some(migrate_get_keys),
    args: &[
        ArgSpec::new("host", ArgType::String),
        ArgSpec::new("port", ArgType::Integer),
        ArgSpec {
            args: &[
                ArgSpec {
                    key_spec: 0,
                    ..ArgSpec::new("key", ArgType::Key)
                },
                ArgSpec {
                    token: "\"\"",
                    ..ArgSpec::new("empty-string", ArgType::PureToken)
                },
            ],
            ..ArgSpec::new("key-selector", ArgType::OneOf)
        },
        ArgSpec::new("destination-db", ArgType::Integer),
        ArgSpec::new("timeout", ArgType::Integer),
        ArgSpec {
            token: "COPY",
            since: "3.0.0",
            optional: true,
            ..ArgSpec::new("copy", ArgType::PureToken)
        },
        ArgSpec {
            token: "REPLACE",
            since: "3.0.0",
            optional: true,
            ..ArgSpec::new("replace", ArgType::PureToken)
        },
        ArgSpec {
            optional: true,
            args: &[
                ArgSpec {
                    token: "AUTH",
                    since: "4.0.7",
                    display: "password",
                    ..ArgSpec::new("auth", ArgType::String)
                },
                ArgSpec {
                    token: "AUTH2",
                    since: "6.0.0",
                    args: &[
                        ArgSpec::new("username", ArgType::String),
                        ArgSpec::new("password", ArgType::String),
                    ],
                    ..ArgSpec::new("auth2", ArgType::Block)
                },
            ],
            ..ArgSpec::new("authentication", ArgType::OneOf)
        },
        ArgSpec {
            token: "KEYS",
            key_spec: 1,
            since: "3.0.6",
            display: "key",
            optional: true,
            multiple: true,
            ..ArgSpec::new("keys", ArgType::Key)
        },
    ],
    tips: &["nondeterministic_output"],
    history: &[
        ("3.0.0", "New options `COPY` and `REPLACE`."),
        ("3.0.6", "New option `KEYS`."),
        ("4.0.7", "New option `AUTH`."),
        ("6.0.0", "New option `AUTH2`."),
    ],
    handler: migrate,
    ..CommandSpec::BLANK
}];

const ACCESS: KeyFlags = KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::DELETE);

/// The one key, or those behind KEYS.
fn migrate_get_keys(words: Args<'_>) -> Option<Vec<KeyRef>> {
    let mut at = 6;
    while let Some(word) = words.get(at) {
        if args::is(word, "keys") && words.get(3).is_some_and(|key| key.is_empty()) {
            return Some((at + 1..words.len()).map(|key| (key, ACCESS)).collect());
        }
        at += if args::is(word, "auth") {
            2
        } else if args::is(word, "auth2") {
            3
        } else {
            1
        };
    }
    (words.len() > 3).then(|| vec![(3, ACCESS)])
}

/// What a request asks for.
struct Wanted<'a> {
    copy: bool,
    replace: bool,
    /// User, if named, and password.
    auth: Option<(Option<&'a [u8]>, &'a [u8])>,
    keys: &'a [&'a [u8]],
    host: &'a [u8],
    port: &'a [u8],
    db: i64,
    timeout: Duration,
}

impl<'a> Wanted<'a> {
    fn parse(words: Args<'a>) -> Result<Wanted<'a>, ReplyError> {
        let mut wanted = Wanted {
            copy: false,
            replace: false,
            auth: None,
            keys: &words[3..4],
            host: words[1],
            port: words[2],
            db: 0,
            timeout: Duration::from_secs(1),
        };
        let mut rest = args::Cursor::new(words, 6);
        while let Some(word) = rest.next() {
            if args::is(word, "copy") {
                wanted.copy = true;
            } else if args::is(word, "replace") {
                wanted.replace = true;
            } else if args::is(word, "auth") {
                wanted.auth = Some((None, rest.required()?));
            } else if args::is(word, "auth2") {
                let user = rest.required()?;
                wanted.auth = Some((Some(user), rest.required()?));
            } else if args::is(word, "keys") {
                if !words[3].is_empty() {
                    return Err(ReplyError::err(
                        "When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                wanted.keys = &words[rest.position()..];
                break;
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        let timeout_ms = args::int(words[5])?;
        wanted.db = args::int(words[4])?;
        if let Some(ms) = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0) {
            wanted.timeout = Duration::from_millis(ms);
        }
        Ok(wanted)
    }
}

fn request(out: &mut Vec<u8>, words: &[&[u8]]) {
    encode::array(out, words.len());
    words.iter().for_each(|word| encode::bulk(out, word));
}

/// What was answered to the first of the requests, and to AUTH and SELECT if they were refused.
struct Begun {
    refusal: Option<Vec<u8>>,
    first: Vec<u8>,
}

/// Sends all requests, and reads up to the answer to the first RESTORE.
///
/// # Errors
/// What was being done, and how it failed.
fn begin(
    link: &mut Link,
    wanted: &Wanted<'_>,
    restores: &[u8],
) -> Result<Begun, (&'static str, io::Error)> {
    let mut message = Vec::new();
    let mut greetings = 0;
    if let Some((user, password)) = wanted.auth {
        match user {
            Some(user) => request(&mut message, &[b"AUTH", user, password]),
            None => request(&mut message, &[b"AUTH", password]),
        }
        greetings += 1;
    }
    if link.db != Some(wanted.db) {
        request(&mut message, &[b"SELECT", wanted.db.to_string().as_bytes()]);
        greetings += 1;
    }
    message.extend_from_slice(restores);
    link.send(&message).map_err(|error| ("writing", error))?;
    let mut refusal = None;
    for _ in 0..greetings {
        let reply = link.line().map_err(|error| ("reading", error))?;
        if reply.first() == Some(&b'-') && refusal.is_none() {
            refusal = Some(reply);
        }
    }
    let first = link.line().map_err(|error| ("reading", error))?;
    Ok(Begun { refusal, first })
}

/// Begins on the connection that was kept; if it is broken by now, on a fresh one.
fn begin_somewhere(
    kept: Option<Link>,
    wanted: &Wanted<'_>,
    restores: &[u8],
) -> Result<(Link, Begun), ReplyError> {
    if let Some(mut link) = kept {
        match link
            .set_timeout(wanted.timeout)
            .map_err(|error| ("writing", error))
            .and_then(|()| begin(&mut link, wanted, restores))
        {
            Ok(begun) => return Ok((link, begun)),
            Err((doing, error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return Err(io_error(doing));
            }
            Err(_) => {}
        }
    }
    let mut link = Link::connect(wanted.host, wanted.port, wanted.timeout)?;
    let begun = begin(&mut link, wanted, restores).map_err(|(doing, _)| io_error(doing))?;
    Ok((link, begun))
}

fn migrate(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let wanted = Wanted::parse(words)?;
    let compress = ctx.engine().settings.rdb_compression.load(Relaxed);
    let now_ms = ctx.ks.now_ms;
    let mut sent: Vec<&[u8]> = Vec::new();
    let mut restores = Vec::new();
    for key in wanted.keys {
        let Some(found) = ctx.ks.look(key, Look::READ) else {
            continue;
        };
        let ttl = match found.header.expire_ms {
            Some(at) => at.saturating_sub(now_ms).max(1),
            None => 0,
        };
        let payload = serial::dump(Content::from(&found), compress);
        let ttl = ttl.to_string();
        let mut restore: Vec<&[u8]> = vec![b"RESTORE", key, ttl.as_bytes(), &payload];
        if wanted.replace {
            restore.push(b"REPLACE");
        }
        request(&mut restores, &restore);
        sent.push(key);
    }
    if sent.is_empty() {
        ctx.out.simple("NOKEY");
        return Ok(());
    }
    let server = Conn::of(ctx).server.clone();
    let kept = server.links.take(wanted.host, wanted.port);
    let (mut link, begun) = begin_somewhere(kept, &wanted, &restores)?;
    let (mut refusal, mut first) = (begun.refusal, Some(begun.first));
    // Once AUTH or SELECT was refused, nothing that follows counts as handed over.
    let in_place = refusal.is_none();
    let mut gone: Vec<&[u8]> = vec![b"DEL"];
    let mut broken = false;
    for key in sent {
        match first.take().map_or_else(|| link.line(), Ok) {
            Err(_) => {
                broken = true;
                break;
            }
            Ok(reply) if reply.first() == Some(&b'-') => {
                refusal.get_or_insert(reply);
            }
            Ok(_) if in_place && !wanted.copy => {
                ctx.ks.remove(key);
                ctx.ks.modified(key);
                ctx.ks.notify(NotifyClass::GENERIC, "del", key);
                ctx.ks.dirty += 1;
                gone.push(key);
            }
            Ok(_) => {}
        }
    }
    if gone.len() > 1 {
        ctx.propagate(&gone);
    }
    if !broken {
        link.db = refusal.is_none().then_some(wanted.db);
        server.links.keep(wanted.host, wanted.port, link);
    }
    match refusal {
        Some(reply) => Err(ReplyError::err(format_args!(
            "Target instance replied with error: {}",
            shown(reply.get(1..).unwrap_or_default())
        ))),
        None if broken => Err(io_error("reading")),
        None => {
            ctx.out.ok();
            Ok(())
        }
    }
}
