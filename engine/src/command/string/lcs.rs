//! LCS: the longest common subsequence of two strings, by the classic table of the lengths
//! for all pairs of prefixes. The table is bounded by `proto-max-bulk-len`.

use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::Look;
use crate::reply::Aggregate;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "lcs",
    group: Group::String,
    since: "7.0.0",
    summary: "Computes the longest common subsequence of two strings.",
    complexity: "O(N*M), N and M being the lengths of the two strings.",
    arity: -3,
    flags: Flags::READONLY,
    acl: Acl::STRING,
    keys: &[KeySpec::index(
        1,
        FindKeys::Range(1, 1, 0),
        KeyFlags::RO.or(KeyFlags::ACCESS),
    )],
    args: &[
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key1", ArgType::Key)
        },
        ArgSpec {
            key_spec: 0,
            ..ArgSpec::new("key2", ArgType::Key)
        },
        ArgSpec {
            token: "LEN",
            optional: true,
            ..ArgSpec::new("len", ArgType::PureToken)
        },
        ArgSpec {
            token: "IDX",
            optional: true,
            ..ArgSpec::new("idx", ArgType::PureToken)
        },
        ArgSpec {
            token: "MINMATCHLEN",
            optional: true,
            ..ArgSpec::new("min-match-len", ArgType::Integer)
        },
        ArgSpec {
            token: "WITHMATCHLEN",
            optional: true,
            ..ArgSpec::new("withmatchlen", ArgType::PureToken)
        },
    ],
    handler: lcs,
    ..CommandSpec::BLANK
}];

#[derive(Default)]
struct Options {
    idx: bool,
    len: bool,
    with_match_len: bool,
    min_match_len: u64,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, ReplyError> {
        let mut options = Options::default();
        let mut words = Cursor::new(args, 3);
        while let Some(word) = words.next() {
            if args::is(word, "IDX") {
                options.idx = true;
            } else if args::is(word, "LEN") {
                options.len = true;
            } else if args::is(word, "WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args::is(word, "MINMATCHLEN") {
                let n = args::int(words.required()?)?;
                options.min_match_len = u64::try_from(n).unwrap_or(0);
            } else {
                return Err(ReplyError::SYNTAX);
            }
        }
        if options.idx && options.len {
            return Err(ReplyError::err(
                "If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

fn lcs(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let a = string_or_empty(ctx, args[1]);
    let b = string_or_empty(ctx, args[2]);
    let (Some(a), Some(b)) = (a, b) else {
        return Err(ReplyError::err(
            "The specified keys must contain string values",
        ));
    };
    let options = Options::parse(args)?;
    let table = Table::build(&a, &b, ctx.engine().settings.max_string())?;
    if options.idx {
        reply_matches(ctx, &table, &options);
    } else if options.len {
        ctx.out.int(i64::from(table.length()));
    } else {
        let mut common = Vec::with_capacity(table.length() as usize);
        for step in table.walk() {
            if let Step::Match(i, _) = step {
                common.push(a[i]);
            }
        }
        common.reverse();
        ctx.out.bulk(&common);
    }
    Ok(())
}

/// The bytes of a string, none for a missing key; `None` for another type.
fn string_or_empty(ctx: &mut Ctx<'_>, key: &[u8]) -> Option<Vec<u8>> {
    let found = ctx.ks.string_as(key, Look::READ).ok()?;
    Some(found.map_or_else(Vec::new, |found| found.bytes.to_vec()))
}

/// Lengths of the common subsequences of all prefixes: row by prefix of `a`, column by
/// prefix of `b`.
struct Table<'s> {
    a: &'s [u8],
    b: &'s [u8],
    cells: Vec<u32>,
}

/// One step of the way back through the table.
enum Step {
    /// Both strings have the next byte of the subsequence at these indexes.
    Match(usize, usize),
    /// A byte of one of the strings is left out.
    Skip,
}

impl<'s> Table<'s> {
    /// # Errors
    /// Strings or table too big.
    fn build(a: &'s [u8], b: &'s [u8], max_bytes: usize) -> Result<Table<'s>, ReplyError> {
        let too_long = |s: &[u8]| s.len() >= u32::MAX as usize - 1;
        if too_long(a) || too_long(b) {
            return Err(ReplyError::err("String too long for LCS"));
        }
        let width = b.len() + 1;
        let cells = (a.len() + 1)
            .checked_mul(width)
            .filter(|cells| cells.checked_mul(4).is_some_and(|bytes| bytes <= max_bytes))
            .ok_or_else(|| {
                ReplyError::err(
                    "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
                )
            })?;
        let mut table = Vec::new();
        table.try_reserve_exact(cells).map_err(|_| {
            ReplyError::err("Insufficient memory, failed allocating transient memory for LCS")
        })?;
        table.resize(cells, 0u32);
        for (i, x) in a.iter().enumerate() {
            let (above, below) = table.split_at_mut((i + 1) * width);
            let above = &above[i * width..];
            let row = &mut below[..width];
            for (j, y) in b.iter().enumerate() {
                row[j + 1] = if x == y {
                    above[j] + 1
                } else {
                    above[j + 1].max(row[j])
                };
            }
        }
        Ok(Table { a, b, cells: table })
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * (self.b.len() + 1) + j]
    }

    fn length(&self) -> u32 {
        self.at(self.a.len(), self.b.len())
    }

    /// The way from the end of both strings to the start of one; where both skips are as
    /// good, a byte of `b` is skipped.
    fn walk(&self) -> impl Iterator<Item = Step> + '_ {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        std::iter::from_fn(move || {
            if i == 0 || j == 0 {
                return None;
            }
            if self.a[i - 1] == self.b[j - 1] {
                i -= 1;
                j -= 1;
                return Some(Step::Match(i, j));
            }
            if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
            Some(Step::Skip)
        })
    }
}

