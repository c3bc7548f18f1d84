//! A server on a directory that outlives it, and a client that shows replies as text.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running server, killed when dropped.
pub struct Server {
    child: Child,
    log: std::path::PathBuf,
    socket: std::path::PathBuf,
}

impl Server {
    /// Starts one on the files of `dir` without waiting for it.
    pub fn launch(dir: &Path, options: &[&str]) -> Server {
        Server::launch_armed(dir, options, "")
    }

    /// The same with failpoints.
    pub fn launch_armed(dir: &Path, options: &[&str], failpoints: &str) -> Server {
        let log = dir.join("log");
        // Each start has a log of its own.
        let file = fs::File::create(&log).expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_basalt-server"))
            .args(["--port", "0", "--save", "", "--unixsocket", "socket"])
            .args(["--enable-debug-command", "yes"])
            .args(["--enable-protected-configs", "yes"])
            .args(options)
            .current_dir(dir)
            .env("BASALT_FAILPOINTS", failpoints)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("the server starts");
        Server {
            child,
            log,
            socket: dir.join("socket"),
        }
    }

    /// Starts one and waits until its data is loaded.
    pub fn start(dir: &Path, options: &[&str]) -> Server {
        Server::start_armed(dir, options, "")
    }

    /// The same with failpoints.
    pub fn start_armed(dir: &Path, options: &[&str], failpoints: &str) -> Server {
        let mut server = Server::launch_armed(dir, options, failpoints);
        let started = Instant::now();
        while !server.log().contains("Ready to accept") {
            let ended = server.child.try_wait().expect("its state");
            assert!(ended.is_none(), "it ended: {}", server.log());
            assert!(started.elapsed() < PATIENCE, "not ready: {}", server.log());
            sleep(Duration::from_millis(5));
        }
        server
    }

    /// Everything logged since the start.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A new connection; waits until somebody listens.
    pub fn client(&self) -> Client {
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error}: {}", self.log()),
            }
            sleep(Duration::from_millis(2));
        };
        let limit = Some(PATIENCE);
        stream.set_read_timeout(limit).expect("a valid time-out");
        Client(BufReader::new(stream))
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }

    /// Waits for the end of the process.
    pub fn end(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it goes on: {}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Ends it without warning.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection.
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        let stream = self.0.get_mut();
        stream
            .write_all(format!("{line}\r\n").as_bytes())
            .expect("sent");
    }

    /// Asks a server that may be gone.
    pub fn try_ask(&mut self, line: &str) -> Option<String> {
        let request = format!("{line}\r\n");
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        self.receive()
    }

    /// Sends words of any bytes.
    pub fn send_words(&mut self, words: &[&[u8]]) {
        self.0.get_mut().write_all(&command(words)).expect("sent");
    }

    /// Reads a reply as text: `-ERR ...` for errors, elements apart by blanks. `None` when the
    /// connection ended.
    pub fn receive(&mut self) -> Option<String> {
        let bytes = self.receive_bytes()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same in bytes.
    pub fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).ok()?;
        let line = line.strip_suffix(b"\r\n")?;
        let (kind, rest) = line.split_first()?;
        let size = || std::str::from_utf8(rest).ok()?.parse::<usize>().ok();
        match kind {
            b'$' => match size() {
                None => Some(b"nil".to_vec()),
                Some(size) => {
                    let mut bytes = vec![0; size + 2];
                    self.0.read_exact(&mut bytes).ok()?;
                    bytes.truncate(size);
                    Some(bytes)
                }
            },
            b'*' => {
                let items = (0..size().unwrap_or(0)).map(|_| self.receive_bytes());
                Some(items.collect::<Option<Vec<_>>>()?.join(&b' '))
            }
            b'-' => Some(line.to_vec()),
            _ => Some(rest.to_vec()),
        }
    }

    /// Sends a line and reads the reply.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.receive()
            .unwrap_or_else(|| panic!("no reply to {line}"))
    }

    /// A field of INFO.
    #[track_caller]
    pub fn info(&mut self, field: &str) -> String {
        let text = self.ask("INFO everything");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {field}")).to_owned()
    }
}

/// A request of these words.
pub fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Runs `check` until it holds.
#[track_caller]
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// A file of the corpus of real dumps.
pub fn corpus(name: &str) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/corpus");
    path.join(name)
}
