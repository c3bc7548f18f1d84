//! Starts the built server on a free port, and talks to it in bytes.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use basalt_formats::resp::reply::{self, Reply};
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server, killed when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    pub dir: TempDir,
}

/// A port nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Server {
    /// Starts a server with these options besides port and directory.
    pub fn start(options: &[&str]) -> Server {
        Server::start_by(
            |program, arguments| {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            },
            options,
        )
    }

    /// As `start`, with the command to run made by `prepare` from program and arguments.
    pub fn start_by(prepare: impl Fn(&str, &[String]) -> Command, options: &[&str]) -> Server {
        for _ in 0..10 {
            let (dir, port) = (TempDir::new().expect("a directory"), free_port());
            let log = fs::File::create(dir.path().join("log")).expect("a log file");
            let mut arguments: Vec<String> = ["--port", &port.to_string(), "--save", ""]
                .iter()
                .map(ToString::to_string)
                .collect();
            arguments.extend(["--dir".into(), dir.path().display().to_string()]);
            arguments.extend(options.iter().map(ToString::to_string));
            let child = prepare(env!("CARGO_BIN_EXE_basalt-server"), &arguments)
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a second handle"))
                .stderr(log)
                .spawn()
                .expect("the server starts");
            let mut server = Server { child, port, dir };
            if server.wait_ready() {
                return server;
            }
        }
        panic!("no server could be started");
    }

    fn wait_ready(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.log().contains("Ready to accept") {
                return true;
            }
            if self.child.try_wait().expect("its state").is_some() {
                // The port was taken in between.
                assert!(self.log().contains("Failed listening"), "{}", self.log());
                return false;
            }
            sleep(Duration::from_millis(5));
        }
        panic!("not ready: {}", self.log());
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let text = fs::read_to_string(path).expect("the process is there");
        let pages = text
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse::<u64>().ok());
        pages.expect("a number of pages") * 4096
    }

    /// A new connection.
    pub fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        Client::new(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that sends and expects bytes.
pub struct Client<S> {
    pub stream: S,
    unread: Vec<u8>,
}

/// The request made of these words.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Client<S> {
        Client {
            stream,
            unread: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sent");
    }

    /// Reads exactly these bytes.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let wanted = bytes.as_ref();
        while self.unread.len() < wanted.len() && self.fill() > 0 {}
        let shown = self.unread.len().min(wanted.len());
        assert_eq!(
            String::from_utf8_lossy(&self.unread[..shown]),
            String::from_utf8_lossy(wanted)
        );
        self.unread.drain(..shown);
    }

    /// Reads this many bytes, whatever they are.
    pub fn skip(&mut self, count: usize) {
        while self.unread.len() < count && self.fill() > 0 {}
        self.unread.drain(..count);
    }

    /// Sends a line and reads exactly these bytes.
    #[track_caller]
    pub fn ask(&mut self, line: &str, wanted: impl AsRef<[u8]>) {
        self.send(format!("{line}\r\n"));
        self.expect(wanted);
    }

    /// Sends a line and reads one reply.
    #[track_caller]
    pub fn call(&mut self, line: &str) -> Reply {
        self.send(format!("{line}\r\n"));
        self.read()
    }

    /// Sends a line and reads one reply as text.
    #[track_caller]
    pub fn text(&mut self, line: &str) -> String {
        text_of(&self.call(line))
    }

    /// One reply.
    #[track_caller]
    pub fn read(&mut self) -> Reply {
        loop {
            if let Some((reply, used)) = reply::parse(&self.unread).expect("a reply") {
                self.unread.drain(..used);
                return reply;
            }
            assert!(self.fill() > 0, "closed while a reply was due");
        }
    }

    /// The connection ends, and nothing comes before that.
    #[track_caller]
    pub fn expect_end(&mut self) {
        while self.fill() > 0 {}
        assert_eq!(String::from_utf8_lossy(&self.unread), "");
    }

    /// Nothing comes for a moment.
    #[track_caller]
    pub fn expect_nothing(&mut self)
    where
        S: Timed,
    {
        self.stream.limit(Duration::from_millis(150));
        let mut byte = [0; 64];
        let got = match self.stream.read(&mut byte) {
            Ok(n) => format!("{:?}", String::from_utf8_lossy(&byte[..n])),
            Err(_) => String::new(),
        };
        self.stream.limit(PATIENCE);
        assert_eq!(got, "");
        assert_eq!(String::from_utf8_lossy(&self.unread), "");
    }

    /// All bytes until the connection ends.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Reads what is there; 0 when the connection ended.
    fn fill(&mut self) -> usize {
        let mut chunk = [0; 64 * 1024];
        let n = match self.stream.read(&mut chunk) {
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!(
                "{error}; unread: {:?}",
                String::from_utf8_lossy(&self.unread)
            ),
        };
        self.unread.extend_from_slice(&chunk[..n]);
        n
    }
}

impl Client<TcpStream> {
    /// Sends no more.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shut down");
    }
}

/// Streams whose reads can be limited in time.
pub trait Timed {
    fn limit(&self, time: Duration);
}

impl Timed for TcpStream {
    fn limit(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("a time-out");
    }
}

/// The bytes of a string, status or error reply, or the digits of a number, as text.
pub fn text_of(reply: &Reply) -> String {
    match reply {
        Reply::Simple(bytes) | Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Reply::Error(bytes) => format!("-{}", String::from_utf8_lossy(bytes)),
        Reply::Verbatim { text, .. } => String::from_utf8_lossy(text).into_owned(),
        Reply::Integer(n) => n.to_string(),
        other => format!("{other:?}"),
    }
}

/// Runs `check` until it holds.
#[track_caller]
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// The value of a field in the line of CLIENT LIST.
pub fn field<'a>(line: &'a str, name: &str) -> &'a str {
    line.split_whitespace()
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no field {name} in {line}"))
}

/// The flags that CLIENT LIST shows of a client; empty while it is not listed.
pub fn flags(c: &mut Client<TcpStream>, id: u64) -> String {
    let line = c.text(&format!("CLIENT LIST ID {id}"));
    if line.is_empty() {
        line
    } else {
        field(&line, "flags").to_string()
    }
}
