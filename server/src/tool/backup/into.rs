//! Restoring into a running server: by RESTORE, key by key, as any server takes it that reads RDB 11.
//!
//! The backup is read twice. The first time it is proven, and the server is asked whether it has any of the keys; only then
//! the second time sends them. Each object's hash is compared both times.

use std::fmt;

use basalt_backup::job::JobError;
use basalt_backup::job::each::each_chunk;
use basalt_backup::job::join::Wanted;
use basalt_backup::repo::Chunk;
use basalt_formats::rdb::file::{FileReader, KeyRecord, Record};
use basalt_formats::rdb::seal_payload;
use basalt_formats::resp::reply::Reply;

use super::Failure;
use super::connection::{Address, Connection};
use crate::backup::drill::Drill;
use crate::backup::restore::{Opened, Tick};

/// Bytes that are sent before replies are read.
const BATCH_BYTES: usize = 1 << 20;

/// A running server.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// A running server to restore into, or the path of its Unix socket; the password is that in REDISCLI_AUTH
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "to")]
    into: Option<String>,
    /// The user there
    #[arg(long, requires = "into")]
    user: Option<String>,
    /// Replace keys that are there; otherwise one of them is an error, and nothing is changed
    #[arg(long, requires = "into")]
    replace: bool,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.into.as_deref().unwrap_or_default())
    }
}

impl Target {
    fn connect(&self) -> Result<Connection, Failure> {
        let place = self.into.as_deref().unwrap_or_default();
        if place.contains('/') {
            return Connection::open(&Address::Unix(place.into()), self.user.as_deref());
        }
        let (host, port) = place
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
            .ok_or_else(|| format!("'{place}' is not HOST:PORT"))?;
        Connection::open(&Address::Tcp(host, port), self.user.as_deref())
    }
}

/// What was restored.
pub(super) struct Done {
    pub(super) keys: u64,
    pub(super) bytes: u64,
    pub(super) effects: Option<u64>,
}

/// A connection and the database it is in.
struct Sender {
    connection: Connection,
    db: u64,
}

impl Sender {
    fn to(target: &Target) -> Result<Sender, Failure> {
        Ok(Sender {
            connection: target.connect()?,
            db: 0,
        })
    }

    /// Counts the keys of an RDB file that are wanted, and asks whether they are in the way.
    fn look(
        &mut self,
        target: &Target,
        rdb: &[u8],
        name: &str,
        has: &dyn Fn(u64, &[u8]) -> bool,
        keys: &mut u64,
    ) -> Result<(), Failure> {
        let mut there = None;
        each(name, rdb, |db, record| {
            if !has(db, &record.key) {
                return Ok(());
            }
            *keys += 1;
            if target.replace {
                return Ok(());
            }
            self.select(db);
            if self.connection.queue(&[b"EXISTS", &record.key]) > BATCH_BYTES {
                self.connection.settle(|reply| note(reply, &mut there))?;
            }
            Ok(())
        })?;
        self.connection.settle(|reply| note(reply, &mut there))?;
        if there.is_some() {
            return Err(
                "the server has some of these keys already: --replace replaces them".into(),
            );
        }
        Ok(())
    }

    /// Sends the keys of an RDB file that are wanted; counts their bytes.
    fn send(
        &mut self,
        target: &Target,
        rdb: &[u8],
        name: &str,
        has: &dyn Fn(u64, &[u8]) -> bool,
        bytes: &mut u64,
    ) -> Result<(), Failure> {
        each(name, rdb, |db, record| {
            if !has(db, &record.key) {
                return Ok(());
            }
            self.select(db);
            let mut value = vec![record.kind.byte()];
            value.extend_from_slice(record.body);
            let payload = seal_payload(value);
            *bytes += payload.len() as u64;
            let expires = record.expire_ms.unwrap_or(0).to_string();
            let mut words: Vec<&[u8]> = vec![
                b"RESTORE".as_slice(),
                record.key.as_ref(),
                expires.as_bytes(),
                payload.as_slice(),
            ];
            if record.expire_ms.is_some() {
                words.push(b"ABSTTL");
            }
            if target.replace {
                words.push(b"REPLACE");
            }
            let frequency = record.freq.map(|freq| freq.to_string());
            let idle = record.idle_s.map(|idle| idle.to_string());
            if let Some(frequency) = &frequency {
                words.extend([b"FREQ".as_slice(), frequency.as_bytes()]);
            } else if let Some(idle) = &idle {
                words.extend([b"IDLETIME".as_slice(), idle.as_bytes()]);
            }
            if self.connection.queue(&words) > BATCH_BYTES {
                self.connection.settle(drop)?;
            }
            Ok(())
        })?;
        self.connection.settle(drop)
    }

    fn select(&mut self, db: u64) {
        if self.db != db {
            self.db = db;
            self.connection
                .queue(&[b"SELECT", db.to_string().as_bytes()]);
        }
    }
}

