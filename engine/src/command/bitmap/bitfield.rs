//! BITFIELD and BITFIELD_RO: integers of any width up to 64 bits inside a string.

use super::bits;
use super::range::offset;
use crate::command::args::{self, Cursor};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeyRef, KeySpec,
};
use crate::error::ReplyError;
use crate::keyspace::{Look, NotifyClass};
use crate::reply::Reply;
use basalt_formats::num;

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "bitfield",
        group: Group::Bitmap,
        since: "3.2.0",
        summary: "Reads, writes and adds to integers of any width inside a string.",
        complexity: "O(1) for each operation.",
        arity: -2,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::BITMAP,
        keys: &[KeySpec {
            notes: "reads and writes, depending on the operations",
            ..KeySpec::one(
                1,
                KeyFlags::RW
                    .or(KeyFlags::UPDATE)
                    .or(KeyFlags::ACCESS)
                    .or(KeyFlags::VARIABLE_FLAGS),
            )
        }],
        get_keys: Some(bitfield_get_keys),
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                optional: true,
                multiple: true,
                args: &[
                    ArgSpec {
                        token: "GET",
                        args: &[
                            ArgSpec::new("encoding", ArgType::String),
                            ArgSpec::new("offset", ArgType::Integer),
                        ],
                        ..ArgSpec::new("get-block", ArgType::Block)
                    },
                    ArgSpec {
                        args: &[
                            ArgSpec {
                                token: "OVERFLOW",
                                optional: true,
                                args: &[
                                    ArgSpec {
                                        token: "WRAP",
                                        ..ArgSpec::new("wrap", ArgType::PureToken)
                                    },
                                    ArgSpec {
                                        token: "SAT",
                                        ..ArgSpec::new("sat", ArgType::PureToken)
                                    },
                                    ArgSpec {
                                        token: "FAIL",
                                        ..ArgSpec::new("fail", ArgType::PureToken)
                                    },
                                ],
                                ..ArgSpec::new("overflow-block", ArgType::OneOf)
                            },
                            ArgSpec {
                                args: &[
                                    ArgSpec {
                                        token: "SET",
                                        args: &[
                                            ArgSpec::new("encoding", ArgType::String),
                                            ArgSpec::new("offset", ArgType::Integer),
                                            ArgSpec::new("value", ArgType::Integer),
                                        ],
                                        ..ArgSpec::new("set-block", ArgType::Block)
                                    },
                                    ArgSpec {
                                        token: "INCRBY",
                                        args: &[
                                            ArgSpec::new("encoding", ArgType::String),
                                            ArgSpec::new("offset", ArgType::Integer),
                                            ArgSpec::new("increment", ArgType::Integer),
                                        ],
                                        ..ArgSpec::new("incrby-block", ArgType::Block)
                                    },
                                ],
                                ..ArgSpec::new("write-operation", ArgType::OneOf)
                            },
                        ],
                        ..ArgSpec::new("write", ArgType::Block)
                    },
                ],
                ..ArgSpec::new("operation", ArgType::OneOf)
            },
        ],
        handler: bitfield,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "bitfield_ro",
        group: Group::Bitmap,
        since: "6.0.0",
        summary: "Reads integers of any width inside a string.",
        complexity: "O(1) for each operation.",
        arity: -2,
        flags: Flags::READONLY.or(Flags::FAST),
        acl: Acl::BITMAP,
        keys: &[KeySpec::one(1, KeyFlags::RO.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                token: "GET",
                optional: true,
                multiple: true,
                multiple_token: true,
                args: &[
                    ArgSpec::new("encoding", ArgType::String),
                    ArgSpec::new("offset", ArgType::Integer),
                ],
                ..ArgSpec::new("get-block", ArgType::Block)
            },
        ],
        handler: bitfield_ro,
        ..CommandSpec::BLANK
    },
];

