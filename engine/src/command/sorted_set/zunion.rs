//! ZUNION and ZUNIONSTORE.

use super::aggregate::{Op, reply_result, store_result};
use crate::command::counted::{zunion_inter_diff_get_keys, zunion_inter_diff_store_get_keys};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zunion",
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Lists what at least one of the sorted sets has, with combined scores.",
        complexity: "O(N)+O(M*log(M)), N being the members of all the sets together and M the size of \
        the result.",
        arity: -3,
        flags: Flags::READONLY,
        acl: Acl::SORTEDSET,
        keys: &[KeySpec::index(
            1,
            FindKeys::Keynum(0, 1, 1),
            KeyFlags::RO.or(KeyFlags::ACCESS),
        )],
        get_keys: Some(zunion_inter_diff_get_keys),
        args: &[
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                key_spec: 0,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                token: "WEIGHTS",
                optional: true,
                multiple: true,
                ..ArgSpec::new("weight", ArgType::Integer)
            },
            ArgSpec {
                token: "AGGREGATE",
                optional: true,
                args: &[
                    ArgSpec {
                        token: "SUM",
                        ..ArgSpec::new("sum", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "MIN",
                        ..ArgSpec::new("min", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "MAX",
                        ..ArgSpec::new("max", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("aggregate", ArgType::OneOf)
            },
            ArgSpec {
                token: "WITHSCORES",
                optional: true,
                ..ArgSpec::new("withscores", ArgType::PureToken)
            },
        ],
        handler: zunion,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zunionstore",
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Stores what at least one of the sorted sets has, with combined scores.",
        complexity: "O(N)+O(M*log(M)), N being the members of all the sets together and M the size of \
        the result.",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        acl: Acl::SORTEDSET,
        keys: &[
            KeySpec::one(1, KeyFlags::OW.or(KeyFlags::UPDATE)),
            KeySpec::index(
                2,
                FindKeys::Keynum(0, 1, 1),
                KeyFlags::RO.or(KeyFlags::ACCESS),
            ),
        ],
        get_keys: Some(zunion_inter_diff_store_get_keys),
        args: &[
            ArgSpec {
                key_spec: 0,
                ..ArgSpec::new("destination", ArgType::Key)
            },
            ArgSpec::new("numkeys", ArgType::Integer),
            ArgSpec {
                key_spec: 1,
                multiple: true,
                ..ArgSpec::new("key", ArgType::Key)
            },
            ArgSpec {
                token: "WEIGHTS",
                optional: true,
                multiple: true,
                ..ArgSpec::new("weight", ArgType::Integer)
            },
            ArgSpec {
                token: "AGGREGATE",
                optional: true,
                args: &[
                    ArgSpec {
                        token: "SUM",
                        ..ArgSpec::new("sum", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "MIN",
                        ..ArgSpec::new("min", ArgType::PureToken)
                    },
                    ArgSpec {
                        token: "MAX",
                        ..ArgSpec::new("max", ArgType::PureToken)
                    },
                ],
                ..ArgSpec::new("aggregate", ArgType::OneOf)
            },
        ],
        handler: zunionstore,
        ..CommandSpec::BLANK
    },
];

fn zunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_result(ctx, args, Op::Union)
}

fn zunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    store_result(ctx, args, Op::Union, "zunionstore")
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn filled() -> Client {
        let mut c = Client::new();
        c.run("ZADD a 1 x 2 y");
        c.run("ZADD b 3 y 4 z");
        c.run("SET s x");
        c
    }

    #[test]
    fn scores_are_weighted_and_combined() {
        let mut c = filled();
        assert_eq!(
            c.run("ZUNION 2 a b"),
            "*3\r\n$1\r\nx\r\n$1\r\nz\r\n$1\r\ny\r\n"
        );
        assert_eq!(
            c.run("ZUNION 2 a b WITHSCORES WEIGHTS 10 1 AGGREGATE MAX"),
            "*6\r\n$1\r\nz\r\n$1\r\n4\r\n$1\r\nx\r\n$2\r\n10\r\n$1\r\ny\r\n$2\r\n20\r\n"
        );
        c.session.resp = 3;
        assert_eq!(
            c.run("ZUNION 3 a b none aggregate min withscores"),
            "*3\r\n*2\r\n$1\r\nx\r\n,1\r\n*2\r\n$1\r\ny\r\n,2\r\n*2\r\n$1\r\nz\r\n,4\r\n"
        );
        assert_eq!(c.run("ZUNION 1 none WITHSCORES"), "*0\r\n");
    }

    #[test]
    fn a_sum_that_is_no_number_is_zero() {
        let mut c = Client::new();
        c.run("ZADD a inf x");
        c.run("ZADD b -inf x");
        assert_eq!(c.run("ZUNIONSTORE d 2 a b"), ":1\r\n");
        assert_eq!(c.run("ZSCORE d x"), "$1\r\n0\r\n");
        assert_eq!(c.run("ZUNIONSTORE d 1 a WEIGHTS 0"), ":1\r\n");
        assert_eq!(c.run("ZSCORE d x"), "$1\r\n0\r\n");
    }

    #[test]
    fn the_destination_may_be_an_input_and_is_removed_by_nothing() {
        let mut c = filled();
        assert_eq!(c.run("ZUNIONSTORE a 2 a b WEIGHTS 1 2"), ":3\r\n");
        assert_eq!(c.run("ZSCORE a y"), "$1\r\n8\r\n");
        assert_eq!(c.run("ZUNIONSTORE s 1 b"), ":2\r\n");
        assert_eq!(c.run("ZCARD s"), ":2\r\n");
        assert_eq!(c.run("ZUNIONSTORE s 1 none"), ":0\r\n");
        assert_eq!(c.engine().key_count(0), 2);
    }

    #[test]
    fn errors_come_in_order() {
        let mut c = filled();
        for (line, error) in [
            ("ZUNION x a", "value is not an integer or out of range"),
            (
                "ZUNION 0 a",
                "at least 1 input key is needed for 'zunion' command",
            ),
            (
                "ZUNIONSTORE d 0 a",
                "at least 1 input key is needed for 'zunionstore' command",
            ),
            ("ZUNION 3 a s", "syntax error"),
            ("ZUNION 2 a b WEIGHTS 1", "syntax error"),
            ("ZUNION 2 a b WEIGHTS 1 x", "weight value is not a float"),
            ("ZUNION 2 a b AGGREGATE avg", "syntax error"),
            ("ZUNION 2 a b AGGREGATE", "syntax error"),
            ("ZUNIONSTORE d 2 a b WITHSCORES", "syntax error"),
            ("ZUNION 2 a b LIMIT 1", "syntax error"),
        ] {
            assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
        }
        assert!(c.run("ZUNION 2 a s foo").starts_with("-WRONGTYPE"));
    }
}
