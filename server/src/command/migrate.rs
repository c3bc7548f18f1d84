//! MIGRATE: hands keys over to another server, which restores them while they vanish here.
//!
//! The whole exchange happens with the keys locked, as in Redis, so that nobody sees a key in
//! both places or in neither. Nothing is kept connected between calls.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, KeyFlags, KeyRef, KeySpec,
};
use basalt_engine::command::{Ctx, args};
use basalt_engine::keyspace::{Look, NotifyClass};
use basalt_engine::value::serial::{self, Content};
use basalt_engine::{ReplyError, shown};
use basalt_formats::num;
use basalt_formats::resp::encode;

/// Longest line of a reply that is read.
const MAX_LINE: u64 = 1024;

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

/// A connection to the other server.
///
/// # Errors
/// Redis learns of a refused connection, or one that does not come about in time, when it writes,
/// and says so; a port that is no number is one where nobody listens.
fn connect(host: &[u8], port: &[u8], timeout: Duration) -> Result<TcpStream, ReplyError> {
    let unknown = || ReplyError::raw("IOERR error or timeout connecting to the client");
    let host = std::str::from_utf8(host).map_err(|_| unknown())?;
    let port = num::atoi(port);
    if port < 0 {
        return Err(unknown());
    }
    let address = (host, u16::try_from(port).unwrap_or(0))
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(unknown)?;
    let stream =
        TcpStream::connect_timeout(&address, timeout).map_err(|error| match error.kind() {
            io::ErrorKind::NetworkUnreachable => unknown(),
            _ => io_error("writing"),
        })?;
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(timeout)))
        .and_then(|()| stream.set_write_timeout(Some(timeout)));
    prepared.map_err(|_| io_error("writing"))?;
    Ok(stream)
}

/// One line of the other server, without its end.
fn line(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.len() - 1);
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    Ok(line)
}

fn io_error(doing: &str) -> ReplyError {
    ReplyError::raw(format!("IOERR error or timeout {doing} to target instance"))
}

fn migrate(ctx: &mut Ctx<'_>, words: Args<'_>) -> CmdResult {
    let wanted = Wanted::parse(words)?;
    let compress = ctx.engine().settings.rdb_compression.load(Relaxed);
    let now_ms = ctx.ks.now_ms;
    let mut sent: Vec<&[u8]> = Vec::new();
    let mut message = Vec::new();
    if let Some((user, password)) = wanted.auth {
        match user {
            Some(user) => request(&mut message, &[b"AUTH", user, password]),
            None => request(&mut message, &[b"AUTH", password]),
        }
    }
    request(&mut message, &[b"SELECT", wanted.db.to_string().as_bytes()]);
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
        request(&mut message, &restore);
        sent.push(key);
    }
    if sent.is_empty() {
        ctx.out.simple("NOKEY");
        return Ok(());
    }
    let mut stream = connect(words[1], words[2], wanted.timeout)?;
    stream
        .write_all(&message)
        .map_err(|_| io_error("writing"))?;
    let mut replies = BufReader::new(stream);
    let mut refusal = None;
    for _ in 0..1 + usize::from(wanted.auth.is_some()) {
        let reply = line(&mut replies).map_err(|_| io_error("reading"))?;
        if reply.first() == Some(&b'-') && refusal.is_none() {
            refusal = Some(reply);
        }
    }
    // Once AUTH or SELECT was refused, nothing that follows counts as handed over.
    let in_place = refusal.is_none();
    let mut gone: Vec<&[u8]> = vec![b"DEL"];
    let mut broken = false;
    for key in sent {
        match line(&mut replies) {
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
