//! The rules by their effects: as text, and on requests.

use super::*;
use crate::command::{DATA_GROUPS, Registry};

fn registry() -> &'static Registry {
    static TABLE: std::sync::OnceLock<&'static Registry> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| Registry::build(DATA_GROUPS, &[]))
}

fn grammar() -> Grammar<'static> {
    Grammar {
        registry: registry(),
        all_channels: false,
    }
}

fn changed(user: &User, rules: &str) -> Result<User, RuleError> {
    let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    let mut user = user.clone();
    for rule in merge_selectors(&words).map_err(|_| RuleError::Syntax)? {
        user.apply(&grammar(), &rule)?;
    }
    Ok(user)
}

fn user(rules: &str) -> User {
    changed(&User::new(&grammar()), rules).expect("good rules")
}

fn error(rules: &str) -> RuleError {
    changed(&User::new(&grammar()), rules).expect_err("bad rules")
}

fn shown(rules: &str) -> String {
    String::from_utf8(user(rules).describe()).expect("text")
}

fn check(user: &User, request: &str) -> Result<(), Denied> {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    let command = registry().resolve(&args).expect("a command");
    user.check(command, &args)
}

#[test]
fn users_are_written_as_redis_writes_them() {
    for (rules, text) in [
        ("", "off sanitize-payload resetchannels -@all"),
        (
            "on nopass allkeys allchannels allcommands",
            "on nopass sanitize-payload ~* &* +@all",
        ),
        (
            "on >p ~a* %R~b %W~c %RW~d &x -@all +get",
            "on sanitize-payload #148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940 ~a* %R~b %W~c ~d resetchannels &x -@all +get",
        ),
        (
            "skip-sanitize-payload (~x +GET) (%r~y &z +@read)",
            "off skip-sanitize-payload resetchannels -@all (~x resetchannels -@all +get) (%R~y resetchannels &z -@all +@read)",
        ),
        (
            "()",
            "off sanitize-payload resetchannels -@all (resetchannels -@all)",
        ),
        ("%R~k %W~k", "off sanitize-payload ~k resetchannels -@all"),
        (
            ">a nopass",
            "off nopass sanitize-payload resetchannels -@all",
        ),
        (
            "+@all ~* on reset",
            "off sanitize-payload resetchannels -@all",
        ),
    ] {
        assert_eq!(shown(rules), text, "{rules}");
    }
    let all = User::all_powerful(&grammar());
    assert_eq!(all.describe(), b"on nopass sanitize-payload ~* &* +@all");
    assert!(all.is_unrestricted());
}

#[test]
fn of_command_rules_about_the_same_the_last_is_kept() {
    for (rules, text) in [
        (
            "+@all -@hash -@slow +hget -@hash",
            "+@all -@slow +hget -@hash",
        ),
        ("+@all -@hash +@hash", "+@all +@hash"),
        ("-@all +@HASH +@hash", "-@all +@hash"),
        ("+hget -hset +hset -hget", "-@all +hset -hget"),
        ("-@string -@slow +@all", "+@all"),
        ("+object|freq +object|freq +object", "-@all +object"),
        ("+object +object|freq -object|help +object", "-@all +object"),
        ("+type|0 +TYPE|0 +type|1", "-@all +type|0 +type|1"),
        ("+type|0 +type", "-@all +type"),
        ("-@all -@dangerous", "-@all -@dangerous"),
        ("+objec +get", ""),
    ] {
        if text.is_empty() {
            assert_eq!(error(rules), RuleError::Unknown);
            continue;
        }
        let user = user(rules);
        let own = user.selectors().next().expect("a root").describe_commands();
        assert_eq!(String::from_utf8_lossy(&own), text, "{rules}");
    }
}

#[test]
fn what_is_written_means_the_same_when_it_is_read() {
    for rules in [
        "on >a >b nopass #148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940",
        "+@all -@slow +keys +object|freq -object|help ~[ab]* %W~\\x &y*",
        "(~a +get|x) (+@all -set %R~*) +eval +type|9",
    ] {
        let text = shown(rules);
        assert_eq!(shown(&text), text, "{rules}");
    }
}

