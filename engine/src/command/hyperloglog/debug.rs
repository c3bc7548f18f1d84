//! PFDEBUG and PFSELFTEST.

use super::{corrupt, encoding_of};
use crate::command::args;
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec,
};
use crate::env;
use crate::error::{ReplyError, shown};
use crate::keyspace::{Kind, Look};
use crate::structs::hyperloglog::{self as hll, Encoding};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "pfdebug",
        group: Group::Hyperloglog,
        since: "2.8.9",
        summary: "Looks inside a HyperLogLog, for tests.",
        arity: 3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ADMIN),
        acl: Acl::HYPERLOGLOG,
        keys: &[KeySpec::one(2, KeyFlags::RW.or(KeyFlags::ACCESS))],
        args: &[
            ArgSpec::new("subcommand", ArgType::String),
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("key", ArgType::Key)
            },
        ],
        syscmd: true,
        handler: pfdebug,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "pfselftest",
        group: Group::Hyperloglog,
        since: "2.8.9",
        summary: "Tests the HyperLogLog code of the server.",
        flags: Flags::ADMIN,
        acl: Acl::HYPERLOGLOG,
        syscmd: true,
        handler: pfselftest,
        ..CommandSpec::BLANK
    },
];

fn pfdebug(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (word, key) = (args[1], args[2]);
    let Some(found) = ctx.ks.look(key, Look::WRITE) else {
        return Err(ReplyError::err("The specified key does not exist"));
    };
    let encoding = encoding_of(&found)?;
    if found.header.kind != Kind::Raw {
        ctx.ks.edit_string(key, |_| ());
    }
    if args::is(word, "getreg") {
        make_dense(ctx, key, encoding)?;
        let bytes = ctx.ks.glance(key).map_or(&[][..], |found| found.bytes);
        ctx.out.array(hll::REGISTERS);
        for index in 0..hll::REGISTERS {
            let value = hll::dense_register(bytes, index).unwrap_or(0);
            ctx.out.int(value.into());
        }
    } else if args::is(word, "decode") {
        if encoding != Encoding::Sparse {
            return Err(ReplyError::err("HLL encoding is not sparse"));
        }
        let bytes = ctx.ks.glance(key).map_or(&[][..], |found| found.bytes);
        let text = hll::describe(bytes);
        ctx.out.bulk(text.as_bytes());
    } else if args::is(word, "encoding") {
        ctx.out.simple(match encoding {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        });
    } else if args::is(word, "todense") {
        make_dense(ctx, key, encoding)?;
        ctx.out.int((encoding == Encoding::Sparse).into());
    } else {
        return Err(ReplyError::err(format_args!(
            "Unknown PFDEBUG subcommand '{}'",
            shown(word)
        )));
    }
    Ok(())
}

/// Makes the value dense; that is logged, though nobody who watches the key is told.
fn make_dense(ctx: &mut Ctx<'_>, key: &[u8], encoding: Encoding) -> CmdResult {
    if encoding == Encoding::Sparse {
        ctx.ks.edit_string(key, hll::make_dense).map_err(corrupt)?;
        ctx.ks.dirty += 1;
    }
    Ok(())
}

/// Elements the test counts; each power of ten on the way is checked.
const SELF_TEST_ELEMENTS: u64 = 10_000_000;

fn pfselftest(ctx: &mut Ctx<'_>, _: Args<'_>) -> CmdResult {
    let limit = ctx.ks.engine.settings.hll_sparse_max();
    self_test(limit, SELF_TEST_ELEMENTS, env::random_u64())?;
    ctx.out.ok();
    Ok(())
}

/// Counts the same elements densely and sparsely: both must agree, and be near the truth.
fn self_test(limit: usize, elements: u64, seed: u64) -> Result<(), ReplyError> {
    let failed = |text: String| Err(ReplyError::err(format_args!("TESTFAILED {text}")));
    let (mut dense, mut sparse) = (hll::empty(), hll::empty());
    hll::make_dense(&mut dense).map_err(corrupt)?;
    let relative_error = 1.04 / (hll::REGISTERS as f64).sqrt();
    let mut checkpoint = 1;
    for n in 1..=elements {
        let (index, count) = hll::place(&(n ^ seed).to_le_bytes());
        hll::raise(&mut dense, index, count, limit).map_err(corrupt)?;
        hll::raise(&mut sparse, index, count, limit).map_err(corrupt)?;
        if n != checkpoint {
            continue;
        }
        let is_sparse = hll::encoding_of(&sparse) == Some(Encoding::Sparse);
        if n < (limit / 2) as u64 && !is_sparse {
            return failed("sparse encoding not used".into());
        }
        let estimate = hll::count(&dense).map_err(corrupt)?;
        if estimate != hll::count(&sparse).map_err(corrupt)? {
            return failed("dense/sparse disagree".into());
        }
        // Among ten elements a single collision would be too much.
        let allowed = match n {
            10 => 1,
            _ => (relative_error * 6.0 * n as f64).ceil() as u64,
        };
        let error = n.abs_diff(estimate);
        if error > allowed {
            return failed(format!("Too big error. card:{n} abserr:{error}"));
        }
        checkpoint *= 10;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_passes() {
        assert_eq!(self_test(3000, 100_000, 42), Ok(()));
        assert_eq!(self_test(0, 10_000, 7), Ok(()));
    }
}
