//! Runs the futures of an asynchronous store for callers that wait.
//!
//! Every operation becomes a task of a runtime, and the caller's thread sleeps on a channel until the task is done or the
//! deadline has passed. The runtime is either owned, current-thread, on a thread of its own, or someone else's. Blocking
//! on a channel instead of on the runtime makes a call from inside another runtime merely block where `block_on` would
//! panic.

use std::future::Future;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Why a future did not give its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DriverError {
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    #[error("the task ended without an answer")]
    Stopped,
}

/// A way to run futures to their end.
#[derive(Debug)]
pub(super) struct Driver {
    handle: Handle,
    deadline: Duration,
    _owned: Option<OwnedRuntime>,
}

#[derive(Debug)]
struct OwnedRuntime {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// A runtime of its own, which ends with the driver.
    pub(super) fn owned(deadline: Duration) -> io::Result<Driver> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_start(crate::thread::begin)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = crate::thread::spawn("backup-store", move || {
            // Ends when the sender speaks or is gone.
            let _ = runtime.block_on(stopped);
            // What is still running has no caller left; it must not hold up the drop.
            runtime.shutdown_background();
        })?;
        Ok(Driver {
            handle,
            deadline,
            _owned: Some(OwnedRuntime {
                stop: Some(stop),
                thread: Some(thread),
            }),
        })
    }

    /// Someone else's runtime, on whose only thread calls must not be made: they would wait for themselves until the
    /// deadline.
    pub(super) fn shared(handle: Handle, deadline: Duration) -> Driver {
        Driver {
            handle,
            deadline,
            _owned: None,
        }
    }

    /// Runs a future and waits for its result. A future that is late is dropped.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, DriverError> {
        let (result, receiver) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            // The receiver is gone once the deadline has passed.
            let _ = result.send(future.await);
        });
        receiver
            .recv_timeout(self.deadline)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    task.abort();
                    DriverError::Deadline(self.deadline)
                }
                RecvTimeoutError::Disconnected => DriverError::Stopped,
            })
    }
}

impl Drop for OwnedRuntime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // It only waits for the channel; that it panicked would concern nobody any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn runs_from_any_context() {
        let driver = Driver::owned(LONG).unwrap();
        assert_eq!(driver.run(async { 7 }), Ok(7));
        // Inside another runtime, where `block_on` would panic.
        let outer = Builder::new_current_thread().build().unwrap();
        assert_eq!(outer.block_on(async { driver.run(async { 8 }) }), Ok(8));
    }

    #[test]
    fn a_shared_runtime() {
        let outer = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let driver = Driver::shared(outer.handle().clone(), LONG);
        assert_eq!(driver.run(async { 7 }), Ok(7));
        drop(outer);
        assert_eq!(driver.run(async { 7 }), Err(DriverError::Stopped));
    }

    #[test]
    fn a_late_future_is_dropped() {
        let deadline = Duration::from_millis(20);
        let driver = Driver::owned(deadline).unwrap();
        let (alive, gone) = mpsc::channel::<()>();
        let late = driver.run(async move {
            std::future::pending::<()>().await;
            drop(alive);
        });
        assert_eq!(late, Err(DriverError::Deadline(deadline)));
        assert_eq!(gone.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_panic_stays_in_the_task() {
        let driver = Driver::owned(LONG).unwrap();
        let result = driver.run(async { std::panic::resume_unwind(Box::new("scripted")) as () });
        assert_eq!(result, Err(DriverError::Stopped));
        assert_eq!(driver.run(async { 7 }), Ok(7));
    }
}
