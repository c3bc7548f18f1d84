//! Commands about the server, over a socket.

mod admin_table;
mod common;

use common::{Reply, Server};

fn sorted(reply: &Reply) -> String {
    let mut names: Vec<&str> = reply.items().iter().map(Reply::text).collect();
    names.sort_unstable();
    names.join(" ")
}

/// Facts of the command table of Valkey 8.1, and the legacy key range that Redis derives from
/// key specs.
#[test]
fn commands_are_described_as_in_valkey() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let tables = [
        include_str!("data/command_table.tsv"),
        include_str!("data/command_newer.tsv"),
    ];
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let rows = lines.map(|line| line.split('\t').collect());
    let rows: Vec<Vec<&str>> = rows.collect();
    let names = client.ask("command list");
    assert!(names.items().len() > 200);
    // What no Valkey has.
    let own = ["backup"];
    let names = names.items().iter().map(Reply::text);
    for name in names.filter(|name| !own.contains(&name.split('|').next().unwrap_or_default())) {
        let row = rows.iter().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("{name} is in no table"));
        let reply = client.ask(&format!("command info {name}"));
        let facts = reply.items()[0].items();
        let told = [
            facts[0].text().to_owned(),
            facts[1].int().to_string(),
            sorted(&facts[2]),
            facts[3].int().to_string(),
            facts[4].int().to_string(),
            facts[5].int().to_string(),
            sorted(&facts[6]),
        ];
        assert_eq!(told.as_slice(), row.as_slice(), "{name}");
    }
}

#[test]
fn command_subcommands() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let all = client.ask("command");
    assert_eq!(
        client.ask("command count").int() as usize,
        all.items().len()
    );
    assert_eq!(client.ask("command info").items().len(), all.items().len());
    let unknown = client.ask("command info get nosuch config|get get|x");
    assert_eq!(unknown.items()[1], Reply::Nil);
    assert_eq!(unknown.items()[2].items()[0].text(), "config|get");
    assert_eq!(unknown.items()[3], Reply::Nil);
    let docs = client.ask("command docs set nosuch config");
    assert_eq!(docs.items().len(), 4);
    let set = docs.get("set");
    assert_eq!(set.get("group").text(), "string");
    assert_eq!(
        set.get("arguments").items()[0].get("key_spec_index").int(),
        0
    );
    let subcommands = docs.get("config").get("subcommands");
    assert_eq!(subcommands.get("config|get").get("since").text(), "2.0.0");
    for (line, reply) in [
        ("command getkeys mset a 1 b 2", "a b"),
        ("command list filterby pattern hse?", "hset"),
        ("command list filterby aclcat nosuch", ""),
        ("command list filterby module any", ""),
    ] {
        assert_eq!(sorted(&client.ask(line)), reply, "{line}");
    }
    let flags = client.ask("command getkeysandflags set k v");
    assert_eq!(flags.items()[0].items()[0].text(), "k");
    assert_eq!(sorted(&flags.items()[0].items()[1]), "OW update");
    for (line, error) in [
        ("command getkeys nosuch", "Invalid command specified"),
        ("command getkeys ping", "The command has no key arguments"),
        (
            "command getkeys get",
            "Invalid number of arguments specified for command",
        ),
        ("command list nonsense", "syntax error"),
    ] {
        assert_eq!(
            client.ask(line),
            Reply::Line(format!("-ERR {error}")),
            "{line}"
        );
    }
}

#[test]
fn config_get_and_set() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.ask("hello 3");
    let map = client.ask("config get maxmemory-s*");
    assert!(matches!(&map, Reply::Many('%', items) if items.len() == 2));
    assert_eq!(client.ask("config set hz 20 maxmemory 1mb").text(), "OK");
    assert_eq!(
        client.ask("config get maxmemory").get("maxmemory").text(),
        "1048576"
    );
    for (line, error) in [
        (
            "config set hz",
            "wrong number of arguments for 'config|set' command",
        ),
        ("config set hz 20 port", "syntax error"),
        (
            "config set nosuch 1",
            "Unknown option or number of arguments for CONFIG SET - 'nosuch'",
        ),
        (
            "config set databases 2",
            "CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
        ),
        (
            "config rewrite",
            "The server is running without a config file",
        ),
        (
            "config nosuch",
            "unknown subcommand 'nosuch'. Try CONFIG HELP.",
        ),
    ] {
        assert_eq!(
            client.ask(line),
            Reply::Line(format!("-ERR {error}")),
            "{line}"
        );
    }
    assert_eq!(client.ask("config help").items()[1].text(), "GET <pattern>");
}

