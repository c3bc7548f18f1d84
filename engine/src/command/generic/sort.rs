//! SORT and SORT_RO.
//!
//! The keys that BY and GET patterns lead to are not known before the elements are, so these
//! commands run with everything locked.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use basalt_formats::num::parse_f64;

use super::sort_request::{Pattern, Request};
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::partial_sort::sort_ranks;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, KeyFlags, KeyRef, KeySpec, Locking,
};
use crate::error::ReplyError;
use crate::keyspace::{Found, Look, NotifyClass};
use crate::value::{List, Value, Zset};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "sort",
        summary: "Orders the elements of a list, set or sorted set, and may store what it found.",
        complexity: "O(N+M*log(M)), N being the number of elements and M the number returned; O(N) \
        without sorting.",
        arity: -2,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::SET.or(Acl::SORTEDSET).or(Acl::LIST).or(Acl::DANGEROUS),
        keys: &[
            KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS)),
            KeySpec::unknown(
                KeyFlags::RO.or(KeyFlags::ACCESS),
                "`BY` and `GET` patterns: the names depend on the sorted elements",
            ),
            KeySpec::unknown(
                KeyFlags::OW.or(KeyFlags::UPDATE),
                "`STORE` destination: the word may stand at any place",
            ),
        ],
        get_keys: Some(sort_get_keys),
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                token: "BY",
                key_spec: 1,
                display: "pattern",
                optional: true,
                ..ArgSpec::new("by-pattern", ArgType::Pattern)
            },
            ArgSpec {
                token: "LIMIT",
                optional: true,
                args: &[
                    ArgSpec::new("offset", ArgType::Integer),
                    ArgSpec::new("count", ArgType::Integer),
                ],
                ..ArgSpec::new("limit", ArgType::Block)
            },
            ArgSpec {
                token: "GET",
                key_spec: 1,
                display: "pattern",
                optional: true,
                multiple: true,
                multiple_token: true,
                ..ArgSpec::new("get-pattern", ArgType::Pattern)
            },
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "ASC",
                        ..ArgSpec::new("asc", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "DESC",
                        ..ArgSpec::new("desc", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("order", ArgType::OneOf)
            },
            ArgSpec {
                token: "ALPHA",
                optional: true,
                ..ArgSpec::new("sorting", ArgType::PureToken)
            },
            ArgSpec {
                token: "STORE",
                key_spec: 2,
                optional: true,
                ..ArgSpec::new("destination", ArgType::Key)
            },
        ],
        locking: Locking::All,
        handler: sort,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "sort_ro",
        since: "7.0.0",
        summary: "Orders the elements of a list, set or sorted set, never storing.",
        complexity: "O(N+M*log(M)), N being the number of elements and M the number returned; O(N) \
        without sorting.",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::SET.or(Acl::SORTEDSET).or(Acl::LIST).or(Acl::DANGEROUS),
        keys: &[
            KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS)),
            KeySpec::unknown(
                KeyFlags::RO.or(KeyFlags::ACCESS),
                "`BY` and `GET` patterns: the names depend on the sorted elements",
            ),
        ],
        get_keys: Some(sort_ro_get_keys),
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                token: "BY",
                key_spec: 1,
                display: "pattern",
                optional: true,
                ..ArgSpec::new("by-pattern", ArgType::Pattern)
            },
            ArgSpec {
                token: "LIMIT",
                optional: true,
                args: &[
                    ArgSpec::new("offset", ArgType::Integer),
                    ArgSpec::new("count", ArgType::Integer),
                ],
                ..ArgSpec::new("limit", ArgType::Block)
            },
            ArgSpec {
                token: "GET",
                key_spec: 1,
                display: "pattern",
                optional: true,
                multiple: true,
                multiple_token: true,
                ..ArgSpec::new("get-pattern", ArgType::Pattern)
            },
            ArgSpec {
                optional: true,
                args: &[
                    ArgSpec {
                        token: "ASC",
                        ..ArgSpec::new("asc", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "DESC",
                        ..ArgSpec::new("desc", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("order", ArgType::OneOf)
            },
            ArgSpec {
                token: "ALPHA",
                optional: true,
                ..ArgSpec::new("sorting", ArgType::PureToken)
            },
        ],
        locking: Locking::All,
        handler: sort_ro,
        ..CommandSpec::BLANK
    },
];

fn sort_ro_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    args.get(1)?;
    Some(vec![(1, KeyFlags::RO.or(KeyFlags::ACCESS))])
}

