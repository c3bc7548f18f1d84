//! `basalt backup`: has a running server make a backup, and waits until it is done.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use basalt_formats::resp::reply::{self, Reply};

use super::{Failure, refuse};
use crate::tool::SUCCESS;

/// How often the server is asked how far it is.
const POLL: Duration = Duration::from_millis(200);
/// How long one reply may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest reply that is read.
const MAX_REPLY: usize = 1 << 20;

/// The command line.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct Args {
    /// The server's address
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The server's port
    #[arg(long, default_value_t = 6379)]
    port: u16,
    /// The server's Unix socket instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "port"])]
    socket: Option<PathBuf>,
    /// The user; the password is that in REDISCLI_AUTH
    #[arg(long)]
    user: Option<String>,
    /// Return as soon as the backup has begun
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A stream to a server.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    bytes: Vec<u8>,
}

impl Connection {
    fn open(args: &Args) -> Result<Connection, Failure> {
        let limit = Some(PATIENCE);
        let stream: Box<dyn Stream> = match &args.socket {
            Some(path) => {
                let stream = UnixStream::connect(path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                stream.set_read_timeout(limit)?;
                Box::new(stream)
            }
            None => {
                let stream = TcpStream::connect((args.host.as_str(), args.port))
                    .map_err(|error| format!("{}:{}: {error}", args.host, args.port))?;
                stream.set_read_timeout(limit)?;
                Box::new(stream)
            }
        };
        let mut connection = Connection {
            stream: BufReader::new(stream),
            bytes: Vec::new(),
        };
        if let Ok(password) = std::env::var("REDISCLI_AUTH") {
            let user = args.user.as_deref().unwrap_or("default");
            connection.ask(&["AUTH", user, &password])?;
        }
        Ok(connection)
    }

    /// The reply's strings in a row.
    fn ask(&mut self, words: &[&str]) -> Result<Vec<String>, Failure> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.stream.get_mut().flush()?;
        loop {
            if let Some((found, used)) = reply::parse(&self.bytes)? {
                let mut texts = Vec::new();
                flatten(&found, &mut texts)?;
                self.bytes.drain(..used);
                return Ok(texts);
            }
            let mut part = [0; 4096];
            let count = self.stream.read(&mut part)?;
            if count == 0 || self.bytes.len() > MAX_REPLY {
                return Err("the server has closed the connection".into());
            }
            self.bytes
                .extend_from_slice(part.get(..count).unwrap_or_default());
        }
    }

    /// A field of BACKUP STATUS.
    fn status(&mut self) -> Result<impl Fn(&str) -> String + use<>, Failure> {
        let texts = self.ask(&["BACKUP", "STATUS"])?;
        Ok(move |name: &str| {
            let pairs = texts.chunks_exact(2);
            let mut found = pairs.filter(|pair| pair.first().is_some_and(|key| key == name));
            let value = found.next().and_then(|pair| pair.get(1));
            value.cloned().unwrap_or_default()
        })
    }
}

fn flatten(found: &Reply, texts: &mut Vec<String>) -> Result<(), Failure> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match found {
        Reply::Error(bytes) => return Err(text(bytes).into()),
        Reply::Simple(bytes) | Reply::Bulk(bytes) => texts.push(text(bytes)),
        Reply::Integer(number) => texts.push(number.to_string()),
        Reply::Array(items) => {
            for item in items {
                flatten(item, texts)?;
            }
        }
        Reply::Map(pairs) => {
            for (key, value) in pairs {
                flatten(key, texts)?;
                flatten(value, texts)?;
            }
        }
        _ => texts.push(String::new()),
    }
    Ok(())
}

pub(in crate::tool) fn run(
    args: &Args,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let done = match ask(args) {
        Ok(done) => done,
        Err(error) => return refuse(&error, args.json, out, err),
    };
    match done {
        None if args.json => writeln!(out, "{}", serde_json::json!({ "ok": true }))?,
        None => writeln!(out, "backup started")?,
        Some((id, keys)) if args.json => {
            let keys: u64 = keys.parse().unwrap_or(0);
            writeln!(
                out,
                "{}",
                serde_json::json!({ "ok": true, "id": id, "keys": keys })
            )?;
        }
        Some((id, keys)) => writeln!(out, "backup {id} done: {keys} keys")?,
    }
    Ok(SUCCESS)
}

fn ask(args: &Args) -> Result<Option<(String, String)>, Failure> {
    let mut server = Connection::open(args)?;
    let before = server.status()?("last-backup-ended-ms");
    server.ask(&["BACKUP", "NOW"])?;
    if args.no_wait {
        return Ok(None);
    }
    loop {
        std::thread::sleep(POLL);
        let status = server.status()?;
        if status("state") == "backup" || status("last-backup-ended-ms") == before {
            continue;
        }
        let error = status("last-backup-error");
        if !error.is_empty() {
            return Err(error.into());
        }
        return Ok(Some((status("last-id"), status("last-keys"))));
    }
}