#[test]
fn config_rewrite_keeps_what_was_set() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "# mine\nmaxclients 100\n").expect("it can be written");
    let path = file.path().to_str().expect("a plain path").to_owned();
    // The file has to come first.
    let server = Server::start_with(&[&path], &[]);
    let mut client = server.client();
    client.ask("config set maxclients 123");
    assert_eq!(client.ask("config rewrite").text(), "OK");
    let text = std::fs::read_to_string(file.path()).expect("it can be read");
    assert!(text.contains("# mine\nmaxclients 123\n"), "{text}");
}

#[test]
fn resetstat_and_counters() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.ask("set k v");
    client.ask("get k");
    client.ask("get missing");
    client.ask("lpush k x");
    assert_eq!(client.info("stats", "keyspace_hits"), "1");
    assert_eq!(client.info("stats", "keyspace_misses"), "1");
    assert_eq!(client.info("errorstats", "errorstat_WRONGTYPE"), "count=1");
    assert!(
        client
            .info("commandstats", "cmdstat_lpush")
            .ends_with("failed_calls=1")
    );
    assert_eq!(
        client.info("persistence", "rdb_changes_since_last_save"),
        "1"
    );
    client.ask("config resetstat");
    assert_eq!(client.info("stats", "keyspace_hits"), "0");
    assert_eq!(client.info("stats", "total_error_replies"), "0");
    assert_eq!(client.ask("info errorstats").text(), "# Errorstats\r\n");
    assert_eq!(
        client.info("persistence", "rdb_changes_since_last_save"),
        "1"
    );
}

#[test]
fn info_inside_a_transaction_that_holds_locks() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for line in [
        "multi",
        "set k v",
        "info",
        "config resetstat",
        "debug digest",
    ] {
        client.ask(line);
    }
    let replies = client.ask("exec");
    assert!(
        replies.items()[1]
            .text()
            .contains("db0:keys=1,expires=0,avg_ttl=0")
    );
    assert_eq!(replies.items()[2].text(), "OK");
}

#[test]
fn info_sections() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let titles = |reply: Reply| -> Vec<String> {
        let lines = reply
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("# "));
        lines.map(str::to_owned).collect()
    };
    let default = titles(client.ask("info"));
    let words = "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace";
    assert_eq!(default.join(" "), words);
    assert_eq!(titles(client.ask("info default")), default);
    assert_eq!(titles(client.ask("info all")).len(), 13);
    assert_eq!(titles(client.ask("info everything")).len(), 13);
    assert_eq!(titles(client.ask("info KEYSPACE cpu")), ["CPU", "Keyspace"]);
    assert_eq!(client.ask("info nosuch").text(), "");
    assert_eq!(client.info("server", "redis_version"), "7.2.4");
    assert!(
        client
            .info("memory", "used_memory_human")
            .ends_with(['K', 'M'])
    );
}

/// Names in the order of Redis 7.2.4; what this server adds is left out.
#[test]
fn info_fields_are_those_of_redis() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let golden = include_str!("data/info_fields.txt");
    let text = client.ask("info everything");
    let own = [
        "valkey_version",
        "server_name",
        "basalt_version",
        "expired_fields",
        "evicted_scripts",
        "snapshot_extra_memory",
        "snapshot_extra_memory_peak",
        "snapshot_extra_memory_limit",
        "snapshot_cut_us",
        "snapshot_longest_stall_us",
        "snapshot_slots_captured_by_writers",
        "snapshot_slots_encoded_by_writers",
        "snapshot_writes_delayed",
    ];
    let told = text
        .text()
        .lines()
        .filter_map(|line| match line.split_once(':') {
            Some((name, _)) if own.contains(&name) => None,
            Some((name, _)) if name.starts_with("cmdstat_") || name.starts_with("latency_") => None,
            Some((name, _)) => Some(name),
            None => line.starts_with("# ").then_some(line),
        });
    let told: Vec<&str> = told.collect();
    assert_eq!(told, golden.lines().collect::<Vec<_>>());
}