/// What is restored.
pub(super) struct Wish<'w> {
    /// Which keys; all if none are named.
    pub(super) wanted: Option<&'w Wanted<'w>>,
    /// The moment, if it is not that of the backup; none in it: the latest.
    pub(super) until_ms: Option<Option<i64>>,
    /// Prove only.
    pub(super) dry_run: bool,
}

impl Wish<'_> {
    fn has(&self, db: u64, key: &[u8]) -> bool {
        self.wanted.is_none_or(|wanted| wanted(db, key))
    }
}

/// Restores the keys in an RDB file that has been proven: all of them, or none if one is in the way.
pub(super) fn restore_file(
    rdb: &[u8],
    name: &str,
    target: &Target,
    dry_run: bool,
) -> Result<Done, Failure> {
    let mut sender = Sender::to(target)?;
    let (mut keys, mut bytes) = (0, 0);
    sender.look(target, rdb, name, &|_, _| true, &mut keys)?;
    if !dry_run {
        sender.send(target, rdb, name, &|_, _| true, &mut bytes)?;
    }
    Ok(Done {
        keys,
        bytes,
        effects: None,
    })
}

/// Restores what is wanted of a backup, and the log behind it up to the moment.
pub(super) fn restore_into(
    opened: &Opened<'_>,
    target: &Target,
    wish: &Wish<'_>,
    tick: Tick<'_>,
) -> Result<Done, Failure> {
    let mut sender = Sender::to(target)?;
    let has = |db: u64, key: &[u8]| wish.has(db, key);
    let mut done = Done {
        keys: 0,
        bytes: 0,
        effects: None,
    };
    // First proof, and whether there is anything in the way.
    let drill = Drill::new(&opened.manifest, &opened.key);
    let chunks: Vec<&Chunk> = opened.manifest.chunks.iter().collect();
    let (store, identities) = (opened.store, opened.identities);
    let prove = |chunk: &Chunk, rdb: &[u8]| drill.chunk(chunk, rdb);
    each_chunk(store, &chunks, identities, &prove, |chunk, rdb| {
        tick(chunk.bytes / 2);
        sender.look(target, rdb, &chunk.object, &has, &mut done.keys)
    })?;
    drill.finish(&opened.manifest)?;
    if let Some(until_ms) = wish.until_ms {
        done.effects = Some(opened.log(until_ms, &mut std::io::sink())?);
        // Commands of the log change what is there.
        if let Some(line) = keyspace(&mut sender.connection)? {
            return Err(
                format!("a moment can only be restored into an empty server: {line}").into(),
            );
        }
    }
    if wish.dry_run {
        return Ok(done);
    }
    each_chunk(store, &chunks, identities, &|_, _| Ok(()), |chunk, rdb| {
        if wish.wanted.is_none() && chunk.functions > 0 {
            functions(&mut sender.connection, rdb, target.replace)?;
        }
        sender.send(target, rdb, &chunk.object, &has, &mut done.bytes)?;
        tick(chunk.bytes - chunk.bytes / 2);
        Ok::<(), Failure>(())
    })?;
    if let Some(until_ms) = wish.until_ms {
        let mut log = Vec::new();
        opened.log(until_ms, &mut log)?;
        sender.connection.raw(&log)?;
    }
    Ok(done)
}

/// Notes that a key is there.
fn note(reply: Reply, there: &mut Option<()>) {
    if reply == Reply::Integer(1) {
        *there = Some(());
    }
}

/// A line of INFO keyspace, if there are keys.
fn keyspace(connection: &mut Connection) -> Result<Option<String>, Failure> {
    let texts = connection.ask(&["INFO", "keyspace"])?;
    let mut lines = texts.iter().flat_map(|text| text.lines());
    Ok(lines.find(|line| line.starts_with("db")).map(str::to_owned))
}

/// Loads the function libraries.
fn functions(connection: &mut Connection, rdb: &[u8], replace: bool) -> Result<(), Failure> {
    let mut reader = FileReader::new(rdb)?;
    loop {
        match reader.next_record()? {
            Record::Function(code) if replace => {
                connection.queue(&[b"FUNCTION", b"LOAD", b"REPLACE", &code]);
            }
            Record::Function(code) => {
                connection.queue(&[b"FUNCTION", b"LOAD", &code]);
            }
            Record::Eof { .. } => return connection.settle(drop),
            _ => {}
        }
    }
}

/// Calls for each key of an RDB file.
fn each(
    name: &str,
    rdb: &[u8],
    mut call: impl FnMut(u64, KeyRecord<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let wrong = |error: &dyn fmt::Display| JobError::Content {
        name: name.to_owned(),
        reason: error.to_string(),
    };
    let mut reader = FileReader::new(rdb).map_err(|error| wrong(&error))?;
    let mut db = 0;
    loop {
        match reader.next_record().map_err(|error| wrong(&error))? {
            Record::SelectDb(number) => db = number,
            Record::Key(record) => call(db, record)?,
            Record::Eof { .. } => return Ok(()),
            _ => {}
        }
    }
}
