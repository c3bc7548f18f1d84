//! The end of a worker's pass: one write for all that its clients did, then their replies leave.
//!
//! ```text
//! ready tasks of a worker:  client  client  client ... | end of the pass
//!                             |ask     hold             write what is there (or nudge the thread)
//!                             +--> wakes this task      clients that are reached go on
//! ```
//!
//! The first effect of a pass wakes the task [`run`] of its thread, which stands behind all clients
//! that are ready by then. So at `everysec` and `no` a pass costs one write and no other thread has a
//! part in it. Under `always`, and while the writer thread is at something that may take long, the
//! pass only tells that thread: no thread that serves clients waits for a disk.
//!
//! What threads that serve no clients append (expiry in the cron) goes to the writer thread at once.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};

use super::durable::Until;
use crate::client::handle::{Handle, signal};
use crate::server::Server;

/// What a worker has to do at the end of its pass.
#[derive(Default)]
struct Pass {
    waker: RefCell<Option<Waker>>,
    due: Cell<bool>,
    held: RefCell<Vec<(u64, Arc<Handle>)>>,
}

thread_local! {
    static PASS: Pass = Pass::default();
}

/// Has this thread look after the log when its pass ends; false if it has no passes.
pub fn ask() -> bool {
    PASS.with(|pass| {
        if pass.due.get() {
            return true;
        }
        match &*pass.waker.borrow() {
            Some(waker) => {
                pass.due.set(true);
                waker.wake_by_ref();
                true
            }
            None => false,
        }
    })
}

/// The client goes on when the log has come to this index; looked at when the pass ends. False
/// on a thread without passes.
pub fn hold(index: u64, handle: &Arc<Handle>) -> bool {
    let asked = ask();
    if asked {
        PASS.with(|pass| pass.held.borrow_mut().push((index, handle.clone())));
    }
    asked
}

/// Ends the passes of this worker.
pub async fn run(server: Arc<Server>) {
    let mut held = Vec::new();
    loop {
        poll_fn(|cx| {
            PASS.with(|pass| {
                if pass.due.take() {
                    return Poll::Ready(());
                }
                let mut waker = pass.waker.borrow_mut();
                if !waker.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            })
        })
        .await;
        server.persist.aof.end_pass();
        PASS.with(|pass| std::mem::swap(&mut held, &mut *pass.held.borrow_mut()));
        let durable = &server.persist.aof.durable;
        for (index, handle) in held.drain(..) {
            if handle.gone.load(Relaxed) {
                continue;
            }
            if durable.has(index, Until::Promised) || !durable.wait(index, Until::Promised, &handle)
            {
                handle.raise(signal::DURABLE);
            }
        }
    }
}

/// Makes this thread one with passes, which a test ends by itself.
#[cfg(test)]
pub fn pretend() {
    PASS.with(|pass| *pass.waker.borrow_mut() = Some(Waker::noop().clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_passes_says_so() {
        assert!(!ask());
        let at = || "127.0.0.1:1".to_owned();
        let handle = Arc::new(Handle::new(1, at(), at(), 0, false, true, 0));
        assert!(!hold(1, &handle));
        assert_eq!(Arc::strong_count(&handle), 1);
    }
}