#[test]
fn slow_and_large_commands_are_logged_without_secrets() {
    let server = Server::start(&["--slowlog-log-slower-than", "0"]);
    let mut client = server.client();
    client.ask("slowlog reset");
    client.ask("config set requirepass secret");
    let newest = client.ask("slowlog get 1");
    let words = newest.items()[0].items()[3].items();
    assert_eq!(words[3].text(), "(redacted)");
    assert_eq!(
        client.ask("slowlog len"),
        client.ask("commandlog len slow").plus(-1)
    );
    client.ask("config set commandlog-request-larger-than 1000 commandlog-reply-larger-than 1000");
    client.ask(&format!("set big {}", "x".repeat(2000)));
    client.ask("get big");
    let request = client.ask("commandlog get -1 large-request");
    let entry = request.items()[0].items();
    // *3 $3 set $3 big $2000 ...
    assert_eq!(entry[2].int(), 4 + 9 + 9 + 7 + 2002);
    assert!(
        entry[3].items()[2]
            .text()
            .ends_with("... (1872 more bytes)")
    );
    let reply = client.ask("commandlog get 5 large-reply");
    assert_eq!(reply.items()[0].items()[3].items()[0].text(), "get");
    assert_eq!(client.ask("commandlog reset large-reply").text(), "OK");
    assert_eq!(client.ask("commandlog len large-reply").int(), 0);
    for (line, error) in [
        (
            "slowlog get -2",
            "count should be greater than or equal to -1",
        ),
        (
            "commandlog len x",
            "type should be one of the following: slow, large-request, large-reply",
        ),
    ] {
        assert_eq!(
            client.ask(line),
            Reply::Line(format!("-ERR {error}")),
            "{line}"
        );
    }
}

#[test]
fn latency_of_a_slow_command() {
    let server = Server::start(&["--latency-monitor-threshold", "20"]);
    let mut client = server.client();
    assert!(
        client
            .ask("latency doctor")
            .text()
            .contains("No latency spike")
    );
    client.ask("debug sleep 0.05");
    let latest = client.ask("latency latest");
    let event = latest.items()[0].items();
    assert_eq!(event[0].text(), "command");
    assert!(event[2].int() >= 50 && event[2] == event[3]);
    assert_eq!(client.ask("latency history command").items().len(), 1);
    assert!(
        client
            .ask("latency graph command")
            .text()
            .starts_with("command - high ")
    );
    assert_eq!(
        client.ask("latency graph nosuch").text(),
        "ERR No samples available for event 'nosuch'"
    );
    let histogram = client.ask("latency histogram debug");
    assert_eq!(histogram.get("debug").get("calls").int(), 1);
    assert_eq!(
        histogram.get("debug").get("histogram_usec").items()[0].int(),
        67_633
    );
    assert_eq!(client.ask("latency reset nosuch command").int(), 1);
    assert_eq!(client.ask("latency latest").items().len(), 0);
}

#[test]
fn memory_of_keys_and_server() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.ask(&format!("set big {}", "x".repeat(100_000)));
    let usage = client.ask("memory usage big samples 0").int();
    assert!((100_000..140_000).contains(&usage), "{usage}");
    assert_eq!(client.ask("memory usage missing"), Reply::Nil);
    assert_eq!(
        client.ask("memory usage big sample 1").text(),
        "ERR syntax error"
    );
    let stats = client.ask("memory stats");
    assert_eq!(stats.items().len(), 2 * 28);
    assert_eq!(stats.get("keys.count").int(), 1);
    assert_eq!(stats.get("db.0").items().len(), 6);
    assert_eq!(client.ask("memory purge").text(), "OK");
    assert!(
        client
            .ask("memory malloc-stats")
            .text()
            .contains("jemalloc")
    );
    assert!(!client.ask("memory doctor").text().is_empty());
}