/// A run of matching bytes: its start in both strings and its length.
struct Run {
    a: usize,
    b: usize,
    len: usize,
}

/// Runs of matches from the last to the first.
fn runs(table: &Table<'_>) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut current: Option<Run> = None;
    for step in table.walk() {
        current = match (step, current.take()) {
            (Step::Match(i, j), Some(run)) if run.a == i + 1 && run.b == j + 1 => Some(Run {
                a: i,
                b: j,
                len: run.len + 1,
            }),
            (Step::Match(i, j), ended) => {
                runs.extend(ended);
                Some(Run { a: i, b: j, len: 1 })
            }
            (Step::Skip, ended) => {
                runs.extend(ended);
                None
            }
        };
    }
    runs.extend(current);
    runs
}

fn reply_matches(ctx: &mut Ctx<'_>, table: &Table<'_>, options: &Options) {
    let out = &mut *ctx.out;
    out.map(2);
    out.bulk(b"matches");
    let matches = out.deferred();
    let mut shown = 0;
    for run in runs(table) {
        if (run.len as u64) < options.min_match_len {
            continue;
        }
        shown += 1;
        out.array(2 + usize::from(options.with_match_len));
        for start in [run.a, run.b] {
            out.array(2);
            out.count(start);
            out.count(start + run.len - 1);
        }
        if options.with_match_len {
            out.count(run.len);
        }
    }
    out.close(matches, Aggregate::Array, shown);
    out.bulk(b"len");
    out.int(i64::from(table.length()));
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn client() -> Client {
        let mut c = Client::new();
        c.run("MSET a ohmytext b mynewtext");
        c
    }

    #[test]
    fn subsequence_and_length() {
        let mut c = client();
        assert_eq!(c.run("LCS a b"), "$6\r\nmytext\r\n");
        assert_eq!(c.run("LCS a b LEN"), ":6\r\n");
        assert_eq!(c.run("LCS a none"), "$0\r\n\r\n");
        assert_eq!(c.run("LCS none none2 LEN"), ":0\r\n");
    }

    #[test]
    fn matches() {
        let mut c = client();
        let both = "*2\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n\
                    *3\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n:2\r\n";
        let head = "$7\r\nmatches\r\n";
        let tail = "$3\r\nlen\r\n:6\r\n";
        assert_eq!(
            c.run("LCS a b IDX WITHMATCHLEN"),
            format!("*4\r\n{head}{both}{tail}")
        );
        assert_eq!(
            c.run("LCS a b IDX MINMATCHLEN 4"),
            format!("*4\r\n{head}*1\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n{tail}")
        );
        c.session.resp = 3;
        assert_eq!(
            c.run("LCS a b IDX MINMATCHLEN 9"),
            format!("%2\r\n{head}*0\r\n{tail}")
        );
    }

    #[test]
    fn errors_in_order() {
        let mut c = client();
        c.put_zset("z", &[("m", 1.0)]);
        assert_eq!(
            c.run("LCS z b FOO"),
            "-ERR The specified keys must contain string values\r\n"
        );
        assert_eq!(c.run("LCS a b FOO"), "-ERR syntax error\r\n");
        assert_eq!(c.run("LCS a b MINMATCHLEN"), "-ERR syntax error\r\n");
        assert_eq!(
            c.run("LCS a b IDX LEN"),
            "-ERR If you want both the length and indexes, please just use IDX.\r\n"
        );
        c.engine()
            .settings
            .proto_max_bulk_len
            .store(100, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(
            c.run("LCS a b"),
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n"
        );
    }
}
