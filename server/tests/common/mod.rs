//! A server process of its own for each test, and a client that shows replies as they are.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server; it ends with this.
pub struct Server {
    dir: TempDir,
    process: Child,
}

impl Server {
    /// Starts one without TCP, with these options after the common ones.
    pub fn start(options: &[&str]) -> Server {
        Server::start_with(&[], options)
    }

    /// Starts one with these words, such as a file, before the common options.
    pub fn start_with(first: &[&str], options: &[&str]) -> Server {
        let dir = TempDir::new().expect("a temporary directory");
        let process = Command::new(env!("CARGO_BIN_EXE_basalt-server"))
            .args(first)
            .args(["--port", "0", "--save", "", "--unixsocket", "socket"])
            .args(["--enable-debug-command", "yes"])
            .args(options)
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        Server { dir, process }
    }

    /// A new connection; waits until the server is there.
    pub fn client(&self) -> Client {
        let path = self.dir.path().join("socket");
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(error) if started.elapsed() > Duration::from_secs(20) => {
                    panic!("no server at {}: {error}", path.display())
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a valid time-out");
        Client {
            reader: BufReader::new(stream),
        }
    }

    /// Whether the process ends within some seconds.
    pub fn ends(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A line with its type: `+OK`, `-ERR ...`, `:1`, `,1.5`, `#t`, `_`.
    Line(String),
    /// A string.
    Bulk(String),
    /// `$-1` or `*-1`.
    Nil,
    /// An aggregate with its type; maps are flat.
    Many(char, Vec<Reply>),
}

impl Reply {
    /// The elements of an aggregate.
    pub fn items(&self) -> &[Reply] {
        match self {
            Reply::Many(_, items) => items,
            other => panic!("not an aggregate: {other:?}"),
        }
    }

    /// The text of a string, or a line without its type.
    pub fn text(&self) -> &str {
        match self {
            Reply::Bulk(text) => text,
            Reply::Line(line) => &line[1..],
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The number of an integer reply.
    pub fn int(&self) -> i64 {
        self.text().parse().expect("an integer")
    }

    /// An integer reply changed by so much.
    pub fn plus(&self, n: i64) -> Reply {
        Reply::Line(format!(":{}", self.int() + n))
    }

    /// The value after this name in a flat list of pairs.
    pub fn get(&self, name: &str) -> &Reply {
        let pairs = self.items().chunks_exact(2);
        let found = pairs.into_iter().find(|pair| pair[0].text() == name);
        &found.unwrap_or_else(|| panic!("no {name} in {self:?}"))[1]
    }
}

/// A connection.
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Sends a request given as a line; words are divided by spaces, `''` is an empty word.
    pub fn send(&mut self, line: &str) {
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| if word == "''" { "" } else { word })
            .collect();
        self.send_words(&words);
    }

    /// Sends a request.
    pub fn send_words(&mut self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let stream = self.reader.get_mut();
        stream.write_all(request.as_bytes()).expect("a connection");
    }

    /// Reads a reply; nothing when the connection is closed.
    pub fn receive(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        let line = line.strip_suffix("\r\n")?;
        let kind = line.chars().next()?;
        Some(match kind {
            '$' | '=' | '*' | '~' | '%' | '>' | '|' => {
                let Ok(size) = line[1..].parse::<usize>() else {
                    return Some(Reply::Nil);
                };
                if matches!(kind, '$' | '=') {
                    let mut bytes = vec![0; size + 2];
                    self.reader.read_exact(&mut bytes).ok()?;
                    bytes.truncate(size);
                    Reply::Bulk(String::from_utf8_lossy(&bytes).into_owned())
                } else {
                    let size = if matches!(kind, '%' | '|') {
                        size * 2
                    } else {
                        size
                    };
                    Reply::Many(
                        kind,
                        (0..size).map(|_| self.receive()).collect::<Option<_>>()?,
                    )
                }
            }
            _ => Reply::Line(line.to_owned()),
        })
    }

    /// Sends a request and reads its reply.
    pub fn ask(&mut self, line: &str) -> Reply {
        self.send(line);
        self.receive()
            .unwrap_or_else(|| panic!("no reply to {line}"))
    }

    /// The value of a field of INFO.
    pub fn info(&mut self, section: &str, field: &str) -> String {
        let text = self.ask(&format!("info {section}"));
        let mut lines = text.text().lines();
        let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value
            .unwrap_or_else(|| panic!("no {field} in {section}"))
            .to_owned()
    }
}
