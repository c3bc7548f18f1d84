//! The end of a worker's pass: one write for all that its clients did, then their replies leave.
//!
//! ```text
//! ready tasks of a worker:  client  client  client ... | end of the pass
//!                             |ask     hold             write what is there (or nudge the thread)
//!                             +--> wakes this task      clients that are reached go on, now or
//!                                                       when whoever moves the log wakes it again
//! ```
//!
//! The first effect of a pass wakes the task [`run`] of its thread, which stands behind all clients
//! that are ready by then. So at `everysec` and `no` a pass costs one write and no other thread has a
//! part in it. Under `always`, and while the writer thread is at something that may take long, the
//! pass only tells that thread: no thread that serves clients waits for a disk, but for one that is
//! quick, when there is nobody to serve: see `quick`.
//!
//! What threads that serve no clients append (expiry in the cron) goes to the writer thread at once.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::durable::{Durable, Until};
use super::quick::Calm;
use crate::client::handle::{Handle, signal};
use crate::server::Server;

/// What a worker has to do at the end of its pass.
#[derive(Default)]
struct Pass {
    waker: RefCell<Option<Waker>>,
    due: Cell<bool>,
    /// Clients were served since the last end of a pass that wait for nothing.
    free: Cell<bool>,
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

/// A client was served and goes on at once.
pub fn goes_on() {
    PASS.with(|pass| pass.free.set(true));
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

/// Ends the passes of this worker, and has its clients go on when the log has come to where they
/// wait: whoever moves the log wakes this task once, not each client.
pub async fn run(server: Arc<Server>) {
    let durable = &server.persist.aof.durable;
    let mut calm = Calm::new(Instant::now());
    let mut held: Vec<(u64, Arc<Handle>)> = Vec::new();
    loop {
        let ends = poll_fn(|cx| next(cx.waker(), &held, durable)).await;
        if ends {
            let only_waiting = PASS.with(|pass| {
                held.append(&mut pass.held.borrow_mut());
                !pass.free.take()
            });
            let now = Instant::now();
            server
                .persist
                .aof
                .end_pass(now, calm.pass(only_waiting, now));
        }
        held.retain(|(index, handle)| {
            let there = durable.has(*index, Until::Promised);
            if there {
                handle.raise(signal::DURABLE);
            }
            !there && !handle.gone.load(Relaxed)
        });
    }
}

/// Ready when the pass ends (`true`), or when the first of those who wait has been reached.
fn next(waker: &Waker, held: &[(u64, Arc<Handle>)], durable: &Durable) -> Poll<bool> {
    let first = held.iter().map(|(index, _)| *index).min();
    PASS.with(|pass| {
        if pass.due.take() {
            return Poll::Ready(true);
        }
        let mut own = pass.waker.borrow_mut();
        if !own.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *own = Some(waker.clone());
        }
        match first {
            Some(first) if !durable.wake_at(first, waker) => Poll::Ready(false),
            _ => Poll::Pending,
        }
    })
}

/// Makes this thread one with passes, which a test ends by itself.
#[cfg(test)]
pub fn pretend() {
    PASS.with(|pass| *pass.waker.borrow_mut() = Some(Waker::noop().clone()));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[test]
    fn a_thread_without_passes_says_so() {
        assert!(!ask());
        let at = || "127.0.0.1:1".to_owned();
        let handle = Arc::new(Handle::new(1, at(), at(), 0, false, true, 0));
        assert!(!hold(1, &handle));
        assert_eq!(Arc::strong_count(&handle), 1);
    }

    #[test]
    fn the_task_is_woken_once_for_all_that_wait() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Count>) {
                self.0.fetch_add(1, Relaxed);
            }
        }
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let woken = || count.0.load(Relaxed);
        let at = || "127.0.0.1:1".to_owned();
        let handle = |id| Arc::new(Handle::new(id, at(), at(), 0, false, true, 0));
        let durable = Durable::default();
        durable.reached(Some(4), 0);
        let held = [(7, handle(1)), (6, handle(2)), (9, handle(3))];
        assert_eq!(next(&waker, &[], &durable), Poll::Pending);
        assert!(hold(9, &held[2].1), "this thread has passes now");
        assert_eq!(next(&waker, &held[..2], &durable), Poll::Ready(true));
        let before = woken();
        assert_eq!(next(&waker, &held, &durable), Poll::Pending);
        assert_eq!(next(&waker, &held, &durable), Poll::Pending);
        durable.reached(Some(5), 0);
        assert_eq!(woken(), before, "nobody waits for that");
        durable.reached(Some(8), 0);
        assert_eq!(woken(), before + 1, "though two were reached");
        assert_eq!(next(&waker, &held, &durable), Poll::Ready(false));
        assert_eq!(next(&waker, &held[2..], &durable), Poll::Pending);
        durable.reached(None, 0);
        assert_eq!(woken(), before + 2);
    }
}
