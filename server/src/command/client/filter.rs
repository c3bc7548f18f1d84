//! Which clients CLIENT LIST shows and CLIENT KILL closes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::args::{self, Cursor};
use basalt_engine::command::spec::Args;

use crate::acl::Accounts;
use crate::client::handle::{Class, Handle};
use crate::client::registry::Clients;

/// Which command filters: they differ in error texts and in whether the caller is left out
/// when nothing is said about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    List,
    Kill,
}

/// A kind of client as words name it. There are no connections to a primary.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Of(Class),
    Primary,
}

/// One condition on a client, or with `NOT-` in front its opposite.
enum Test {
    Ids(Vec<u64>),
    Kind(Kind),
    Addr(Vec<u8>),
    Laddr(Vec<u8>),
    Ip(Vec<u8>),
    User(Vec<u8>),
    Name(Vec<u8>),
    LibName(Vec<u8>),
    LibVer(Vec<u8>),
    /// It has all of these flags.
    Flags(Vec<u8>),
    /// It declared all of these capabilities.
    Capa(Vec<u8>),
    Db(usize),
}

/// Conditions that a client must all meet.
#[derive(Default)]
pub(super) struct Filter {
    /// ID: these, in this order.
    ids: Vec<u64>,
    wanted: Vec<Test>,
    unwanted: Vec<Test>,
    max_age_s: Option<i64>,
    idle_s: Option<i64>,
    skip_me: bool,
}

/// What may come after the numbers of ID in CLIENT LIST, which would complain of another word.
const NAMES: &[&str] = &[
    "id", "type", "user", "addr", "laddr", "skipme", "maxage", "name", "idle", "flags", "lib-name",
    "lib-ver", "db", "capa", "ip",
];

/// The letters of flags in CLIENT LIST, and those of capabilities.
const FLAGS: &[u8] = b"OSMPxbtRBdcuAUreTIN";
const CAPABILITIES: &[u8] = b"r";

impl Filter {
    /// The old form of CLIENT KILL.
    pub(super) fn by_address(addr: &[u8]) -> Filter {
        Filter {
            wanted: vec![Test::Addr(addr.to_vec())],
            ..Filter::default()
        }
    }

    /// Reads filters from the third word on; of databases there are this many, and these users.
    ///
    /// # Errors
    /// The texts of Redis for what cannot be understood.
    pub(super) fn parse(
        words: Args<'_>,
        purpose: Purpose,
        databases: usize,
        accounts: &Accounts,
    ) -> Result<Filter, ReplyError> {
        let mut filter = Filter {
            skip_me: purpose == Purpose::Kill,
            ..Filter::default()
        };
        let mut cursor = Cursor::new(words, 2);
        while let Some(name) = cursor.next() {
            let value = cursor.required()?;
            if args::is(name, "id") {
                filter.ids.push(client_id(value, purpose)?);
                more_ids(&mut cursor, &mut filter.ids, purpose)?;
            } else if args::is(name, "not-id") {
                let mut ids = vec![client_id(value, Purpose::Kill)?];
                more_ids(&mut cursor, &mut ids, Purpose::Kill)?;
                filter.unwanted.push(Test::Ids(ids));
            } else if args::is(name, "skipme") {
                filter.skip_me = if args::is(value, "yes") {
                    true
                } else if args::is(value, "no") {
                    false
                } else {
                    return Err(ReplyError::SYNTAX);
                };
            } else if args::is(name, "maxage") {
                filter.max_age_s = Some(seconds("maxage", value)?);
            } else if args::is(name, "idle") {
                filter.idle_s = Some(seconds("idle", value)?);
            } else {
                let name = name.to_ascii_lowercase();
                let (tests, name) = match name.strip_prefix(b"not-") {
                    Some(name) => (&mut filter.unwanted, name),
                    None => (&mut filter.wanted, &name[..]),
                };
                let test = Test::parse(name, value, databases, accounts)?;
                // Of a filter given twice the second counts.
                tests.retain(|old| std::mem::discriminant(old) != std::mem::discriminant(&test));
                tests.push(test);
            }
        }
        Ok(filter)
    }

    /// The clients to look at: those named, in that order, or all.
    pub(super) fn candidates(&self, clients: &Clients) -> Vec<Arc<Handle>> {
        if self.ids.is_empty() {
            return clients.all();
        }
        self.ids.iter().filter_map(|id| clients.get(*id)).collect()
    }

    /// Whether a client meets the conditions; `own` is the caller's id.
    pub(super) fn accepts(&self, handle: &Handle, own: u64, now_ms: i64) -> bool {
        let since = |then_ms: i64| now_ms.div_euclid(1000) - then_ms.div_euclid(1000);
        let left_out = handle.gone.load(Relaxed) || self.skip_me && handle.id == own;
        let idle_s = since(handle.last_active_ms.load(Relaxed));
        !left_out
            && self
                .max_age_s
                .is_none_or(|max| since(handle.created_ms) >= max)
            && self.idle_s.is_none_or(|min| idle_s >= min)
            && self.wanted.iter().all(|test| test.holds(handle))
            && !self.unwanted.iter().any(|test| test.holds(handle))
    }
}

