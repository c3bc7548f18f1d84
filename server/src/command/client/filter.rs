//! Which clients CLIENT LIST shows and CLIENT KILL closes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use basalt_engine::ReplyError;
use basalt_engine::command::args::{self, Cursor};
use basalt_engine::command::spec::Args;

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

/// Conditions that a client must all meet.
#[derive(Default)]
pub(super) struct Filter {
    ids: Vec<u64>,
    kind: Option<Kind>,
    addr: Option<Vec<u8>>,
    laddr: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    max_age_s: Option<i64>,
    skip_me: bool,
}

const NAMES: &[&str] = &["id", "type", "user", "addr", "laddr", "skipme", "maxage"];

impl Filter {
    /// The old form of CLIENT KILL.
    pub(super) fn by_address(addr: &[u8]) -> Filter {
        Filter {
            addr: Some(addr.to_vec()),
            ..Filter::default()
        }
    }

    /// Reads filters from the third word on.
    ///
    /// # Errors
    /// The texts of Redis for what cannot be understood.
    pub(super) fn parse(words: Args<'_>, purpose: Purpose) -> Result<Filter, ReplyError> {
        let mut filter = Filter {
            skip_me: purpose == Purpose::Kill,
            ..Filter::default()
        };
        let mut cursor = Cursor::new(words, 2);
        while let Some(name) = cursor.next() {
            let value = cursor.required()?;
            if args::is(name, "id") {
                filter.ids.push(client_id(value, purpose)?);
                while let Some(word) = cursor.peek()
                    && !NAMES.iter().any(|name| args::is(word, name))
                    && (purpose == Purpose::List || args::int(word).is_ok())
                {
                    filter.ids.push(client_id(word, purpose)?);
                    cursor.next();
                }
            } else if args::is(name, "type") {
                filter.kind = Some(kind(value)?);
            } else if args::is(name, "addr") {
                filter.addr = Some(value.to_vec());
            } else if args::is(name, "laddr") {
                filter.laddr = Some(value.to_vec());
            } else if args::is(name, "user") {
                if value != b"default" {
                    return Err(ReplyError::err(format_args!(
                        "No such user '{}'",
                        basalt_engine::shown(value)
                    )));
                }
                filter.user = Some(value.to_vec());
            } else if args::is(name, "skipme") {
                filter.skip_me = if args::is(value, "yes") {
                    true
                } else if args::is(value, "no") {
                    false
                } else {
                    return Err(ReplyError::SYNTAX);
                };
            } else if args::is(name, "maxage") {
                let age = args::int(value)
                    .map_err(|_| ReplyError::err("maxage is not an integer or out of range"))?;
                if age <= 0 {
                    return Err(ReplyError::err("maxage should be greater than 0"));
                }
                filter.max_age_s = Some(age);
            } else {
                return Err(ReplyError::SYNTAX);
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
        let age_s = now_ms.div_euclid(1000) - handle.created_ms.div_euclid(1000);
        let is = |wanted: &Option<Vec<u8>>, text: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.as_slice() == text.as_bytes())
        };
        let left_out = handle.gone.load(Relaxed) || self.skip_me && handle.id == own;
        !left_out
            && is(&self.addr, &handle.addr)
            && is(&self.laddr, &handle.laddr)
            && self
                .kind
                .is_none_or(|kind| kind == Kind::Of(handle.class()))
            && self
                .user
                .as_ref()
                .is_none_or(|user| user.as_slice() == handle.labels.lock().user.as_bytes())
            && self.max_age_s.is_none_or(|max| age_s >= max)
    }
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
        Err(ReplyError::err(format_args!(
            "Unknown client type '{}'",
            basalt_engine::shown(word)
        )))
    }
}
