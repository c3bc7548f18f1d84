//! Replies, events and what is logged, as Redis 7.2.4 gives them.

use crate::testing::Client;

fn sicily() -> Client {
    let mut c = Client::with_events();
    let places = "13.361389 38.115556 Palermo 15.087269 37.502669 Catania";
    assert_eq!(c.run(&format!("GEOADD Sicily {places}")), ":2\r\n");
    let edges = "12.758489 38.788135 edge1 17.241510 38.788135 edge2";
    assert_eq!(c.run(&format!("GEOADD Sicily {edges}")), ":2\r\n");
    c.events();
    c
}

/// The words of a reply without its framing.
fn said(c: &mut Client, line: &str) -> String {
    let reply = c.run(line);
    let words = reply
        .lines()
        .filter(|line| !line.starts_with(['*', '$']) || line.starts_with("$-1"));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn geoadd_is_logged_as_zadd() {
    let mut c = Client::with_events();
    let log = c.record_log();
    let line = "GEOADD g CH 13.361389 38.115556 a 15.087269 37.502669 b";
    assert_eq!(c.run(line), ":2\r\n");
    assert_eq!(c.run(line), ":0\r\n");
    assert_eq!(c.run("GEOADD g XX 1 1 c"), ":0\r\n");
    assert_eq!(c.run("GEOADD g nx 1 1 a"), ":0\r\n");
    assert_eq!(c.run("GEOADD g ch xx 15.087269 37.502669 a"), ":1\r\n");
    assert_eq!(
        log.take(),
        [
            "zadd g CH 3479099956230698 a 3479447370796909 b",
            "zadd g ch xx 3479447370796909 a"
        ]
    );
    assert_eq!(c.events(), ["new g", "zadd g", "zadd g"]);
}

#[test]
fn distances_hashes_and_positions() {
    let mut c = sicily();
    for (line, expected) in [
        ("GEODIST Sicily Palermo Catania", "166274.1516"),
        ("GEODIST Sicily Palermo Catania KM", "166.2742"),
        ("GEODIST Sicily Palermo Palermo", "0.0000"),
        ("GEODIST Sicily Palermo None", "$-1"),
        ("GEODIST none a b", "$-1"),
        (
            "GEOHASH Sicily Palermo Catania none",
            "sqc8b49rny0 sqdtr74hyu0 $-1",
        ),
        (
            "GEOPOS Sicily Palermo",
            "13.36138933897018433 38.11555639549629859",
        ),
    ] {
        assert_eq!(said(&mut c, line), expected, "{line}");
    }
    assert_eq!(c.run("GEOPOS Sicily none"), "*1\r\n*-1\r\n");
    assert_eq!(c.run("GEOHASH none a b"), "*2\r\n$-1\r\n$-1\r\n");
    c.session.resp = 3;
    assert_eq!(
        c.run("GEOPOS Sicily Palermo none"),
        "*2\r\n*2\r\n,13.36138933897018433\r\n,38.11555639549629859\r\n_\r\n"
    );
}

#[test]
fn searches_find_what_redis_finds() {
    let mut c = sicily();
    for (line, expected) in [
        (
            "GEORADIUS Sicily 15 37 200 km WITHDIST WITHCOORD WITHHASH",
            "Palermo 190.4424 :3479099956230698 13.36138933897018433 38.11555639549629859 \
             Catania 56.4413 :3479447370796909 15.08726745843887329 37.50266842333162032",
        ),
        (
            "GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST",
            "Catania 56.4413 Palermo 190.4424 edge2 279.7403 edge1 279.7405",
        ),
        (
            "GEOSEARCH Sicily FROMMEMBER Palermo BYRADIUS 200 km DESC COUNT 2",
            "Catania edge1",
        ),
        (
            "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 300 km COUNT 1",
            "Catania",
        ),
        (
            "GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 300 km COUNT 1 ANY",
            "Palermo",
        ),
        ("GEORADIUSBYMEMBER_RO Sicily Catania 0 m", "Catania"),
        ("GEORADIUSBYMEMBER none x y z", ""),
        ("GEOSEARCH none FROMMEMBER x BYRADIUS 1 m", ""),
    ] {
        assert_eq!(said(&mut c, line), expected, "{line}");
    }
}

#[test]
fn results_are_stored() {
    let mut c = sicily();
    let log = c.record_log();
    c.run("SET d x EX 100");
    c.events();
    let line = "GEOSEARCHSTORE d Sicily FROMLONLAT 15 37 BYBOX 400 400 km STOREDIST";
    assert_eq!(c.run(line), ":4\r\n");
    assert_eq!(
        said(&mut c, "ZRANGE d 0 -1 WITHSCORES"),
        "Catania 56.4412578701582 Palermo 190.44242984775784 \
         edge2 279.7403417843143 edge1 279.7404521356343"
    );
    assert_eq!(c.run("TTL d"), ":-1\r\n");
    assert_eq!(c.run("OBJECT ENCODING d"), "$8\r\nlistpack\r\n");
    assert_eq!(c.run("GEORADIUS Sicily 15 37 200 km STORE d"), ":2\r\n");
    assert_eq!(
        said(&mut c, "ZRANGE d 0 -1 WITHSCORES"),
        "Palermo 3479099956230698 Catania 3479447370796909"
    );
    assert_eq!(c.events(), ["geosearchstore d", "georadiusstore d"]);
    assert_eq!(c.run("GEORADIUS Sicily 0 0 1 km STORE d"), ":0\r\n");
    assert_eq!(c.run("GEORADIUS none 0 0 1 km STORE d"), ":0\r\n");
    assert_eq!(c.events(), ["del d", "keymiss none"]);
    assert_eq!(log.take().len(), 4);
}

#[test]
fn places_at_the_same_point_stand_as_redis_sorts_them() {
    let mut c = Client::new();
    for i in 0..12 {
        c.run(&format!("GEOADD g {} 10 m{i}", 10 + i % 2));
    }
    let line = "GEOSEARCH g FROMLONLAT 10 10 BYRADIUS 1000 km ASC COUNT";
    assert_eq!(said(&mut c, &format!("{line} 4")), "m10 m2 m4 m6");
    assert_eq!(
        said(&mut c, &format!("{line} 9")),
        "m10 m2 m4 m6 m8 m0 m9 m1 m11"
    );
}

#[test]
fn faults_in_words() {
    let mut c = sicily();
    for (line, error) in [
        (
            "GEOADD g 200 100 x",
            "invalid longitude,latitude pair 200.000000,100.000000",
        ),
        (
            "GEOADD g 0 inf x",
            "invalid longitude,latitude pair 0.000000,inf",
        ),
        ("GEOADD g x 0 a", "value is not a valid float"),
        ("GEOADD g NX XX 0 0 a", "syntax error"),
        ("GEOADD g ch 1 2 a 3", "syntax error"),
        ("GEOADD g nx xx ch", "syntax error"),
        (
            "GEODIST Sicily a b c",
            "unsupported unit provided. please use M, KM, FT, MI",
        ),
        ("GEODIST Sicily a b m m", "syntax error"),
        (
            "GEOSEARCH Sicily FROMLONLAT 0 0 ASC DESC",
            "exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        ),
        (
            "geoSearch Sicily BYRADIUS 1 m ASC DESC",
            "exactly one of FROMMEMBER or FROMLONLAT can be specified for geoSearch",
        ),
        (
            "GEOSEARCHSTORE d Sicily FROMLONLAT 0 0 BYBOX 1 1 m WITHDIST",
            "GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        (
            "GEORADIUS Sicily 0 0 1 m STORE d WITHDIST",
            "STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        ("GEORADIUS_RO Sicily 0 0 1 m STORE d", "syntax error"),
    ] {
        assert_eq!(c.run(line), format!("-ERR {error}\r\n"), "{line}");
    }
    for (words, error) in [
        (
            "FROMLONLAT 0 0 BYRADIUS 1 m ANY",
            "the ANY argument requires COUNT argument",
        ),
        ("FROMLONLAT 0 0 BYRADIUS 1 m COUNT 0", "COUNT must be > 0"),
        ("FROMLONLAT 0 0 BYRADIUS -1 m", "radius cannot be negative"),
        ("FROMLONLAT 0 0 BYRADIUS x m", "need numeric radius"),
        ("FROMLONLAT 0 0 BYBOX x 1 m", "need numeric width"),
        ("FROMLONLAT 0 0 BYBOX 1 x m", "need numeric height"),
        (
            "FROMLONLAT 0 0 BYBOX -1 1 m",
            "height or width cannot be negative",
        ),
        (
            "FROMMEMBER x BYBOX 1 1 m",
            "could not decode requested zset member",
        ),
        (
            "FROMLONLAT 0 0 FROMMEMBER Palermo BYRADIUS 1 m",
            "syntax error",
        ),
        ("FROMLONLAT 0 0 BYRADIUS 1 m BYBOX 1 1 m", "syntax error"),
        ("FROMLONLAT 0 0 BYRADIUS 1 m STORE d", "syntax error"),
    ] {
        let line = format!("GEOSEARCH Sicily {words}");
        assert_eq!(c.run(&line), format!("-ERR {error}\r\n"), "{line}");
    }
    c.run("SET s x");
    for line in [
        "GEOADD s 0 0 a",
        "GEOPOS s",
        "GEOHASH s",
        "GEODIST s a b",
        "GEORADIUS s x y z m",
    ] {
        assert!(c.run(line).starts_with("-WRONGTYPE "), "{line}");
    }
}

/// Any double may be the score of a member.
#[test]
fn strange_scores_do_no_harm() {
    let mut c = Client::new();
    c.run("ZADD z inf a -inf b 1e300 c -1 d 0.5 e 1e19 f");
    assert!(c.run("GEOPOS z a b c d e f").starts_with("*6\r\n*2\r\n"));
    assert!(c.run("GEOHASH z a b c d e f").starts_with("*6\r\n$11\r\n"));
    for from in [
        "FROMMEMBER a",
        "FROMMEMBER d",
        "FROMLONLAT 180 85.05112878",
        "FROMLONLAT -180 -85",
    ] {
        for shape in [
            "BYRADIUS inf km",
            "BYRADIUS 1e308 mi",
            "BYRADIUS 1e-320 m",
            "BYBOX inf inf km",
            "BYBOX 0 1e300 ft",
        ] {
            for rest in ["", " COUNT 2 ANY", " DESC COUNT 3 WITHDIST WITHHASH"] {
                let reply = c.run(&format!("GEOSEARCH z {from} {shape}{rest}"));
                assert!(reply.starts_with('*'), "{reply}");
            }
        }
    }
}

/// The example of the documentation.
#[test]
fn places_in_a_polygon() {
    let mut c = Client::new();
    c.run("GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
    c.run("GEOADD Sicily 12.758489 38.788135 edge1 17.241510 38.788135 edge2");
    let corners = "12.41098696654226 38.05033923003755 15.107936245794182 38.00616649901906 \
                   18.148439288534455 38.63804787603499 17.80831874257693 39.50316813110968 \
                   12.458468633214036 38.57719533463012";
    let line = format!("GEOSEARCH Sicily BYPOLYGON 5 {corners} ASC WITHDIST");
    assert_eq!(
        c.run(&line),
        "*2\r\n*2\r\n$7\r\nPalermo\r\n$11\r\n166482.0159\r\n\
         *2\r\n$5\r\nedge2\r\n$11\r\n180861.7725\r\n"
    );
    assert_eq!(
        c.run(&format!("GEOSEARCHSTORE d Sicily BYPOLYGON 5 {corners}")),
        ":2\r\n"
    );
    for line in [
        "GEOSEARCH Sicily FROMLONLAT 15 37 BYPOLYGON 3 0 0 1 0 1 1",
        "GEOSEARCH Sicily BYPOLYGON 3 0 0 1 0 1 1 FROMMEMBER Palermo",
        "GEOSEARCH Sicily BYPOLYGON 3 0 0 1 0 1 1 BYBOX 1 1 m",
        "GEOSEARCH Sicily BYPOLYGON 9223372036854775807 0 0 1 0 1 1",
        "GEOSEARCH Sicily BYPOLYGON 4 0 0 1 0 1 1 ASC",
    ] {
        assert_eq!(c.run(line), "-ERR syntax error\r\n", "{line}");
    }
    assert_eq!(
        c.run("GEOSEARCH Sicily BYPOLYGON 2 0 0 1 0 1 1"),
        "-ERR a polygon must have at least 3 vertices\r\n"
    );
    assert!(
        c.run("GEOSEARCH Sicily BYPOLYGON 3 0 0 1 0 500 1")
            .starts_with("-ERR invalid longitude,latitude pair")
    );
}
