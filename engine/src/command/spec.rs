//! What a command *is*: one [`CommandSpec`] holds its name, arity, flags, ACL
//! categories, key positions, documentation and handler. Everything that
//! describes commands to the outside (`COMMAND`, ACL, key extraction, docs)
//! reads these rows; a command is written down nowhere else.
//!
//! Specs are `const` data next to their handlers, collected per group in
//! `command/<group>/mod.rs` as `SPECS`.

use super::ctx::Ctx;
use crate::error::ReplyError;

/// The words of one request; `args[0]` is the command name as sent.
pub type Args<'a> = &'a [&'a [u8]];

/// Outcome of a handler: the reply is already written, or an error is to be.
pub type CmdResult = Result<(), ReplyError>;

/// A set of single-bit flags kept in a `u64` with const construction.
macro_rules! bit_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $flag:ident = $bit:expr, $text:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name(pub u64);
        #[allow(missing_docs, reason = "each flag is the field's own term, printed by `names`")]
        impl $name {
            pub const NONE: $name = $name(0);
            $($(#[$fdoc])* pub const $flag: $name = $name(1 << $bit);)*
            /// Both sets together; usable in constants.
            pub const fn or(self, other: $name) -> $name { $name(self.0 | other.0) }
            /// Without the bits of `other`.
            pub const fn without(self, other: $name) -> $name { $name(self.0 & !other.0) }
            /// Whether every bit of `other` is set.
            pub const fn has(self, other: $name) -> bool { self.0 & other.0 == other.0 }
            /// Whether any bit of `other` is set.
            pub const fn any(self, other: $name) -> bool { self.0 & other.0 != 0 }
            /// Wire names of the set bits, in declaration order.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                const ALL: &[(u64, &str)] = &[$((1 << $bit, $text)),*];
                ALL.iter().filter(move |(bit, text)| self.0 & bit != 0 && !text.is_empty()).map(|(_, text)| *text)
            }
            /// The flag with this wire name.
            pub fn by_name(name: &str) -> Option<$name> {
                const ALL: &[(u64, &str)] = &[$((1 << $bit, $text)),*];
                ALL.iter().find(|(_, text)| !text.is_empty() && text.eq_ignore_ascii_case(name)).map(|(bit, _)| $name(*bit))
            }
        }
        impl std::ops::BitOr for $name {
            type Output = $name;
            fn bitor(self, other: $name) -> $name { $name(self.0 | other.0) }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_list().entries(self.names()).finish()
            }
        }
    };
}

bit_set! {
    /// Command flags; the texts are those that `COMMAND INFO` prints.
    Flags {
        WRITE = 0, "write";
        READONLY = 1, "readonly";
        DENYOOM = 2, "denyoom";
        MODULE = 3, "module";
        ADMIN = 4, "admin";
        PUBSUB = 5, "pubsub";
        NOSCRIPT = 6, "noscript";
        BLOCKING = 8, "blocking";
        LOADING = 9, "loading";
        STALE = 10, "stale";
        SKIP_MONITOR = 11, "skip_monitor";
        SKIP_SLOWLOG = 12, "skip_slowlog";
        ASKING = 13, "asking";
        FAST = 14, "fast";
        NO_AUTH = 15, "no_auth";
        MAY_REPLICATE = 16, "";
        SENTINEL = 17, "";
        ONLY_SENTINEL = 18, "";
        NO_MANDATORY_KEYS = 19, "no_mandatory_keys";
        PROTECTED = 20, "";
        NO_ASYNC_LOADING = 23, "no_async_loading";
        NO_MULTI = 24, "no_multi";
        ALLOW_BUSY = 26, "allow_busy";
        TOUCHES_ARBITRARY_KEYS = 28, "";
        /// The keys cannot be told from `keys` alone (`movablekeys`); set by the registry.
        MOVABLEKEYS = 29, "movablekeys";
    }
}

bit_set! {
    /// ACL categories, without the leading `@`.
    Acl {
        KEYSPACE = 0, "keyspace";
        READ = 1, "read";
        WRITE = 2, "write";
        SET = 3, "set";
        SORTEDSET = 4, "sortedset";
        LIST = 5, "list";
        HASH = 6, "hash";
        STRING = 7, "string";
        BITMAP = 8, "bitmap";
        HYPERLOGLOG = 9, "hyperloglog";
        GEO = 10, "geo";
        STREAM = 11, "stream";
        PUBSUB = 12, "pubsub";
        ADMIN = 13, "admin";
        FAST = 14, "fast";
        SLOW = 15, "slow";
        BLOCKING = 16, "blocking";
        DANGEROUS = 17, "dangerous";
        CONNECTION = 18, "connection";
        TRANSACTION = 19, "transaction";
        SCRIPTING = 20, "scripting";
    }
}

