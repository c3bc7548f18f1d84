//! Test callers that can wait: what a connection is to blocking commands.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::Client;
use crate::command::ctx::timed_out;
use crate::command::{CommandSpec, DATA_GROUPS, Registry};
use crate::keyspace::blocked::{Served, Waiter, Wake};
use crate::keyspace::notify::NoEvents;
use crate::{Engine, Flow, Host, Reply};

/// Counts the wake-ups of one caller.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    change: Condvar,
    count: AtomicUsize,
}

impl Wake for Bell {
    fn wake(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.rung.lock().expect("no panic while ringing") = true;
        self.change.notify_all();
    }
}

struct Caller(Arc<Bell>);

impl Host for Caller {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
    fn waker(&self) -> Option<Arc<dyn Wake>> {
        Some(self.0.clone())
    }
}

/// A blocked command of a test caller.
pub struct Waiting {
    waiter: Arc<Waiter>,
    bell: Arc<Bell>,
}

impl Waiting {
    /// The reply if the command was served.
    pub fn reply(&self) -> Option<String> {
        let served = self.outcome();
        let woken = usize::from(served.is_some());
        assert_eq!(self.woken(), woken, "one wake-up a reply");
        served
    }

    /// The reply if the command was served, however often its caller was woken.
    pub fn outcome(&self) -> Option<String> {
        self.waiter.take_outcome().map(|served| match served {
            Served::Reply(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Served::Refused(error) => format!("refused: {error}"),
            Served::TimedOut => "timed out".to_string(),
        })
    }

    /// How often its caller was woken.
    pub fn woken(&self) -> usize {
        self.bell.count.load(Ordering::Relaxed)
    }

    /// When something is to be done about it.
    pub fn timer_ms(&self) -> Option<i64> {
        self.waiter.timer_ms()
    }

    /// Runs the command again, as its caller does when the time for it has come.
    pub fn retry(&self, client: &Client, now_ms: i64) -> bool {
        client.engine.retry(&self.waiter, now_ms)
    }

    /// Waits until the command is served, up to ten seconds.
    pub fn wait(&self) -> String {
        let rung = self.bell.rung.lock().expect("no panic while ringing");
        let (rung, _) = self
            .bell
            .change
            .wait_timeout_while(rung, Duration::from_secs(10), |rung| !*rung)
            .expect("no panic while ringing");
        drop(rung);
        self.reply().expect("served within ten seconds")
    }

    /// When the command gives up, Unix milliseconds.
    pub fn deadline_ms(&self) -> Option<i64> {
        self.waiter.deadline_ms
    }

    /// Ends the wait as a time-out does and gives the reply; `None` when it was served.
    pub fn time_out(&self, client: &Client) -> Option<String> {
        client.engine.blocked.cancel(&self.waiter).then(|| {
            let mut out = Reply::new(self.waiter.resp);
            timed_out(&mut out, self.waiter.on_timeout);
            String::from_utf8_lossy(&out.buf).into_owned()
        })
    }
}

impl Client {
    /// A client of a new engine that has these commands too.
    pub fn with_commands(specs: &'static [CommandSpec]) -> Client {
        let groups = [DATA_GROUPS, &[specs]].concat();
        let engine = Engine::with(16, Registry::build(&groups, &[]), Box::new(NoEvents));
        Client {
            engine: Arc::new(engine),
            ..Client::new()
        }
    }

    /// Runs words separated by spaces as a caller that can wait.
    ///
    /// # Errors
    /// The reply, when the command did not wait.
    pub fn begin(&mut self, line: &str) -> Result<Waiting, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut out = Reply::new(self.session.resp);
        let bell = Arc::new(Bell::default());
        let command = self.engine.resolve(&words).map_err(|e| e.to_string())?;
        if self
            .engine
            .queue(&mut self.session, command, &words, &mut out)
        {
            return Err(String::from_utf8_lossy(&out.buf).into_owned());
        }
        let flow = self.engine.call(
            command,
            &mut self.session,
            &mut Caller(bell.clone()),
            &words,
            &mut out,
            self.now_ms,
        );
        match flow {
            Flow::Blocked(waiter) => {
                assert!(out.buf.is_empty(), "a command that waits has no reply yet");
                Ok(Waiting { waiter, bell })
            }
            Flow::Done | Flow::Failed(_) => Err(String::from_utf8_lossy(&out.buf).into_owned()),
        }
    }

    /// Runs a command that must wait.
    pub fn block(&mut self, line: &str) -> Waiting {
        match self.begin(line) {
            Ok(waiting) => waiting,
            Err(reply) => panic!("{line} must wait, but answered {reply}"),
        }
    }
}
