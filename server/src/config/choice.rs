//! Directives whose value is one word of a list, or several.

use super::directive::{Directive, Field, Lines, ParseState, Reason, single};

/// Defines an enum whose variants have names in the configuration. A variant may have several names; `CONFIG GET` shows
/// the first.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal $(| $other:literal)*),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] $variant,)*
        }

        impl $name {
            /// The words that are accepted, in the order in which an error lists them.
            pub const NAMES: &'static [&'static str] = &[$($word, $($other,)*)*];

            /// The word that `CONFIG GET` shows.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)*
                }
            }
        }

        impl Field for $name {
            fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
                let text = single(args).unwrap_or_default();
                $(
                    if text.eq_ignore_ascii_case($word.as_bytes())
                        $(|| text.eq_ignore_ascii_case($other.as_bytes()))*
                    {
                        *self = $name::$variant;
                        return Ok(());
                    }
                )*
                Err(one_of($name::NAMES))
            }

            fn show(&self, _: &Directive) -> Vec<u8> {
                self.name().as_bytes().to_vec()
            }

            fn lines(&self, row: &Directive, default: &Self) -> Lines {
                Lines::one(row, self.name(), self != default)
            }
        }
    )*};
}

fn one_of(names: &[&str]) -> Reason {
    format!(
        "argument(s) must be one of the following: {}",
        names.join(", ")
    )
    .into()
}

choices! {
    /// Which keys may go when memory is full, and in which order.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu", VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl", AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random", NoEviction = "noeviction",
    }
    /// The facility of syslog messages.
    SyslogFacility {
        User = "user", Local0 = "local0", Local1 = "local1", Local2 = "local2", Local3 = "local3",
        Local4 = "local4", Local5 = "local5", Local6 = "local6", Local7 = "local7",
    }
    /// How much is logged.
    LogLevel {
        Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning", Nothing = "nothing",
    }
    /// Which service manager started the server.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }
    /// When the AOF is forced to the disk.
    AppendFsync { EverySec = "everysec", Always = "always", No = "no" }
    /// How a replica loads a full synchronisation without a file.
    ReplDisklessLoad {
        Disabled = "disabled", OnEmptyDb = "on-empty-db", SwapDb = "swapdb",
        FlushBeforeLoad = "flush-before-load",
    }
    /// Whether TLS clients need a certificate.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }
    /// How the kernel's out-of-memory score is set.
    OomScoreAdj { No = "no", Relative = "yes" | "relative", Absolute = "absolute" }
    /// The channels that a new ACL user may use.
    AclPubsubDefault { AllChannels = "allchannels", ResetChannels = "resetchannels" }
    /// When the inside of DUMP payloads and RDB files is checked in full.
    SanitizeDumpPayload { No = "no", Yes = "yes", Clients = "clients" }
    /// Who may do something that is dangerous in the wrong hands.
    ProtectedAction { No = "no", Yes = "yes", Local = "local" }
    /// How cluster nodes are named to clients.
    ClusterEndpointType { Ip = "ip", Hostname = "hostname", UnknownEndpoint = "unknown-endpoint" }
    /// What happens when a command from the primary or the AOF fails.
    PropagationErrorBehavior { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }
    /// Whether an RDB file of an unknown version is refused.
    RdbVersionCheck { Strict = "strict", Relaxed = "relaxed" }
    /// The form of log lines.
    LogFormat { Legacy = "legacy", Logfmt = "logfmt" }
    /// The form of the time in log lines.
    LogTimestampFormat { Legacy = "legacy", Iso8601 = "iso8601", Milliseconds = "milliseconds" }
}

impl ProtectedAction {
    /// Whether a client may act: always, never, or when it is on this machine.
    pub fn allows(self, client_is_local: bool) -> bool {
        match self {
            ProtectedAction::No => false,
            ProtectedAction::Yes => true,
            ProtectedAction::Local => client_is_local,
        }
    }
}

/// What a shutdown by signal does: a set of `save`, `nosave`, `now` and `force`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShutdownFlags {
    /// Save an RDB file even without save points.
    pub save: bool,
    /// Do not save even with save points.
    pub nosave: bool,
    /// Do not wait for replicas that lag.
    pub now: bool,
    /// Exit even when saving fails.
    pub force: bool,
}

impl ShutdownFlags {
    /// The words that are accepted.
    pub const NAMES: &'static [&'static str] = &["default", "save", "nosave", "now", "force"];

    /// The default behaviour.
    pub const fn empty() -> Self {
        ShutdownFlags {
            save: false,
            nosave: false,
            now: false,
            force: false,
        }
    }

    fn text(self) -> String {
        let set = [self.save, self.nosave, self.now, self.force];
        let names: Vec<&str> = Self::NAMES
            .iter()
            .skip(1)
            .zip(set)
            .filter_map(|(name, on)| on.then_some(*name))
            .collect();
        if names.is_empty() {
            "default".to_owned()
        } else {
            names.join(" ")
        }
    }
}

impl Field for ShutdownFlags {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        let mut flags = ShutdownFlags::empty();
        if args.is_empty() {
            return Err(one_of(Self::NAMES));
        }
        for arg in args {
            match arg.to_ascii_lowercase().as_slice() {
                b"default" => {}
                b"save" => flags.save = true,
                b"nosave" => flags.nosave = true,
                b"now" => flags.now = true,
                b"force" => flags.force = true,
                _ => return Err(one_of(Self::NAMES)),
            }
        }
        if flags.save && flags.nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        *self = flags;
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.text().into_bytes()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        Lines::one(row, self.text(), self != default)
    }
}