/// The sorted key and the last STORE destination.
fn sort_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    let mut keys = sort_ro_get_keys(args)?;
    let mut at = 2;
    while let Some(word) = args.get(at) {
        if args::is(word, "STORE") && at + 1 < args.len() {
            keys.truncate(1);
            keys.push((at + 1, KeyFlags::OW.or(KeyFlags::UPDATE)));
        }
        at += if args::is(word, "LIMIT") {
            3
        } else if args::is(word, "GET") || args::is(word, "BY") {
            2
        } else {
            1
        };
    }
    Some(keys)
}

/// The elements to work on.
struct Elements {
    all: Vec<Vec<u8>>,
    /// They come from a set, which has no order of its own.
    unordered: bool,
}

/// The elements of the key in their own order; none for a missing key.
fn elements(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Elements, ReplyError> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut unordered = false;
    let mut packed = false;
    match ctx.ks.look(key, Look::READ) {
        None => {}
        Some(Found { value, .. }) => match value {
            Some(Value::List(list)) => {
                all.extend(list.iter().map(|entry| entry.with_bytes(<[u8]>::to_vec)));
            }
            Some(Value::Set(set)) => {
                unordered = true;
                set.for_each(|member| all.push(member.to_vec()));
            }
            Some(Value::Zset(zset)) => {
                packed = matches!(**zset, Zset::Packed(_));
                zset.visit(0..zset.len(), false, &mut |member, _| {
                    all.push(member.to_vec());
                });
            }
            _ => return Err(ReplyError::WRONG_TYPE),
        },
    }
    if packed && let Some(zset) = ctx.ks.zset_mut(key)? {
        // Redis sorts no packed ones, and leaves what it made of them.
        zset.convert_to_tree();
    }
    Ok(Elements { all, unordered })
}

fn sort(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    run(ctx, args, true)
}

fn sort_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    run(ctx, args, false)
}

fn run(ctx: &mut Ctx<'_>, args: Args<'_>, may_store: bool) -> CmdResult {
    let may_read_all = ctx.host.may_read_all(ctx.command, args);
    let mut request = Request::parse(args, may_store, may_read_all)?;
    let Elements {
        all: mut elements,
        unordered,
    } = elements(ctx, args[1])?;
    let mut unsorted = matches!(request.by, Some(Pattern::Constant | Pattern::Element));
    if unsorted && unordered && (request.store.is_some() || ctx.in_script()) {
        // What is stored, and what a script sees, must be the same wherever it is replayed.
        (unsorted, request.alpha, request.by) = (false, true, None);
    }
    if !unsorted {
        let window = request.window(elements.len());
        order(ctx, &request, window, &mut elements)?;
    } else if request.descending && !unordered {
        elements.reverse();
    }
    let window = request.window(elements.len());
    let chosen = elements.get(window).unwrap_or_default();
    match request.store {
        None => reply(ctx, &request, chosen),
        Some(destination) => store(ctx, &request, chosen, destination),
    }
    Ok(())
}

