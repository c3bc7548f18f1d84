//! CLUSTER and its kin on a server that is no cluster node: all of them say so, as in Redis.

use basalt_engine::ReplyError;
use basalt_engine::command::Ctx;
use basalt_engine::command::spec::{
    Acl, ArgSpec, ArgType, Args, CmdResult, CommandSpec, Flags, Group, KeyFlags, KeySpec, Locking,
};

/// The group's rows.
pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "cluster",
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Groups the commands about the cluster.",
        complexity: "That of the subcommand.",
        arity: -2,
        subcommands: &[
            CommandSpec {
                name: "addslots",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Makes this node the owner of unassigned slots.",
                complexity: "O(N) for N slots given.",
                arity: -3,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[ArgSpec {
                    multiple: true,
                    ..ArgSpec::new("slot", ArgType::Integer)
                }],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "addslotsrange",
                group: Group::Cluster,
                since: "7.0.0",
                summary: "Makes this node the owner of ranges of unassigned slots.",
                complexity: "O(N) for N slots in the ranges.",
                arity: -4,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[ArgSpec {
                    multiple: true,
                    args: &[
                        ArgSpec::new("start-slot", ArgType::Integer),
                        ArgSpec::new("end-slot", ArgType::Integer),
                    ],
                    ..ArgSpec::new("range", ArgType::Block)
                }],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "bumpepoch",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Raises this node's configuration epoch above all others.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "count-failure-reports",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Counts the nodes that currently report a node as failing.",
                complexity: "O(N) for N reports.",
                arity: 3,
                flags: Flags::ADMIN.or(Flags::STALE),
                args: &[ArgSpec::new("node-id", ArgType::String)],
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "countkeysinslot",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Counts the keys this node holds in a slot.",
                complexity: "O(1)",
                arity: 3,
                flags: Flags::STALE,
                args: &[ArgSpec::new("slot", ArgType::Integer)],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "delslots",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Makes this node forget who owns the given slots.",
                complexity: "O(N) for N slots given.",
                arity: -3,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[ArgSpec {
                    multiple: true,
                    ..ArgSpec::new("slot", ArgType::Integer)
                }],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "delslotsrange",
                group: Group::Cluster,
                since: "7.0.0",
                summary: "Makes this node forget who owns ranges of slots.",
                complexity: "O(N) for N slots in the ranges.",
                arity: -4,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[ArgSpec {
                    multiple: true,
                    args: &[
                        ArgSpec::new("start-slot", ArgType::Integer),
                        ArgSpec::new("end-slot", ArgType::Integer),
                    ],
                    ..ArgSpec::new("range", ArgType::Block)
                }],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "failover",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Has this replica take over from its primary.",
                complexity: "O(1)",
                arity: -2,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[ArgSpec {
                    optional: true,
                    args: &[
                        ArgSpec {
                            token: "FORCE",
                            ..ArgSpec::new("force", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "TAKEOVER",
                            ..ArgSpec::new("takeover", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("options", ArgType::OneOf)
                }],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "flushslots",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Makes this node forget who owns any slot.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "forget",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Drops a node from this node's view of the cluster.",
                complexity: "O(1)",
                arity: 3,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[ArgSpec::new("node-id", ArgType::String)],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "getkeysinslot",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Lists keys this node holds in a slot.",
                complexity: "O(N) for N keys asked for.",
                arity: 4,
                flags: Flags::STALE,
                args: &[
                    ArgSpec::new("slot", ArgType::Integer),
                    ArgSpec::new("count", ArgType::Integer),
                ],
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "help",
                group: Group::Cluster,
                since: "5.0.0",
                summary: "Lists the subcommands with a line on each.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "info",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Reports how this node sees the cluster's health.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "keyslot",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Computes the slot of a key.",
                complexity: "O(N), N being the bytes of the key.",
                arity: 3,
                flags: Flags::STALE,
                args: &[ArgSpec::new("key", ArgType::String)],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "links",
                group: Group::Cluster,
                since: "7.0.0",
                summary: "Lists the bus connections to and from other nodes.",
                complexity: "O(N) for N nodes.",
                arity: 2,
                flags: Flags::STALE,
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "meet",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Introduces another node to this one, which starts a handshake.",
                complexity: "O(1)",
                arity: -4,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[
                    ArgSpec::new("ip", ArgType::String),
                    ArgSpec::new("port", ArgType::Integer),
                    ArgSpec {
                        since: "4.0.0",
                        optional: true,
                        ..ArgSpec::new("cluster-bus-port", ArgType::Integer)
                    },
                ],
                history: &[("4.0.0", "New optional argument `cluster_bus_port`.")],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "myid",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Reads the ID of this node.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "myshardid",
                group: Group::Cluster,
                since: "7.2.0",
                summary: "Reads the ID of the shard this node belongs to.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "nodes",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Lists all known nodes in the form of the nodes file.",
                complexity: "O(N) for N nodes.",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "replicas",
                group: Group::Cluster,
                since: "5.0.0",
                summary: "Describes the nodes that replicate a primary.",
                complexity: "O(N) for N replicas.",
                arity: 3,
                flags: Flags::ADMIN.or(Flags::STALE),
                args: &[ArgSpec::new("node-id", ArgType::String)],
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "replicate",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Makes this node a replica of a primary.",
                complexity: "O(1)",
                arity: 3,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[ArgSpec::new("node-id", ArgType::String)],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "reset",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Makes this node leave and forget the cluster.",
                complexity: "O(N) for N nodes; emptying the databases may come on top.",
                arity: -2,
                flags: Flags::ADMIN.or(Flags::STALE).or(Flags::NOSCRIPT),
                args: &[ArgSpec {
                    optional: true,
                    args: &[
                        ArgSpec {
                            token: "HARD",
                            ..ArgSpec::new("hard", ArgType::PureToken)
                        },
                        ArgSpec {
                            token: "SOFT",
                            ..ArgSpec::new("soft", ArgType::PureToken)
                        },
                    ],
                    ..ArgSpec::new("reset-type", ArgType::OneOf)
                }],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "saveconfig",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Writes the nodes file to disk.",
                complexity: "O(1)",
                arity: 2,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "set-config-epoch",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Sets the configuration epoch of a node that is still new.",
                complexity: "O(1)",
                arity: 3,
                flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE),
                args: &[ArgSpec::new("config-epoch", ArgType::Integer)],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "setslot",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Changes the owner of a slot, or marks it as moving.",
                complexity: "O(1)",
                arity: -4,
                flags: Flags::NO_ASYNC_LOADING
                    .or(Flags::ADMIN)
                    .or(Flags::STALE)
                    .or(Flags::MAY_REPLICATE),
                args: &[
                    ArgSpec::new("slot", ArgType::Integer),
                    ArgSpec {
                        args: &[
                            ArgSpec {
                                token: "IMPORTING",
                                display: "node-id",
                                ..ArgSpec::new("importing", ArgType::String)
                            },
                            ArgSpec {
                                token: "MIGRATING",
                                display: "node-id",
                                ..ArgSpec::new("migrating", ArgType::String)
                            },
                            ArgSpec {
                                token: "NODE",
                                display: "node-id",
                                ..ArgSpec::new("node", ArgType::String)
                            },
                            ArgSpec {
                                token: "STABLE",
                                ..ArgSpec::new("stable", ArgType::PureToken)
                            },
                        ],
                        ..ArgSpec::new("subcommand", ArgType::OneOf)
                    },
                    ArgSpec {
                        token: "TIMEOUT",
                        since: "8.0.0",
                        display: "timeout",
                        optional: true,
                        ..ArgSpec::new("timeout", ArgType::Integer)
                    },
                ],
                history: &[("8.0.0", "New option `TIMEOUT`.")],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "shards",
                group: Group::Cluster,
                since: "7.0.0",
                summary: "Lists the shards with their slots and nodes.",
                complexity: "O(N) for N nodes.",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                tips: &["nondeterministic_output"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "slaves",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Describes the nodes that replicate a primary.",
                complexity: "O(N) for N replicas.",
                arity: 3,
                flags: Flags::ADMIN.or(Flags::STALE),
                args: &[ArgSpec::new("node-id", ArgType::String)],
                tips: &["nondeterministic_output"],
                deprecated_since: "5.0.0",
                replaced_by: "`CLUSTER REPLICAS`",
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "slot-stats",
                group: Group::Cluster,
                since: "8.0.0",
                summary: "Shows how much each slot of this node is used.",
                complexity: "O(N) for N slots asked about; O(N*log(N)) with `ORDERBY`.",
                arity: -4,
                flags: Flags::STALE.or(Flags::LOADING),
                args: &[ArgSpec {
                    args: &[
                        ArgSpec {
                            token: "SLOTSRANGE",
                            args: &[
                                ArgSpec::new("start-slot", ArgType::Integer),
                                ArgSpec::new("end-slot", ArgType::Integer),
                            ],
                            ..ArgSpec::new("slotsrange", ArgType::Block)
                        },
                        ArgSpec {
                            token: "ORDERBY",
                            args: &[
                                ArgSpec::new("metric", ArgType::String),
                                ArgSpec {
                                    token: "LIMIT",
                                    optional: true,
                                    ..ArgSpec::new("limit", ArgType::Integer)
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
                            ],
                            ..ArgSpec::new("orderby", ArgType::Block)
                        },
                    ],
                    ..ArgSpec::new("filter", ArgType::OneOf)
                }],
                tips: &["nondeterministic_output", "request_policy:all_shards"],
                handler: disabled,
                ..CommandSpec::BLANK
            },
            CommandSpec {
                name: "slots",
                group: Group::Cluster,
                since: "3.0.0",
                summary: "Lists ranges of slots with the nodes that serve them.",
                complexity: "O(N) for N nodes.",
                arity: 2,
                flags: Flags::LOADING.or(Flags::STALE),
                tips: &["nondeterministic_output"],
                history: &[
                    ("4.0.0", "Node IDs are included."),
                    ("7.0.0", "A field with further network details is included."),
                ],
                handler: disabled,
                ..CommandSpec::BLANK
            },
        ],
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "clusterscan",
        group: Group::Cluster,
        since: "9.1.0",
        summary: "Walks the keys of a whole cluster, slot by slot.",
        complexity: "O(1) for a call, O(N) for a whole walk over N keys.",
        arity: -2,
        flags: Flags::READONLY,
        acl: Acl::KEYSPACE,
        keys: &[KeySpec::one(1, KeyFlags::NOT_KEY)],
        locking: Locking::None,
        args: &[
            ArgSpec::new("cursor", ArgType::String),
            ArgSpec {
                token: "MATCH",
                optional: true,
                ..ArgSpec::new("pattern", ArgType::Pattern)
            },
            ArgSpec {
                token: "COUNT",
                optional: true,
                ..ArgSpec::new("count", ArgType::Integer)
            },
            ArgSpec {
                token: "TYPE",
                optional: true,
                ..ArgSpec::new("type", ArgType::String)
            },
            ArgSpec {
                token: "SLOT",
                optional: true,
                ..ArgSpec::new("slot", ArgType::Integer)
            },
        ],
        handler: disabled,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "asking",
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lets the next command reach a slot that is being imported.",
        complexity: "O(1)",
        flags: Flags::FAST,
        acl: Acl::CONNECTION,
        handler: disabled,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "readonly",
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Lets this connection read from a replica.",
        complexity: "O(1)",
        flags: Flags::FAST.or(Flags::LOADING).or(Flags::STALE),
        acl: Acl::CONNECTION,
        handler: disabled,
        ..CommandSpec::BLANK
    },
    CommandSpec {
        name: "readwrite",
        group: Group::Cluster,
        since: "3.0.0",
        summary: "Ends `READONLY` for this connection.",
        complexity: "O(1)",
        flags: Flags::FAST.or(Flags::LOADING).or(Flags::STALE),
        acl: Acl::CONNECTION,
        handler: disabled,
        ..CommandSpec::BLANK
    },
];

fn disabled(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Err(ReplyError::err(
        "This instance has cluster support disabled",
    ))
}
