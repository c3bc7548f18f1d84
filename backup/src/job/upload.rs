//! Uploading in a thread of its own, a few chunks behind the walk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::JobError;
use crate::repo::object::Finished;
use crate::store::{BackupStore, ObjectName};
use crate::thread;

/// Chunks that may wait; each is a few MiB of memory or a file.
const WAITING: usize = 4;
/// How long a rate limit sleeps before it looks whether all is to end.
const NAP: Duration = Duration::from_millis(50);

/// What others see of an upload, and can do to it.
#[derive(Debug, Default)]
pub struct UploadState {
    /// Bytes of objects sent.
    pub bytes: AtomicU64,
    /// Objects sent.
    pub objects: AtomicU64,
    /// Set to end it.
    pub cancel: AtomicBool,
    /// Most bytes a second; zero: no limit.
    pub limit: AtomicU64,
}

struct Job {
    name: ObjectName,
    chunk: Finished,
}

/// See the head of this file.
pub(super) struct Uploader {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<JobError>>>,
    failed: Arc<AtomicBool>,
}

impl Uploader {
    pub(super) fn start(
        store: Arc<dyn BackupStore>,
        state: Arc<UploadState>,
    ) -> io::Result<Uploader> {
        let (jobs, queue) = sync_channel(WAITING);
        let failure = Arc::new(Mutex::new(None));
        let failed = Arc::new(AtomicBool::new(false));
        let (seen, flag) = (failure.clone(), failed.clone());
        let thread = thread::spawn("backup-upload", move || {
            if let Err(error) = run(&*store, &state, &queue) {
                *seen.lock() = Some(error);
                flag.store(true, Relaxed);
            }
        })?;
        Ok(Uploader {
            jobs: Some(jobs),
            thread: Some(thread),
            failure,
            failed,
        })
    }

    /// Waits until there is room, then takes a chunk.
    pub(super) fn send(&self, name: ObjectName, chunk: Finished) -> Result<(), JobError> {
        let sent = self
            .jobs
            .as_ref()
            .map(|jobs| jobs.send(Job { name, chunk }));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.take_failure()),
        }
    }

    /// An error if an upload has failed.
    pub(super) fn check(&self) -> Result<(), JobError> {
        if self.failed.load(Relaxed) {
            return Err(self.take_failure());
        }
        Ok(())
    }

    /// Waits until all is uploaded.
    pub(super) fn finish(mut self) -> Result<(), JobError> {
        self.join();
        match self.failure.lock().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn take_failure(&self) -> JobError {
        let known = self.failure.lock().take();
        known.unwrap_or_else(|| JobError::Io(io::Error::other("the upload has ended early")))
    }

    fn join(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            *self.failure.lock() = Some(io::Error::other("the upload has panicked").into());
        }
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        self.join();
    }
}

fn run(
    store: &dyn BackupStore,
    state: &UploadState,
    queue: &Receiver<Job>,
) -> Result<(), JobError> {
    let pace = Pace {
        state,
        last: Mutex::new(Instant::now()),
    };
    for job in queue {
        let size = job.chunk.bytes;
        let sent = job
            .chunk
            .upload(store, &job.name, &|bytes| pace.wait(bytes));
        match sent {
            _ if state.cancel.load(Relaxed) => return Err(JobError::Cancelled),
            Ok(()) => {}
            Err(crate::repo::object::ObjectError::Store(error)) => return Err(error.into()),
            Err(source) => {
                let name = job.name.to_string();
                return Err(JobError::Chunk {
                    name,
                    source: Box::new(source),
                });
            }
        }
        state.bytes.fetch_add(size, Relaxed);
        state.objects.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// Keeps to the limit by sleeping before a piece goes.
struct Pace<'p> {
    state: &'p UploadState,
    /// When what has been sent so far was due.
    last: Mutex<Instant>,
}

impl Pace<'_> {
    fn wait(&self, bytes: u64) -> io::Result<()> {
        let limit = self.state.limit.load(Relaxed);
        let due = {
            let mut last = self.last.lock();
            // What was not used in the past is not made up for.
            let from = (*last).max(Instant::now());
            let cost = if limit == 0 {
                Duration::ZERO
            } else {
                Duration::from_secs_f64(bytes as f64 / limit as f64)
            };
            *last = from + cost;
            *last
        };
        loop {
            if self.state.cancel.load(Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let left = due.saturating_duration_since(Instant::now());
            if limit == 0 || left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}