/// BITFIELD only reads if all it holds is GET.
fn bitfield_get_keys(args: Args<'_>) -> Option<Vec<KeyRef>> {
    let mut words = args.get(2..)?;
    let reads = loop {
        words = match words {
            [] => break true,
            [word, _, _, rest @ ..] if args::is(word, "get") => rest,
            [word, _, rest @ ..] if args::is(word, "overflow") => rest,
            // A write, or a syntax error, which had better count as one.
            _ => break false,
        };
    };
    let access = if reads {
        KeyFlags::RO
    } else {
        KeyFlags::RW.or(KeyFlags::UPDATE)
    };
    Some(vec![(1, access.or(KeyFlags::ACCESS))])
}

/// The type of an integer: `i8`, `u63`, ...
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Field {
    signed: bool,
    width: u32,
}

/// What happens to a value that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

struct Op {
    field: Field,
    offset: usize,
    action: Action,
    overflow: Overflow,
}

impl Field {
    /// # Errors
    /// No sign letter, or a width outside 1 to 64 (63 without sign, so that every value is an
    /// integer reply).
    fn parse(word: &[u8]) -> Result<Field, ReplyError> {
        let parsed = match word {
            [b'i', width @ ..] => Some((true, width, 64)),
            [b'u', width @ ..] => Some((false, width, 63)),
            _ => None,
        };
        parsed
            .and_then(|(signed, width, max)| {
                // Redis reads the type as a C string.
                let width = width.split(|&byte| byte == 0).next()?;
                let width = u32::try_from(num::parse_i64(width)?).ok()?;
                (1..=max)
                    .contains(&width)
                    .then_some(Field { signed, width })
            })
            .ok_or_else(|| {
                ReplyError::err(
                    "Invalid bitfield type. Use something like i16 u8. Note that u64 is not \
                     supported but i64 is.",
                )
            })
    }

    /// Smallest and largest value.
    fn bounds(self) -> (i128, i128) {
        if self.signed {
            let half = 1i128 << (self.width - 1);
            (-half, half - 1)
        } else {
            (0, (1i128 << self.width) - 1)
        }
    }

    /// What the low `width` bits mean.
    fn value(self, raw: u64) -> i64 {
        let unused = u64::BITS - self.width;
        if self.signed {
            (raw << unused).cast_signed() >> unused
        } else {
            (raw & bits::mask(self.width)).cast_signed()
        }
    }

    fn read(self, bytes: &[u8], offset: usize) -> i64 {
        self.value(bits::read(bytes, offset, self.width))
    }

    /// Redis works out in 64 bits how far a signed value is below the largest one. Where that
    /// wraps around, SET of a value far too small saturates at the largest; the same commands
    /// must leave the same bytes here.
    fn saturates_upwards(self, value: i64, overflow: Overflow) -> bool {
        let (min, max) = self.bounds();
        self.signed
            && overflow == Overflow::Saturate
            && i128::from(value) < min
            && max - i128::from(value) > i128::from(i64::MAX)
    }

    /// The value to store for `wanted`; `None` if it does not fit and that is a failure.
    fn fit(self, wanted: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.bounds();
        if (min..=max).contains(&wanted) {
            return Some(self.value(wanted as u64));
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Wrap => Some(self.value(wanted as u64)),
            Overflow::Saturate => Some(self.value(if wanted > max { max } else { min } as u64)),
        }
    }
}

impl Op {
    /// Bytes the string must have for this to be written.
    fn len(&self) -> usize {
        (self.offset + self.field.width as usize - 1) / 8 + 1
    }