bit_set! {
    /// What a command does with a key; the texts are those of `COMMAND INFO`.
    KeyFlags {
        RO = 0, "RO";
        RW = 1, "RW";
        OW = 2, "OW";
        RM = 3, "RM";
        ACCESS = 4, "access";
        UPDATE = 5, "update";
        INSERT = 6, "insert";
        DELETE = 7, "delete";
        NOT_KEY = 8, "not_key";
        INCOMPLETE = 9, "incomplete";
        VARIABLE_FLAGS = 10, "variable_flags";
    }
}

/// Command groups as `COMMAND DOCS` names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the groups are the field's own terms")]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Pubsub,
    Transactions,
    Connection,
    Server,
    Scripting,
    Hyperloglog,
    Cluster,
    Sentinel,
    Geo,
    Stream,
    Bitmap,
}

impl Group {
    /// The wire name, e.g. `sorted-set`.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::Hyperloglog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Sentinel => "sentinel",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug)]
pub enum BeginSearch {
    /// At this argument (0 is the command name).
    Index(i32),
    /// After this word, looked for from argument `1` (negative: backwards from the end).
    Keyword(&'static str, i32),
    /// Not expressible; `CommandSpec::get_keys` tells.
    Unknown,
}

/// Which arguments from the start of the search are keys.
#[derive(Clone, Copy, Debug)]
pub enum FindKeys {
    /// `(last, step, limit)` as in `COMMAND INFO`: `last` relative to the first key, negative from the end.
    Range(i32, i32, i32),
    /// `(count_index, first_key, step)`, relative to the start of the search.
    Keynum(i32, i32, i32),
    /// Not expressible.
    Unknown,
}

/// One group of keys of a command.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Access of the command to these keys.
    pub flags: KeyFlags,
    /// Where they start.
    pub begin: BeginSearch,
    /// Which they are.
    pub find: FindKeys,
    /// Free text printed by `COMMAND DOCS`/`INFO`; empty for none.
    pub notes: &'static str,
}

impl KeySpec {
    /// Keys found from argument `index` on.
    pub const fn index(index: i32, find: FindKeys, flags: KeyFlags) -> KeySpec {
        KeySpec {
            flags,
            begin: BeginSearch::Index(index),
            find,
            notes: "",
        }
    }
    /// One key at argument `index`.
    pub const fn one(index: i32, flags: KeyFlags) -> KeySpec {
        KeySpec::index(index, FindKeys::Range(0, 1, 0), flags)
    }
    /// Keys found after the word `keyword`.
    pub const fn keyword(
        keyword: &'static str,
        from: i32,
        find: FindKeys,
        flags: KeyFlags,
    ) -> KeySpec {
        KeySpec {
            flags,
            begin: BeginSearch::Keyword(keyword, from),
            find,
            notes: "",
        }
    }
    /// Keys only `get_keys` can find.
    pub const fn unknown(flags: KeyFlags, notes: &'static str) -> KeySpec {
        KeySpec {
            flags,
            begin: BeginSearch::Unknown,
            find: FindKeys::Unknown,
            notes,
        }
    }
}

/// What a command does with the channels that its words name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channels {
    /// It names none, or does nothing that is checked.
    None,
    /// It sends to the one at argument 1.
    Publish,
    /// It listens to those from argument 1 on.
    Subscribe,
    /// It listens to the patterns from argument 1 on.
    SubscribePatterns,
}

/// Argument types of `COMMAND DOCS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the types are the field's own terms")]
pub enum ArgType {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl ArgType {
    /// The wire name, e.g. `unix-time`.
    pub const fn name(self) -> &'static str {
        match self {
            ArgType::String => "string",
            ArgType::Integer => "integer",
            ArgType::Double => "double",
            ArgType::Key => "key",
            ArgType::Pattern => "pattern",
            ArgType::UnixTime => "unix-time",
            ArgType::PureToken => "pure-token",
            ArgType::OneOf => "oneof",
            ArgType::Block => "block",
        }
    }
}

/// One argument in the syntax tree of `COMMAND DOCS`.
#[derive(Clone, Copy, Debug)]
pub struct ArgSpec {
    /// Name of the argument.
    pub name: &'static str,
    /// Its type.
    pub kind: ArgType,
    /// The literal word before it (or that it is); empty for none. A space word is `"\"\""`.
    pub token: &'static str,
    /// Index into `CommandSpec::keys`, -1 for none.
    pub key_spec: i32,
    /// Version that brought it; empty for the command's own.
    pub since: &'static str,
    /// Version that deprecated it; empty for none.
    pub deprecated_since: &'static str,
    /// Other name shown to people; empty for none.
    pub display: &'static str,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The token is repeated with it.
    pub multiple_token: bool,
    /// Members of a `OneOf` or `Block`.
    pub args: &'static [ArgSpec],
}

