//! Tests of `CONFIG GET` and `CONFIG SET`.

use super::*;

#[test]
fn get_matches_names_and_patterns_once() {
    let config = Config::default();
    let names = |patterns: &[&str]| -> Vec<String> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|p| p.as_bytes()).collect();
        config
            .get(&patterns)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(names(&["maxmemory", "MAXMEMORY"]), ["maxmemory"]);
    assert_eq!(names(&["MaxMemory"]), ["MaxMemory"]);
    assert_eq!(names(&["save", "s?ve", "nonsense"]), ["save"]);
    assert_eq!(
        names(&["lfu-*", "hz"]),
        ["lfu-decay-time", "lfu-log-factor", "hz"]
    );
    // Both names of a directive, since both match.
    assert_eq!(
        names(&["*-priority"]),
        ["replica-priority", "slave-priority"]
    );
    assert_eq!(names(&["watchdog-*"]), Vec::<String>::new());
    assert_eq!(names(&["watchdog-period"]), ["watchdog-period"]);
    let all = names(&["*"]);
    assert!(all.is_sorted() && all.len() > 200, "{}", all.len());
}

#[test]
fn set_refuses_in_the_words_of_redis() {
    let config = Config::default();
    let failed = |arg: &str, reason: &str| {
        Err::<Config, _>(format!(
            "ERR CONFIG SET failed (possibly related to argument '{arg}') - {reason}"
        ))
    };
    let refused = |pairs: &[(&str, &str)], expected: Result<Config, String>| {
        assert_eq!(set(&config, pairs), expected, "{pairs:?}");
    };
    refused(
        &[("hz", "5"), ("non\r\nsense", "1")],
        Err("ERR Unknown option or number of arguments for CONFIG SET - 'non  sense'".to_owned()),
    );
    refused(
        &[("DATABASES", "5")],
        failed("DATABASES", "can't set immutable config"),
    );
    refused(&[("dir", "/")], failed("dir", "can't set protected config"));
    refused(
        &[("hz", "5"), ("HZ", "6")],
        failed("HZ", "duplicate parameter"),
    );
    refused(
        &[("hz", "5"), ("PORT", "x")],
        failed("port", "argument couldn't be parsed into an integer"),
    );
    refused(
        &[("slave-priority", "-1")],
        failed(
            "slave-priority",
            "argument must be between 0 and 2147483647 inclusive",
        ),
    );
    refused(
        &[("save", "900  1")],
        failed("save", "Invalid save parameters"),
    );
    // The first problem is the one that is told.
    refused(
        &[("databases", "1"), ("x", "1")],
        failed("databases", "can't set immutable config"),
    );

    let loading = SetContext {
        loading: true,
        ..SetContext::default()
    };
    let result = config.set(&[(b"appendonly", b"yes")], loading, &mut |_| {
        panic!("not applied")
    });
    assert_eq!(
        result.unwrap_err().reply(),
        "LOADING Redis is loading the dataset in memory"
    );
    let result = config.set(&[(b"maxmemory", b"1")], SetContext::default(), &mut |_| {
        Err(ApplyError {
            arg: "maxmemory".to_owned(),
            reason: String::new(),
        })
    });
    assert_eq!(
        result.unwrap_err().reply(),
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory')"
    );
}

#[test]
fn protected_directives_follow_their_switch() {
    for (switch, local, allowed) in [
        ("no", true, false),
        ("local", false, false),
        ("local", true, true),
        ("yes", false, true),
    ] {
        let config = read(&format!("enable-protected-configs {switch}")).unwrap();
        let context = SetContext {
            client_is_local: local,
            loading: false,
        };
        let result = config.set(&[(b"dbfilename", b"x.rdb")], context, &mut |_| Ok(()));
        assert_eq!(result.is_ok(), allowed, "{switch} {local}");
    }
}

#[test]
fn set_applies_what_changed() {
    let config = Config::default();
    let mut seen = Vec::new();
    let pairs: &[(&[u8], &[u8])] = &[
        (b"slave-priority", b"7"),
        (b"hz", b"10"),
        (b"replica-priority", b"8"),
        (b"tls-ca-cert-dir", b""),
    ];
    let new = config.set(pairs, SetContext::default(), &mut |change| {
        seen.extend(change.changed.iter().map(|row| row.name));
        assert!(change.contains("replica-priority") && !change.contains("hz") && !change.rollback);
        Ok(())
    });
    // Both names may be set at once, the last one wins; a file name counts as changed even when it is the same.
    assert_eq!(new.unwrap().replica_priority, 8);
    assert_eq!(seen, ["replica-priority", "tls-ca-cert-dir"]);
    let mut directions = Vec::new();
    let result = config.set(
        &[(b"slave-priority", b"7")],
        SetContext::default(),
        &mut |change| {
            directions.push((
                change.old.replica_priority,
                change.new.replica_priority,
                change.rollback,
            ));
            Err(ApplyError {
                arg: "replica-priority".to_owned(),
                reason: "no".to_owned(),
            })
        },
    );
    assert_eq!(directions, [(100, 7, false), (7, 100, true)]);
    assert!(matches!(result, Err(SetError::Failed { arg, .. }) if arg == "slave-priority"));
    config
        .set(&[(b"hz", b"10")], SetContext::default(), &mut |_| {
            panic!("nothing changed")
        })
        .unwrap();
}