    /// Answers, and writes; whether a write took place and changed the integer.
    fn run(&self, bytes: &mut [u8], out: &mut Reply) -> Outcome {
        let Op { field, offset, .. } = *self;
        let old = field.read(bytes, offset);
        let wanted = match self.action {
            Action::Get => {
                out.int(old);
                return Outcome::Nothing;
            }
            Action::Set(value) if field.signed => value.into(),
            // Without sign a negative number is one that is too large.
            Action::Set(value) => i128::from(value.cast_unsigned()),
            Action::Add(by) => i128::from(old) + i128::from(by),
        };
        let fitting = match self.action {
            Action::Set(value) if field.saturates_upwards(value, self.overflow) => {
                Some(field.value(field.bounds().1 as u64))
            }
            _ => field.fit(wanted, self.overflow),
        };
        let Some(new) = fitting else {
            out.null();
            return Outcome::Nothing;
        };
        out.int(if matches!(self.action, Action::Set(_)) {
            old
        } else {
            new
        });
        bits::write(bytes, offset, field.width, new.cast_unsigned());
        if old == new {
            Outcome::Same
        } else {
            Outcome::Changed
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Nothing,
    Same,
    Changed,
}

fn parse(ctx: &Ctx<'_>, args: Args<'_>) -> Result<Vec<Op>, ReplyError> {
    let mut words = Cursor::new(args, 2);
    let mut overflow = Overflow::Wrap;
    let mut ops = Vec::new();
    while let Some(word) = words.next() {
        let left = words.remaining();
        if args::is(word, "overflow") && left >= 1 {
            overflow = parse_overflow(words.required()?)?;
            continue;
        }
        let action: fn(i64) -> Action = if args::is(word, "get") && left >= 2 {
            |_| Action::Get
        } else if args::is(word, "set") && left >= 3 {
            Action::Set
        } else if args::is(word, "incrby") && left >= 3 {
            Action::Add
        } else {
            return Err(ReplyError::SYNTAX);
        };
        let field = Field::parse(words.required()?)?;
        let offset = offset(ctx, words.required()?, Some(field.width))?;
        let action = match action(0) {
            Action::Get => Action::Get,
            _ => action(args::int(words.required()?)?),
        };
        ops.push(Op {
            field,
            offset,
            action,
            overflow,
        });
    }
    Ok(ops)
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, ReplyError> {
    [
        ("wrap", Overflow::Wrap),
        ("sat", Overflow::Saturate),
        ("fail", Overflow::Fail),
    ]
    .into_iter()
    .find_map(|(name, overflow)| args::is(word, name).then_some(overflow))
    .ok_or_else(|| ReplyError::err("Invalid OVERFLOW type specified"))
}

fn bitfield(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let ops = parse(ctx, args)?;
    let len = ops
        .iter()
        .filter(|op| op.action != Action::Get)
        .map(Op::len)
        .max();
    match len {
        None => read_all(ctx, args[1], &ops),
        Some(len) => write_all(ctx, args[1], &ops, len),
    }
}

fn bitfield_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let ops = parse(ctx, args)?;
    if ops.iter().any(|op| op.action != Action::Get) {
        return Err(ReplyError::err(
            "BITFIELD_RO only supports the GET subcommand",
        ));
    }
    read_all(ctx, args[1], &ops)
}

fn read_all(ctx: &mut Ctx<'_>, key: &[u8], ops: &[Op]) -> CmdResult {
    let bytes = ctx.ks.string(key)?.unwrap_or_default();
    ctx.out.array(ops.len());
    for op in ops {
        ctx.out.int(op.field.read(bytes, op.offset));
    }
    Ok(())
}

/// Runs operations of which some write, on a string of at least `len` bytes.
fn write_all(ctx: &mut Ctx<'_>, key: &[u8], ops: &[Op], len: usize) -> CmdResult {
    let found = ctx.ks.string_as(key, Look::WRITE)?;
    let grows = found.is_none_or(|found| found.bytes.len() < len);
    ctx.out.array(ops.len());
    let out = &mut *ctx.out;
    let changes = ctx.ks.edit_string(key, |bytes| {
        bits::grow(bytes, len);
        ops.iter()
            .map(|op| op.run(bytes, out))
            .filter(|outcome| match outcome {
                Outcome::Nothing => false,
                Outcome::Same => grows,
                Outcome::Changed => true,
            })
            .count()
    });
    if changes > 0 {
        ctx.ks.modified(key);
        ctx.ks.notify(NotifyClass::STRING, "setbit", key);
        ctx.ks.dirty += changes as u64;
    } else if grows {
        // Every write failed, but the string is longer: the log has to know.
        ctx.ks.modified(key);
        ctx.ks.dirty += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
