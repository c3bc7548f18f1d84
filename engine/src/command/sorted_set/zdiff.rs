//! ZDIFF and ZDIFFSTORE.

use super::aggregate::{Op, reply_result, store_result};
use crate::command::counted::{zunion_inter_diff_get_keys, zunion_inter_diff_store_get_keys};
use crate::command::ctx::Ctx;
use crate::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "zdiff",
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Lists what the first sorted set has and none of the others.",
        complexity: "O(L + (N-K)log(N)) at worst, L being the members of all the sets together, N the \
        size of the first and K that of the result.",
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
                token: "WITHSCORES",
                optional: true,
                ..ArgSpec::new("withscores", ArgType::PureToken)
            },
        ],
        handler: zdiff,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "zdiffstore",
        group: Group::SortedSet,
        since: "6.2.0",
        summary: "Stores what the first sorted set has and none of the others.",
        complexity: "O(L + (N-K)log(N)) at worst, L being the members of all the sets together, N the \
        size of the first and K that of the result.",
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
        ],
        handler: zdiffstore,
        ..CommandSpec::BLANK
    },
];

fn zdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    reply_result(ctx, args, Op::Diff)
}

fn zdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    store_result(ctx, args, Op::Diff, "zdiffstore")
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn keeps_what_only_the_first_has() {
        let mut c = Client::new();
        c.run("ZADD a 1 x 2 y 3 z");
        c.run("ZADD b 10 y");
        assert_eq!(
            c.run("ZDIFF 2 a b WITHSCORES"),
            "*4\r\n$1\r\nx\r\n$1\r\n1\r\n$1\r\nz\r\n$1\r\n3\r\n"
        );
        assert_eq!(c.run("ZDIFF 2 b a"), "*0\r\n");
        assert_eq!(c.run("ZDIFF 2 none a"), "*0\r\n");
        assert_eq!(c.run("ZDIFF 2 a a"), "*0\r\n");
        assert_eq!(c.run("ZDIFFSTORE d 3 a b none"), ":2\r\n");
        assert_eq!(c.run("ZDIFFSTORE a 2 a d"), ":1\r\n");
        assert_eq!(c.run("ZDIFFSTORE a 1 none"), ":0\r\n");
        assert_eq!(c.run("ZCARD a"), ":0\r\n");
        assert_eq!(c.run("ZDIFF 1 b WEIGHTS 1"), "-ERR syntax error\r\n");
        assert_eq!(c.run("ZDIFF 1 b AGGREGATE sum"), "-ERR syntax error\r\n");
    }

    #[test]
    fn striking_out_many_small_inputs_gives_the_same() {
        let mut c = Client::new();
        for i in 0..60 {
            c.run(&format!("ZADD a {i} m{i}"));
        }
        let mut line = String::from("ZDIFF 11 a");
        for i in 0..10 {
            c.run(&format!("ZADD s{i} 1 m{i} 1 m{}", i + 49));
            line.push_str(&format!(" s{i}"));
        }
        let reply = c.run(&line);
        let members: Vec<&str> = reply.split("\r\n").filter(|l| l.starts_with('m')).collect();
        let expected: Vec<String> = (10..49).chain([59]).map(|i| format!("m{i}")).collect();
        assert_eq!(members, expected);
    }
}