/// Sorts the elements, with weights perhaps only those of the ranks that are asked for.
///
/// # Errors
/// A weight is not a number.
fn order(
    ctx: &mut Ctx<'_>,
    request: &Request<'_>,
    window: Range<usize>,
    elements: &mut Vec<Vec<u8>>,
) -> Result<(), ReplyError> {
    let direction = |ordering: Ordering| {
        if request.descending {
            ordering.reverse()
        } else {
            ordering
        }
    };
    let collate = |a: &[u8], b: &[u8]| match request.store {
        Some(_) => a.cmp(b),
        None => c_text(a).cmp(c_text(b)),
    };
    if request.alpha && request.by.is_none() {
        elements.sort_by(|a, b| direction(collate(a, b)));
        return Ok(());
    }
    let mut weigh = |element: &[u8]| match &request.by {
        Some(pattern) => pattern.resolve(ctx, element),
        None => Some(element.to_vec()),
    };
    if request.alpha {
        let mut weighted: Vec<_> = elements
            .drain(..)
            .map(|element| (weigh(&element), element))
            .collect();
        sort_window(&mut weighted, request, window, |a, b| {
            direction(match (&a.0, &b.0) {
                (Some(a), Some(b)) => collate(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            })
        });
        elements.extend(weighted.into_iter().map(|(_, element)| element));
        return Ok(());
    }
    let mut weighted = Vec::with_capacity(elements.len());
    let mut all_numbers = true;
    for element in elements.drain(..) {
        let weight = weigh(&element).map_or(Some(0.0), |text| number(&text));
        all_numbers &= weight.is_some();
        weighted.push((weight.unwrap_or(0.0), element));
    }
    if !all_numbers {
        return Err(ReplyError::err(
            "One or more scores can't be converted into double",
        ));
    }
    sort_window(&mut weighted, request, window, |a, b| {
        let by_weight = a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal);
        direction(by_weight.then_with(|| a.1.cmp(&b.1)))
    });
    elements.extend(weighted.into_iter().map(|(_, element)| element));
    Ok(())
}

/// Sorts elements with their weights: as Redis does, only the window if they are sorted BY
/// something.
fn sort_window<T>(
    weighted: &mut [T],
    request: &Request<'_>,
    window: Range<usize>,
    order: impl Fn(&T, &T) -> Ordering,
) {
    if request.by.is_some() && window.len() < weighted.len() {
        sort_ranks(weighted, window, order);
    } else {
        weighted.sort_by(order);
    }
}

/// The part of a text that C's `strcoll` sees, which compares the elements of what is replied.
fn c_text(text: &[u8]) -> &[u8] {
    text.split(|&b| b == 0).next().unwrap_or_default()
}

