//! The threads that jobs start.
//!
//! Beside a server they should take the processor only when nobody else wants it. How that is said is the server's to know:
//! it gives a function that each of them calls before it does anything.

use std::io;
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle};

static BEGIN: OnceLock<fn()> = OnceLock::new();

/// Has every thread that is started from now on call this first. What was said first stays.
pub fn on_begin(call: fn()) {
    let _ = BEGIN.set(call);
}

/// Called by every thread that does a job's work, first of all.
pub(crate) fn begin() {
    if let Some(call) = BEGIN.get() {
        call();
    }
}

/// Starts one.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.into()).spawn(move || {
        begin();
        work()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    static CALLS: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn each_thread_begins_as_asked() {
        on_begin(|| {
            CALLS.fetch_add(1, Relaxed);
        });
        // Other tests of this process start threads too.
        let seen = spawn("test", || CALLS.load(Relaxed)).unwrap();
        assert!(seen.join().unwrap() > 0);
    }
}