#[test]
fn bad_rules_are_told_apart() {
    for (rules, expected) in [
        ("nosuch", RuleError::Syntax),
        (")", RuleError::Syntax),
        ("+", RuleError::Unknown),
        ("+nosuch", RuleError::Unknown),
        ("-type|0", RuleError::Unknown),
        ("+@nosuch", RuleError::Unknown),
        ("+object|nosuch", RuleError::Unknown),
        ("+get|a|b", RuleError::Unknown),
        ("+object|freq|x", RuleError::FirstArgument),
        ("+type|", RuleError::Syntax),
        ("~* ~a", RuleError::AllKeys),
        ("allkeys %R~a", RuleError::AllKeys),
        ("&* &a", RuleError::AllChannels),
        ("<none", RuleError::NoPassword),
        ("#12", RuleError::Hash),
        (
            "!148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940",
            RuleError::NoPassword,
        ),
        (
            "#148DE9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940",
            RuleError::Hash,
        ),
        ("(+nosuch)", RuleError::Unknown),
        ("(on)", RuleError::Syntax),
        ("(&* &a)", RuleError::AllChannels),
    ] {
        assert_eq!(error(rules), expected, "{rules}");
    }
}

/// CVE-2024-51741 and CVE-2024-31227: selectors that could be made, but not shown.
#[test]
fn malformed_key_rules_and_selectors_are_refused() {
    for rules in [
        "%~x", "(%~x)", "%", "%RR~x", "%Rx~y", "%RWR~x", "(\"~x)", "((~x))", "(~x",
    ] {
        assert_eq!(error(rules), RuleError::Syntax, "{rules}");
    }
    let blank = [
        &b"~a b"[..],
        b"&a\tb",
        b"~a\0",
        b"+type|a b",
        b"+type|\"0\"",
        b"(",
    ];
    for rule in blank {
        let mut user = user("on");
        assert_eq!(user.apply(&grammar(), rule), Err(RuleError::Syntax));
        assert_eq!(user.describe(), b"on sanitize-payload resetchannels -@all");
    }
    assert_eq!(merge_selectors(&[b"on", b"(~a", b"(+get"]), Err(1));
    let merged = merge_selectors(&[b"(~a", b"", b"+get", b")", b"on"]).expect("closed");
    assert_eq!(merged, [&b"(~a  +get )"[..], b"on"]);
}

#[test]
fn commands_are_checked_by_name_category_and_first_argument() {
    let user = user("allkeys -@all +@read -strlen +type|1 +object|freq +object|help");
    assert_eq!(check(&user, "get k"), Ok(()));
    assert_eq!(check(&user, "set k v"), Err(Denied::Command));
    assert_eq!(check(&user, "strlen k"), Err(Denied::Command));
    assert_eq!(check(&user, "object help"), Ok(()));
    assert_eq!(check(&user, "OBJECT FREQ k"), Ok(()));
    let exact = changed(&user, "-@all +echo|Hi").map(|_| ());
    assert_eq!(exact, Err(RuleError::Unknown), "a command of the server");
    let all = changed(&user, "+@all -object -object|freq").expect("good");
    assert_eq!(check(&all, "object help"), Err(Denied::Command));
    assert!(!all.is_unrestricted());
    let again = changed(&all, "+@all allchannels").expect("good");
    assert!(again.is_unrestricted());
}