/// A weight as C's `strtod` reads it: a NUL ends it, leading blanks are skipped, nothing is 0.
fn number(text: &[u8]) -> Option<f64> {
    let text = c_text(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let start = text.iter().position(|byte| !blank(byte))?;
    parse_f64(&text[start..])
}

/// Shows what is asked for of each element: the element, or the value of each GET pattern.
fn visit(
    ctx: &mut Ctx<'_>,
    request: &Request<'_>,
    chosen: &[Vec<u8>],
    f: &mut dyn FnMut(&mut Ctx<'_>, Option<&[u8]>),
) {
    for element in chosen {
        if request.get.is_empty() {
            f(ctx, Some(element));
        }
        for pattern in &request.get {
            let value = pattern.resolve(ctx, element);
            f(ctx, value.as_deref());
        }
    }
}

fn reply(ctx: &mut Ctx<'_>, request: &Request<'_>, chosen: &[Vec<u8>]) {
    ctx.out.array(chosen.len() * request.get.len().max(1));
    visit(ctx, request, chosen, &mut |ctx, value| {
        ctx.out.bulk_opt(value);
    });
}

/// Stores the result as a list, a missing value as an empty string; no result deletes the
/// destination.
fn store(ctx: &mut Ctx<'_>, request: &Request<'_>, chosen: &[Vec<u8>], destination: &[u8]) {
    let mut values: Vec<Vec<u8>> = Vec::new();
    visit(ctx, request, chosen, &mut |_, value| {
        values.push(value.unwrap_or_default().to_vec());
    });
    let count = values.len();
    if count > 0 {
        let limits = ctx.engine().settings.list_limits();
        let list = List::from_values(&limits, values);
        ctx.ks
            .insert(destination, Value::List(Arc::new(list)), None);
        ctx.ks.modified(destination);
        ctx.ks.notify(NotifyClass::LIST, "sortstore", destination);
        ctx.ks.dirty += count as u64;
    } else if ctx.ks.remove(destination) {
        ctx.ks.modified(destination);
        ctx.ks.notify(NotifyClass::GENERIC, "del", destination);
        ctx.ks.dirty += 1;
    }
    ctx.out.count(count);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{number, sort_get_keys};
    use crate::testing::Client;
    use crate::value::{Hash, List, Set, Value};

    #[test]
    fn a_sorted_set_is_unpacked_as_redis_does() {
        let mut c = Client::new();
        c.run("ZADD z 1 a 2 b");
        assert_eq!(c.run("OBJECT ENCODING z"), "$8\r\nlistpack\r\n");
        assert_eq!(c.run("SORT_RO z ALPHA"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
        assert_eq!(c.run("OBJECT ENCODING z"), "$8\r\nskiplist\r\n");
    }

    fn put_list(c: &mut Client, key: &str, values: &[&str]) {
        let limits = c.engine().settings.list_limits();
        let list = List::from_values(&limits, values);
        c.put(key, Value::List(Arc::new(list)));
    }

    fn put_set(c: &mut Client, key: &str, values: &[&str]) {
        let limits = c.engine().settings.set_limits();
        let mut set = Set::default();
        for value in values {
            set.add(value.as_bytes(), &limits);
        }
        c.put(key, Value::Set(Arc::new(set)));
    }

    fn put_hash(c: &mut Client, key: &str, field: &str, value: &str) {
        let limits = c.engine().settings.hash_limits();
        let mut hash = Hash::default();
        hash.set(field.as_bytes(), value.as_bytes(), &limits);
        c.put(key, Value::Hash(Arc::new(hash)));
    }

    /// The bulk strings of a flat array reply, nulls as `-`.
    fn words(reply: &str) -> String {
        let mut lines = reply.split("\r\n").skip(1);
        let mut words = Vec::new();
        while let Some(head) = lines.next().filter(|head| !head.is_empty()) {
            words.push(if head == "$-1" {
                "-"
            } else {
                lines.next().unwrap_or("?")
            });
        }
        words.join(" ")
    }

    /// Replies are compared as C texts, what is stored byte by byte.
    #[test]
    fn a_nul_ends_what_is_compared() {
        let mut c = Client::new();
        c.run_words(&[b"RPUSH", b"l", b"a\0z", b"a\0b", b"a", b"A"]);
        assert_eq!(
            c.run("SORT l ALPHA"),
            "*4\r\n$1\r\nA\r\n$3\r\na\0z\r\n$3\r\na\0b\r\n$1\r\na\r\n"
        );
        c.run("SORT l ALPHA STORE s");
        assert_eq!(
            c.run("LRANGE s 0 -1"),
            "*4\r\n$1\r\nA\r\n$1\r\na\r\n$3\r\na\0b\r\n$3\r\na\0z\r\n"
        );
    }

    #[test]
    fn numbers_and_words() {
        let mut c = Client::new();
        put_list(&mut c, "l", &["10", "9", "-1.5", "9", "1e2"]);
        assert_eq!(words(&c.run("SORT l")), "-1.5 9 9 10 1e2");
        assert_eq!(words(&c.run("SORT l DESC")), "1e2 10 9 9 -1.5");
        assert_eq!(words(&c.run("SORT l ALPHA")), "-1.5 10 1e2 9 9");
        assert_eq!(words(&c.run("SORT_RO l LIMIT 1 2")), "9 9");
        assert_eq!(c.run("SORT l LIMIT 9 2"), "*0\r\n");
        assert_eq!(words(&c.run("SORT l LIMIT -9 1")), "-1.5");
        assert_eq!(words(&c.run("SORT l LIMIT 3 -1")), "10 1e2");
        assert_eq!(c.run("SORT none"), "*0\r\n");
        put_list(&mut c, "w", &["b", "a"]);
        assert_eq!(
            c.run("SORT w"),
            "-ERR One or more scores can't be converted into double\r\n"
        );
        c.run("SET s x");
        assert!(c.run("SORT s").starts_with("-WRONGTYPE "));
        assert_eq!(c.run("SORT s FOO"), "-ERR syntax error\r\n");
        assert_eq!(c.run("SORT_RO l STORE d"), "-ERR syntax error\r\n");
        assert_eq!(
            c.run("SORT l LIMIT a b"),
            "-ERR value is not an integer or out of range\r\n"
        );
    }

    #[test]
    fn by_and_get() {
        let mut c = Client::new();
        put_list(&mut c, "l", &["1", "2", "3"]);
        c.run("MSET w1 30 w2 20 w3 10 v1 a v3 c");
        put_hash(&mut c, "h2", "f", "hash");
        assert_eq!(words(&c.run("SORT l BY w*")), "3 2 1");
        assert_eq!(words(&c.run("SORT l BY w* GET # GET v*")), "3 c 2 - 1 a");
        assert_eq!(
            words(&c.run("SORT l GET h*->f GET h*->none")),
            "- - hash - - -"
        );
        assert_eq!(words(&c.run("SORT l GET v")), "- - -");
        assert_eq!(words(&c.run("SORT l BY v* ALPHA")), "2 1 3");
        assert_eq!(words(&c.run("SORT l BY nosort DESC")), "3 2 1");
        assert_eq!(words(&c.run("SORT l BY nosort LIMIT 1 5")), "2 3");
        c.session.resp = 3;
        assert!(c.run("SORT l GET v").starts_with("*3\r\n_\r\n"));
    }

    #[test]
    fn sets_and_sorted_sets() {
        let mut c = Client::new();
        c.put_zset("z", &[("9", 1.0), ("5", 2.0), ("7", 3.0)]);
        assert_eq!(words(&c.run("SORT z")), "5 7 9");
        assert_eq!(words(&c.run("SORT z BY x")), "9 5 7");
        assert_eq!(words(&c.run("SORT z BY x DESC LIMIT 0 2")), "7 5");
        put_set(&mut c, "s", &["b", "a", "c"]);
        assert_eq!(words(&c.run("SORT s ALPHA DESC")), "c b a");
        assert_eq!(c.run("SORT s BY x STORE d"), ":3\r\n");
        assert_eq!(words(&c.run("SORT d BY x")), "a b c");
    }

    #[test]
    fn store_replaces_or_deletes() {
        let mut c = Client::with_events();
        put_list(&mut c, "l", &["2", "1"]);
        c.run("SET d x EX 10");
        c.events();
        assert_eq!(c.run("SORT l GET # GET none* STORE d"), ":4\r\n");
        assert_eq!(c.run("TYPE d"), "+list\r\n");
        assert_eq!(c.run("TTL d"), ":-1\r\n");
        assert_eq!(words(&c.run("SORT d BY x")), "1  2 ");
        assert_eq!(c.run("SORT none STORE d"), ":0\r\n");
        assert_eq!(c.run("EXISTS d"), ":0\r\n");
        let events = c.events();
        let told: Vec<_> = events
            .iter()
            .filter(|e| e.ends_with(" d") && !e.starts_with("keymiss"))
            .collect();
        assert_eq!(told, ["sortstore d", "del d"]);
    }

    #[test]
    fn the_last_destination_is_the_key() {
        let words: Vec<&[u8]> = "sort k by store get store limit 1 store store a STORE b"
            .split(' ')
            .map(str::as_bytes)
            .collect();
        let keys = sort_get_keys(&words).expect("valid");
        let at: Vec<usize> = keys.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [1, 12]);
    }

    #[test]
    fn weights_as_strtod_reads_them() {
        assert_eq!(number(b""), Some(0.0));
        assert_eq!(number(b" \t12"), Some(12.0));
        assert_eq!(number(b"0x10"), Some(16.0));
        assert_eq!(number(b"-inf"), Some(f64::NEG_INFINITY));
        for bad in [&b" "[..], b"1 ", b"nan", b"1e999", b"x"] {
            assert_eq!(number(bad), None);
        }
    }
}
