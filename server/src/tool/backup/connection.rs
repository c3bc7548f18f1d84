//! A connection of the tool to a server. The password is that in REDISCLI_AUTH.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use basalt_backup::job::archive;
use basalt_formats::resp::encode::{array, bulk};
use basalt_formats::resp::reply::{self, Reply};

use super::Failure;

/// How long one reply may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest reply that is read.
const MAX_REPLY: usize = 1 << 20;

/// Where a server is.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// Host and port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// A stream to a server.
trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// See the head of this file.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    bytes: Vec<u8>,
    /// Of `bytes`, what has been read.
    read: usize,
    /// Commands that have not been sent.
    unsent: Vec<u8>,
    /// Replies that are still to come.
    awaited: usize,
}

impl Connection {
    /// Connects, and says who it is.
    pub(super) fn open(address: &Address, user: Option<&str>) -> Result<Connection, Failure> {
        let limit = Some(PATIENCE);
        let stream: Box<dyn Stream> = match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                stream.set_read_timeout(limit)?;
                Box::new(stream)
            }
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .map_err(|error| format!("{host}:{port}: {error}"))?;
                stream.set_read_timeout(limit)?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        };
        let mut connection = Connection {
            stream: BufReader::new(stream),
            bytes: Vec::new(),
            read: 0,
            unsent: Vec::new(),
            awaited: 0,
        };
        if let Ok(password) = std::env::var("REDISCLI_AUTH") {
            connection.ask(&["AUTH", user.unwrap_or("default"), &password])?;
        }
        Ok(connection)
    }

    /// Puts a command behind those that are to be sent; how many bytes wait.
    pub(super) fn queue(&mut self, words: &[&[u8]]) -> usize {
        array(&mut self.unsent, words.len());
        words.iter().for_each(|word| bulk(&mut self.unsent, word));
        self.awaited += 1;
        self.unsent.len()
    }

    /// Sends what is queued and reads all replies. The first error ends it.
    pub(super) fn settle(&mut self, mut each: impl FnMut(Reply)) -> Result<(), Failure> {
        let unsent = std::mem::take(&mut self.unsent);
        self.stream.get_mut().write_all(&unsent)?;
        self.stream.get_mut().flush()?;
        while self.awaited > 0 {
            let found = self.reply()?;
            self.awaited -= 1;
            if let Reply::Error(bytes) = &found {
                return Err(String::from_utf8_lossy(bytes).into_owned().into());
            }
            each(found);
        }
        Ok(())
    }

    /// Sends commands as they are, from database 0, and reads as many replies as there are; an error ends it.
    pub(super) fn raw(&mut self, commands: &[u8]) -> Result<(), Failure> {
        self.ask(&["SELECT", "0"])?;
        let mut rest = commands;
        while !rest.is_empty() {
            let length = archive::command_bytes(rest).ok_or("the log holds no command")?;
            let (command, behind) = rest.split_at(length.min(rest.len()));
            rest = behind;
            self.unsent.extend_from_slice(command);
            self.awaited += 1;
            if self.unsent.len() > 1 << 20 {
                self.settle(drop)?;
            }
        }
        self.settle(drop)
    }

    /// The reply's strings in a row.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<Vec<String>, Failure> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.queue(&words);
        let mut texts = Vec::new();
        self.settle(|reply| flatten(&reply, &mut texts))?;
        Ok(texts)
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        loop {
            let unread = self.bytes.get(self.read..).unwrap_or_default();
            if let Some((found, used)) = reply::parse(unread)? {
                self.read += used;
                if self.read == self.bytes.len() {
                    self.bytes.clear();
                    self.read = 0;
                }
                return Ok(found);
            }
            self.bytes.drain(..self.read);
            self.read = 0;
            let mut part = [0; 16 * 1024];
            let count = self.stream.read(&mut part)?;
            if count == 0 || self.bytes.len() > MAX_REPLY {
                return Err("the server has closed the connection".into());
            }
            self.bytes
                .extend_from_slice(part.get(..count).unwrap_or_default());
        }
    }
}

fn flatten(found: &Reply, texts: &mut Vec<String>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match found {
        Reply::Simple(bytes) | Reply::Bulk(bytes) => texts.push(text(bytes)),
        Reply::Integer(number) => texts.push(number.to_string()),
        Reply::Array(items) => items.iter().for_each(|item| flatten(item, texts)),
        Reply::Map(pairs) => {
            for (key, value) in pairs {
                flatten(key, texts);
                flatten(value, texts);
            }
        }
        _ => texts.push(String::new()),
    }
}