impl ArgSpec {
    /// `NX` or `XX`: whether what is written has to be absent, or there.
    pub const ABSENT_OR_PRESENT: ArgSpec = ArgSpec {
        optional: true,
        args: &[
            ArgSpec {
                token: "NX",
                ..ArgSpec::new("nx", ArgType::PureToken)
            },
            ArgSpec {
                token: "XX",
                ..ArgSpec::new("xx", ArgType::PureToken)
            },
        ],
        ..ArgSpec::new("condition", ArgType::OneOf)
    };

    /// A plain required argument; refine with struct update or the methods.
    pub const fn new(name: &'static str, kind: ArgType) -> ArgSpec {
        ArgSpec {
            name,
            kind,
            token: "",
            key_spec: -1,
            since: "",
            deprecated_since: "",
            display: "",
            optional: false,
            multiple: false,
            multiple_token: false,
            args: &[],
        }
    }
}

/// Which shards the dispatcher locks before the handler runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locking {
    /// Those of the keys named by the key specs; none when the command has no keys.
    Keys,
    /// All of them: the command may touch any key.
    All,
    /// Any key may be touched, and its shard is locked then: scripts.
    Touched,
    /// None, whatever the key specs say.
    None,
    /// Those of the watched keys and of every queued command (`EXEC`).
    Queued,
}

/// How `get_keys` reports one key: argument index and access.
pub type KeyRef = (usize, KeyFlags);

/// Finds the keys of a request whose positions key specs cannot express; `None` on a syntax error.
pub type GetKeysFn = fn(Args<'_>) -> Option<Vec<KeyRef>>;

/// The code behind a command: writes one reply to `ctx.out`, or returns the error to write.
pub type Handler = fn(&mut Ctx<'_>, Args<'_>) -> CmdResult;

/// One command or subcommand. Build with `CommandSpec { ..CommandSpec::BLANK }`.
#[derive(Clone, Copy)]
pub struct CommandSpec {
    /// Lower-case name; for a subcommand only its own part (`get` of `config|get`).
    pub name: &'static str,
    /// Group shown by `COMMAND DOCS`.
    pub group: Group,
    /// First version of Redis or Valkey that had it.
    pub since: &'static str,
    /// One sentence on what it does.
    pub summary: &'static str,
    /// Time complexity.
    pub complexity: &'static str,
    /// Number of words including the name; negative: at least that many.
    pub arity: i32,
    /// Behaviour flags.
    pub flags: Flags,
    /// Explicit ACL categories; those that follow from flags are added by the registry.
    pub acl: Acl,
    /// Key positions.
    pub keys: &'static [KeySpec],
    /// What it does with channels.
    pub channels: Channels,
    /// Key finder for what `keys` cannot express.
    pub get_keys: Option<GetKeysFn>,
    /// Shards to lock.
    pub locking: Locking,
    /// Client hints, e.g. `nondeterministic_output`.
    pub tips: &'static [&'static str],
    /// `(version, what changed)`.
    pub history: &'static [(&'static str, &'static str)],
    /// Syntax tree.
    pub args: &'static [ArgSpec],
    /// Version that deprecated it; empty for none.
    pub deprecated_since: &'static str,
    /// What to use instead; empty for none.
    pub replaced_by: &'static str,
    /// `syscmd`: internal command, marked so in the docs.
    pub syscmd: bool,
    /// Subcommands of a container.
    pub subcommands: &'static [CommandSpec],
    /// The code; of a container that always needs a subcommand, [`container`].
    pub handler: Handler,
}

impl CommandSpec {
    /// A row with nothing in it, for struct update syntax.
    pub const BLANK: CommandSpec = CommandSpec {
        name: "",
        group: Group::Generic,
        since: "1.0.0",
        summary: "",
        complexity: "",
        arity: 1,
        flags: Flags::NONE,
        acl: Acl::NONE,
        keys: &[],
        channels: Channels::None,
        get_keys: None,
        locking: Locking::Keys,
        tips: &[],
        history: &[],
        args: &[],
        deprecated_since: "",
        replaced_by: "",
        syscmd: false,
        subcommands: &[],
        handler: container,
    };
}

/// Handler of containers: they are never called without a subcommand, because the arity of
/// a container is at least 2 and an unknown subcommand is refused at look-up.
pub fn container(_ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    Err(ReplyError::wrong_arity(
        &String::from_utf8_lossy(args.first().copied().unwrap_or_default()).to_lowercase(),
    ))
}

/// Joins the rows of a group's files into one constant table; `N` is their total number, and
/// a wrong one does not compile.
pub const fn concat<const N: usize>(parts: &[&[CommandSpec]]) -> [CommandSpec; N] {
    let mut all = [CommandSpec::BLANK; N];
    let (mut part, mut filled) = (0, 0);
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            all[filled] = parts[part][row];
            filled += 1;
            row += 1;
        }
        part += 1;
    }
    assert!(filled == N, "concat: N must be the number of rows");
    all
}