#[test]
fn small_questions() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let time = client.ask("time");
    assert!(
        time.items()[0]
            .text()
            .parse::<i64>()
            .is_ok_and(|s| s > 1_600_000_000)
    );
    assert!(client.ask("lastsave").int() > 1_600_000_000);
    let role = client.ask("role");
    assert_eq!(
        (role.items()[0].text(), role.items()[1].int()),
        ("master", 0)
    );
    assert!(
        client
            .ask("lolwut version 5 10 3")
            .text()
            .ends_with("\nRedis ver. 7.2.4\n")
    );
    assert_eq!(client.ask("module list").items().len(), 0);
    assert_eq!(client.ask("function flush").text(), "OK");
    assert_eq!(client.ask("function list").items().len(), 0);
    assert_eq!(client.ask("script exists abc").items()[0].int(), 0);
    assert_eq!(
        client.ask("cluster info").text(),
        "ERR This instance has cluster support disabled"
    );
    assert_eq!(client.ask("acl whoami").text(), "default");
    assert_eq!(
        client.ask("acl list").items()[0].text(),
        "user default on nopass sanitize-payload ~* &* +@all"
    );
    assert_eq!(client.ask("acl genpass 5").text().len(), 2);
}

#[test]
fn shutdown_closes_the_connection_and_ends_the_process() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    let abort = client.ask("shutdown abort");
    assert_eq!(abort.text(), "ERR No shutdown in progress.");
    assert_eq!(
        client.ask("shutdown save nosave").text(),
        "ERR syntax error"
    );
    client.send("shutdown nosave");
    assert_eq!(client.receive(), None);
    assert!(server.ends());
}

/// Made by Redis 7.2.4 with the same commands.
#[test]
fn digests_are_those_of_redis() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let empty = client.ask("debug digest");
    assert_eq!(empty.text(), "0".repeat(40));
    for line in include_str!("data/digest_commands.txt").lines() {
        let (line, digest) = line.split_once('\t').expect("a command and a digest");
        client.ask(line);
        assert_eq!(client.ask("debug digest").text(), digest, "{line}");
    }
    let values = client.ask("debug digest-value s missing");
    assert_eq!(
        values.items()[0].text(),
        "b4fc66738120fba0b5aa500ab5c2bf89cea1c5da"
    );
    assert_eq!(values.items()[1].text(), "0".repeat(40));
}

#[test]
fn debug_subcommands() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(client.ask("debug populate 100 p 20").text(), "OK");
    assert_eq!(client.ask("dbsize").int(), 100);
    assert_eq!(client.ask("strlen p:7").int(), 20);
    assert!(
        client
            .ask("debug htstats 0")
            .text()
            .contains(" number of elements: 100\n")
    );
    let object = client.ask("debug object p:7");
    assert!(
        object
            .text()
            .contains(" refcount:1 encoding:embstr serializedlength:21 lru:")
    );
    assert_eq!(client.ask("debug error boom"), Reply::Line("-boom".into()));
    assert_eq!(
        client.ask("debug nosuch").text(),
        "ERR unknown subcommand or wrong number of arguments for 'nosuch'. Try DEBUG HELP."
    );
    assert_eq!(
        client.ask("debug quicklist-packed-threshold 5gb").text(),
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb"
    );
    client.ask("hello 3");
    assert_eq!(
        client.ask("debug protocol double"),
        Reply::Line(",3.141".into())
    );
    assert_eq!(client.ask("debug protocol true"), Reply::Line("#t".into()));
    assert_eq!(client.ask("debug protocol null"), Reply::Line("_".into()));
    assert!(matches!(
        client.ask("debug protocol map"),
        Reply::Many('%', _)
    ));
    assert!(matches!(client.ask("debug protocol push"), Reply::Bulk(_)));
    assert!(matches!(client.receive(), Some(Reply::Many('>', _))));
}

#[test]
fn active_expiry_can_be_stopped() {
    let server = Server::start(&["--hz", "100"]);
    let mut client = server.client();
    client.ask("debug set-active-expire 0");
    client.ask("set k v px 1");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(client.ask("dbsize").int(), 1);
    client.ask("debug set-active-expire 1");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(client.ask("dbsize").int(), 0);
    assert_eq!(client.info("stats", "expired_keys"), "1");
}

#[test]
fn debug_needs_permission() {
    let server = Server::start(&["--enable-debug-command", "no"]);
    let reply = server.client().ask("debug digest");
    assert!(
        reply.text().starts_with("ERR DEBUG command not allowed."),
        "{reply:?}"
    );
}

#[test]
fn crashes_end_the_process() {
    for kind in ["segfault", "panic", "oom", "assert"] {
        let mut server = Server::start(&[]);
        let mut client = server.client();
        client.send(&format!("debug {kind}"));
        assert_eq!(client.receive(), None, "{kind}");
        assert!(server.ends(), "{kind}");
    }
}
