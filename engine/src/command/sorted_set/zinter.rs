//! ZINTER, ZINTERSTORE, ZINTERCARD.

use super::aggregate::{Op, count_result, reply_result, store_result};
use crate::command::counted::{zunion_inter_diff_get_keys, zunion_inter_diff_store_get_keys};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zinter",
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Lists the members that all the sorted sets share, with combined scores.",
        complexity: "O(N*K)+O(M*log(M)) at worst, N being the size of the smallest set, K the number \
        of sets and M the size of the result.",
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
        handler: zinter,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zintercard",
        group: Group::SortedSet,
        since: "7.0.0",
        summary: "Counts the members that all the sorted sets share.",
        complexity: "O(N*K) at worst, N being the size of the smallest set and K the number of sets.",
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
                token: "LIMIT",
                optional: true,
                ..ArgSpec::new("limit", ArgType::Integer)
            },
        ],
        handler: zintercard,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zinterstore",
        group: Group::SortedSet,
        since: "2.0.0",
        summary: "Stores the members that all the sorted sets share, with combined scores.",
        complexity: "O(N*K)+O(M*log(M)) at worst, N being the size of the smallest set, K the number \
        of sets and M the size of the result.",
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
        handler: zinterstore,
        ..CommandSpec::BLANK
    },
];

fn zinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_result(ctx, args, Op::Inter)
}

fn zinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    store_result(ctx, args, Op::Inter, "zinterstore")
}

fn zintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    count_result(ctx, args)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn filled() -> Client {
        let mut c = Client::new();
        c.run("ZADD a 1 x 2 y 3 z");
        c.run("ZADD b 10 y 20 z");
        c
    }

    #[test]
    fn keeps_what_all_have() {
        let mut c = filled();
        assert_eq!(
            c.run("ZINTER 2 a b WITHSCORES"),
            "*4\r\n$1\r\ny\r\n$2\r\n12\r\n$1\r\nz\r\n$2\r\n23\r\n"
        );
        assert_eq!(
            c.run("ZINTER 2 a b WEIGHTS -1 1 AGGREGATE MIN WITHSCORES"),
            "*4\r\n$1\r\nz\r\n$2\r\n-3\r\n$1\r\ny\r\n$2\r\n-2\r\n"
        );
        assert_eq!(c.run("ZINTER 3 a b none"), "*0\r\n");
        assert_eq!(c.run("ZINTERSTORE d 2 a a"), ":3\r\n");
        assert_eq!(c.run("ZSCORE d z"), "$1\r\n6\r\n");
        assert_eq!(c.run("ZINTERSTORE d 2 a none"), ":0\r\n");
        assert_eq!(c.run("ZCARD d"), ":0\r\n");
    }

    #[test]
    fn counts_up_to_a_limit() {
        let mut c = filled();
        assert_eq!(c.run("ZINTERCARD 2 a b"), ":2\r\n");
        assert_eq!(c.run("ZINTERCARD 2 a b LIMIT 1"), ":1\r\n");
        assert_eq!(c.run("ZINTERCARD 2 a b LIMIT 0"), ":2\r\n");
        for limit in ["-1", "x"] {
            assert_eq!(
                c.run(&format!("ZINTERCARD 2 a b LIMIT {limit}")),
                "-ERR LIMIT can't be negative\r\n"
            );
        }
        assert_eq!(
            c.run("ZINTERCARD 2 a b WITHSCORES"),
            "-ERR syntax error\r\n"
        );
        assert_eq!(
            c.run("ZINTERCARD 0 a"),
            "-ERR at least 1 input key is needed for 'zintercard' command\r\n"
        );
    }
}