impl Test {
    /// The condition that this filter makes, without `NOT-`.
    fn parse(
        name: &[u8],
        value: &[u8],
        databases: usize,
        accounts: &Accounts,
    ) -> Result<Test, ReplyError> {
        let text = value.to_vec();
        Ok(match name {
            b"type" => Test::Kind(kind(value)?),
            b"addr" => Test::Addr(text),
            b"laddr" => Test::Laddr(text),
            b"ip" => Test::Ip(text),
            b"user" if accounts.get(value).is_some() => Test::User(text),
            b"user" => return Err(unknown("No such user '", value, "'")),
            b"name" => Test::Name(text),
            b"lib-name" => Test::LibName(text),
            b"lib-ver" => Test::LibVer(text),
            b"flags" if value.iter().all(|flag| FLAGS.contains(flag)) => Test::Flags(text),
            b"flags" => {
                return Err(unknown(
                    "Unknown flags found in the provided filter: ",
                    value,
                    "",
                ));
            }
            b"capa" if value.iter().all(|one| CAPABILITIES.contains(one)) => Test::Capa(text),
            b"capa" => {
                return Err(unknown(
                    "Unknown capa found in the provided filter: ",
                    value,
                    "",
                ));
            }
            b"db" => Test::Db(database(value, databases)?),
            _ => return Err(ReplyError::SYNTAX),
        })
    }

    fn holds(&self, handle: &Handle) -> bool {
        match self {
            Test::Ids(ids) => ids.contains(&handle.id),
            Test::Kind(kind) => *kind == Kind::Of(handle.class()),
            Test::Addr(addr) => addr == handle.addr.as_bytes(),
            Test::Laddr(laddr) => laddr == handle.laddr.as_bytes(),
            Test::Ip(ip) => ip_of(&handle.addr).is_some_and(|own| own.as_bytes() == ip),
            Test::User(user) => user == handle.labels.lock().user(),
            Test::Name(name) => named(name, &handle.labels.lock().name),
            Test::LibName(name) => named(name, &handle.labels.lock().lib_name),
            Test::LibVer(version) => named(version, &handle.labels.lock().lib_ver),
            Test::Flags(flags) => {
                let own = handle.flags();
                flags.iter().all(|flag| own.as_bytes().contains(flag))
            }
            Test::Capa(capa) => {
                let redirects = handle.takes_redirects.load(Relaxed);
                capa.iter().all(|one| *one == b'r' && redirects)
            }
            Test::Db(db) => handle.db.load(Relaxed) == *db,
        }
    }
}

/// Whether a client has this name; without any it has no name, not even an empty one.
fn named(wanted: &[u8], own: &[u8]) -> bool {
    !own.is_empty() && own == wanted
}

/// The address of a client without its port; clients of a Unix socket have none.
fn ip_of(addr: &str) -> Option<&str> {
    let (ip, port) = addr.rsplit_once(':')?;
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    (!port.starts_with('0')).then_some(bare.unwrap_or(ip))
}

fn unknown(before: &str, word: &[u8], after: &str) -> ReplyError {
    let word = basalt_engine::shown(word);
    ReplyError::err(format_args!("{before}{word}{after}"))
}

/// A positive number of seconds.
fn seconds(name: &str, word: &[u8]) -> Result<i64, ReplyError> {
    match args::int(word) {
        Ok(seconds) if seconds > 0 => Ok(seconds),
        Ok(_) => Err(ReplyError::err(format_args!(
            "{name} should be greater than 0"
        ))),
        Err(_) => Err(ReplyError::err(format_args!(
            "{name} is not an integer or out of range"
        ))),
    }
}

fn database(word: &[u8], databases: usize) -> Result<usize, ReplyError> {
    let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
    let db = args::int_in(word, min, max, "DB is not an integer or out of range")?;
    usize::try_from(db)
        .ok()
        .filter(|db| *db < databases)
        .ok_or_else(|| {
            ReplyError::err(format_args!(
                "DB number should be between 0 and {}",
                databases - 1
            ))
        })
}

/// The numbers that follow the first of ID.
fn more_ids(
    cursor: &mut Cursor<'_>,
    ids: &mut Vec<u64>,
    purpose: Purpose,
) -> Result<(), ReplyError> {
    while let Some(word) = cursor.peek()
        && !is_filter(word)
        && (purpose == Purpose::List || args::int(word).is_ok())
    {
        ids.push(client_id(word, purpose)?);
        cursor.next();
    }
    Ok(())
}

/// Whether a word is the name of a filter.
fn is_filter(word: &[u8]) -> bool {
    let name = match word.get(..4) {
        Some(not) if args::is(not, "not-") => &word[4..],
        _ => word,
    };
    NAMES.iter().any(|known| args::is(name, known))
}

fn client_id(word: &[u8], purpose: Purpose) -> Result<u64, ReplyError> {
    let id = args::int(word);
    match (purpose, id) {
        (Purpose::Kill, Ok(id)) if id > 0 => Ok(id.unsigned_abs()),
        (Purpose::Kill, _) => Err(ReplyError::err("client-id should be greater than 0")),
        // Ids begin at 1: 0 names nobody.
        (Purpose::List, Ok(id)) => Ok(u64::try_from(id).unwrap_or(0)),
        (Purpose::List, Err(_)) => Err(ReplyError::err("Invalid client ID")),
    }
}

fn kind(word: &[u8]) -> Result<Kind, ReplyError> {
    let is = |name: &str| args::is(word, name);
    if is("normal") {
        Ok(Kind::Of(Class::Normal))
    } else if is("slave") || is("replica") {
        Ok(Kind::Of(Class::Replica))
    } else if is("pubsub") {
        Ok(Kind::Of(Class::Pubsub))
    } else if is("master") || is("primary") {
        Ok(Kind::Primary)
    } else {
        Err(unknown("Unknown client type '", word, "'"))
    }
}
