//! `basalt backup`: has a running server make a backup, and waits until it is done.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::connection::{Address, Connection};
use super::{Failure, refuse};
use crate::tool::SUCCESS;

/// How often the server is asked how far it is.
const POLL: Duration = Duration::from_millis(200);

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

impl Connection {
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
    let address = match &args.socket {
        Some(path) => Address::Unix(path.clone()),
        None => Address::Tcp(args.host.clone(), args.port),
    };
    let mut server = Connection::open(&address, args.user.as_deref())?;
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
