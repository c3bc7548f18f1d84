//! The engine inside a program: no server, no sockets, no async.
//!
//! `cargo run -p basalt-engine --example embedded`

use std::time::{SystemTime, UNIX_EPOCH};

use basalt_engine::{Engine, Reply, Session};
use basalt_formats::resp::reply::{self, Reply as Value};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::new(16);
    let mut session = Session::new(1);
    session.resp = 3;

    let requests: &[&[&str]] = &[
        &["SET", "greeting", "hello", "EX", "60"],
        &["GET", "greeting"],
        &["HSET", "user:1", "name", "Ada", "born", "1815"],
        &["HGETALL", "user:1"],
        &["MULTI"],
        &["INCR", "visits"],
        &["INCR", "visits"],
        &["EXEC"],
        &["LPUSH", "greeting", "x"],
    ];
    for request in requests {
        let words: Vec<&[u8]> = request.iter().map(|word| word.as_bytes()).collect();
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let mut out = Reply::new(session.resp);
        // One call runs one request; the reply is RESP bytes in `out.buf`.
        engine.execute(&mut session, &words, &mut out, now_ms);
        match reply::parse(&out.buf)? {
            Some((value, _)) => println!("{:30} -> {}", request.join(" "), show(&value)),
            None => println!("{:30} -> (incomplete)", request.join(" ")),
        }
    }
    println!("keys in database 0: {}", engine.key_count(0));
    Ok(())
}

/// A reply for people to read.
fn show(value: &Value) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match value {
        Value::Simple(bytes) | Value::Bulk(bytes) => text(bytes),
        Value::Error(bytes) => format!("error: {}", text(bytes)),
        Value::Integer(n) => n.to_string(),
        Value::Array(items) => items.iter().map(show).collect::<Vec<_>>().join(", "),
        Value::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| format!("{} = {}", show(key), show(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => format!("{other:?}"),
    }
}