#[test]
fn keys_are_checked_for_what_is_done_with_them() {
    let user = user("+@all %R~r* %W~w* ~b*");
    for (request, denied) in [
        ("get r1", None),
        ("get w1", Some(Denied::Key(1))),
        ("get b1", None),
        ("set w1 x", None),
        ("set w1 x get", Some(Denied::Key(1))),
        ("set r1 x", Some(Denied::Key(1))),
        ("exists r1 w1 b1", None),
        ("exists r1 x", Some(Denied::Key(2))),
        ("mget r1 b1 w1", Some(Denied::Key(3))),
        ("copy r1 w1", None),
        ("copy w1 r1", Some(Denied::Key(1))),
        ("zunionstore w1 2 r1 b1", None),
        ("zunionstore r1 2 r1 b1", Some(Denied::Key(1))),
        ("zunionstore w1 2 r1 w1", Some(Denied::Key(4))),
        ("eval x 2 b1 b2", None),
        ("eval x 2 b1 x", Some(Denied::Key(4))),
        ("sort r1 store w1", None),
        ("sort r1 store r2", Some(Denied::Key(3))),
        ("georadius r1 0 0 1 m store w1", None),
        ("georadius r1 0 0 1 m store r1", Some(Denied::Key(7))),
        // The last one counts for the command, the first for its key specs.
        (
            "georadius r1 0 0 1 m store w1 store x",
            Some(Denied::Key(9)),
        ),
        (
            "georadius r1 0 0 1 m store x store w1",
            Some(Denied::Key(7)),
        ),
        ("xread count 1 streams r1 w1 0 0", Some(Denied::Key(5))),
        ("bitfield r1 get u4 0", None),
        ("bitfield r1 set u4 0 1", Some(Denied::Key(1))),
        // What is malformed is for its handler to refuse.
        ("zunion 9 x", None),
    ] {
        assert_eq!(check(&user, request).err(), denied, "{request}");
    }
}

#[test]
fn one_selector_must_allow_all_of_a_request() {
    let user = user("+mget ~key (+mget ~key ~other) (%R~r +@all) (%W~w +@all)");
    assert_eq!(check(&user, "mget key other"), Ok(()));
    assert_eq!(check(&user, "mget key other third"), Err(Denied::Key(3)));
    assert_eq!(check(&user, "copy r w"), Err(Denied::Key(2)));
    assert_eq!(check(&user, "lpush w 1"), Ok(()));
}

#[test]
fn reading_all_keys_takes_one_selector_too() {
    let (sort, args) = (registry().resolve(&[b"sort"]).expect("sort"), ["sort", "l"]);
    let args: Vec<&[u8]> = args.iter().map(|word| word.as_bytes()).collect();
    for (rules, may) in [
        ("(+sort ~l)", false),
        ("(+sort ~l %W~*)", false),
        ("(+sort ~l) (%R~*)", false),
        ("(+sort ~l %R~*)", true),
        ("+@all ~*", true),
    ] {
        assert_eq!(user(rules).check_reading_all(sort, &args), may, "{rules}");
    }
}

#[test]
fn lost_channels_are_noticed() {
    for (before, after, keeps) in [
        ("&a &b*", "&a &b*", true),
        ("&a &b*", "&b* &a &c", true),
        ("&a", "&*", true),
        ("&*", "&a", false),
        ("&a &b", "&a", false),
        ("&a (&b)", "&b (&a)", true),
    ] {
        let (before, after) = (user(before), user(after));
        assert_eq!(after.keeps_channels_of(&before), keeps);
    }
    let some = user("&a* (&b)");
    assert!(some.allows_channel(b"ax", false) && some.allows_channel(b"a*", true));
    assert!(!some.allows_channel(b"ax", true) && !some.allows_channel(b"x", false));
}

#[test]
fn renamed_and_removed_commands_keep_their_name_in_rules() {
    let renames = [
        ("get".into(), "fetch".into()),
        ("keys".into(), String::new()),
    ];
    let grammar = Grammar {
        registry: Registry::build(DATA_GROUPS, &renames),
        all_channels: false,
    };
    let mut user = User::new(&grammar);
    for rule in [&b"~*"[..], b"+get", b"+keys"] {
        user.apply(&grammar, rule).expect("known");
    }
    let args: [&[u8]; 2] = [b"fetch", b"k"];
    let fetch = grammar.registry.resolve(&args).expect("renamed");
    assert_eq!(user.check(fetch, &args), Ok(()));
    user.apply(&grammar, b"-get").expect("known");
    assert_eq!(user.check(fetch, &args), Err(Denied::Command));
    assert_eq!(
        Denied::Command.message(b"u", fetch, &args, false),
        "User u has no permissions to run the 'get' command"
    );
}
