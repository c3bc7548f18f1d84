//! Connections to servers that MIGRATE handed keys to, kept for a while.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use basalt_engine::ReplyError;
use basalt_formats::num;
use parking_lot::Mutex;

/// Longest line of a reply that is read.
const MAX_LINE: u64 = 1024;
/// How many connections are kept.
const MOST: usize = 64;
/// For how long one is kept that is not used.
const IDLE: Duration = Duration::from_secs(10);

/// A failure of the exchange with the other server, as the client is told.
pub(super) fn io_error(doing: &str) -> ReplyError {
    ReplyError::raw(format!("IOERR error or timeout {doing} to target instance"))
}

/// A connection to another server.
#[derive(Debug)]
pub struct Link {
    stream: BufReader<TcpStream>,
    /// The database it is in, once known.
    pub(super) db: Option<i64>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Redis learns of a refused connection, or one that does not come about in time, when it
    /// writes, and says so; a port that is no number is one where nobody listens.
    pub(super) fn connect(host: &[u8], port: &[u8], timeout: Duration) -> Result<Link, ReplyError> {
        let unknown = || ReplyError::raw("IOERR error or timeout connecting to the client");
        let host = std::str::from_utf8(host).map_err(|_| unknown())?;
        let port = num::atoi(port);
        if port < 0 {
            return Err(unknown());
        }
        let address = (host, u16::try_from(port).unwrap_or(0))
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
            .ok_or_else(unknown)?;
        let stream =
            TcpStream::connect_timeout(&address, timeout).map_err(|error| match error.kind() {
                io::ErrorKind::NetworkUnreachable => unknown(),
                _ => io_error("writing"),
            })?;
        stream.set_nodelay(true).map_err(|_| io_error("writing"))?;
        let link = Link {
            stream: BufReader::new(stream),
            db: None,
        };
        link.set_timeout(timeout).map_err(|_| io_error("writing"))?;
        Ok(link)
    }

    /// How long a read or a write may take from now on.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))
    }

    /// Sends these bytes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// One line of the other server, without its end.
    pub(super) fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.stream)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }
}

#[derive(Debug)]
struct Kept {
    host: Vec<u8>,
    port: Vec<u8>,
    link: Link,
    used: Instant,
}

/// The connections that are kept.
#[derive(Debug, Default)]
pub struct Links(Mutex<Vec<Kept>>);

impl Links {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one to this server, for its user alone until it is given back.
    pub(super) fn take(&self, host: &[u8], port: &[u8]) -> Option<Link> {
        let mut kept = self.0.lock();
        let at = kept
            .iter()
            .position(|kept| kept.host == host && kept.port == port)?;
        Some(kept.swap_remove(at).link)
    }

    /// Gives one back on which nothing is under way. One with unread bytes is of no use.
    pub(super) fn keep(&self, host: &[u8], port: &[u8], link: Link) {
        if !link.stream.buffer().is_empty() {
            return;
        }
        let mut kept = self.0.lock();
        if kept.len() >= MOST {
            let oldest = kept.iter().enumerate().min_by_key(|(_, kept)| kept.used);
            if let Some((at, _)) = oldest {
                kept.swap_remove(at);
            }
        }
        kept.push(Kept {
            host: host.to_vec(),
            port: port.to_vec(),
            link,
            used: Instant::now(),
        });
    }

    /// Closes those that were not used for long.
    pub fn close_idle(&self) {
        self.0.lock().retain(|kept| kept.used.elapsed() <= IDLE);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn link(port: u16) -> Link {
        let port = port.to_string();
        Link::connect(b"127.0.0.1", port.as_bytes(), IDLE).expect("somebody listens")
    }

    #[test]
    fn as_many_are_kept_as_may_be() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let links = Links::default();
        for name in 0..=MOST {
            links.keep(format!("h{name}").as_bytes(), b"1", link(port));
        }
        assert_eq!(links.len(), MOST);
        assert!(links.take(b"h0", b"1").is_none(), "the oldest went");
        assert!(links.take(b"h1", b"2").is_none(), "another port");
        assert!(links.take(b"h1", b"1").is_some());
        assert!(links.take(b"h1", b"1").is_none(), "it is in use");
    }

    #[test]
    fn one_with_unread_bytes_is_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let (links, mut link) = (Links::default(), link(port));
        let (mut peer, _) = listener.accept().expect("it came");
        peer.write_all(b"+OK\r\n+more\r\n").expect("sent");
        while link.line().expect("a line") != b"+OK" {}
        if link.stream.buffer().is_empty() {
            // The rest came in a piece of its own.
            link.stream.fill_buf().expect("the rest");
        }
        links.keep(b"h", b"1", link);
        assert!(links.is_empty());
    }
}
