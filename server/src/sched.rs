//! Who gets the processor when there are more threads than cores.
//!
//! A thread that answers requests sleeps and wakes thousands of times a second, and each time it needs the processor for
//! some microseconds at once. A job in the background (a save, a rewrite, a backup) never sleeps. Linux lets such a thread
//! go on for a whole turn, some milliseconds, whatever its `nice` is, unless the one that wakes has asked for shorter turns
//! than it: so those who answer do (`sched_setattr(2)` with a runtime, from Linux 6.12; older kernels pass over it).
//!
//! Nothing here fails: where the system refuses, jobs take more from the others, that is all.
#![allow(unsafe_code)]

/// Nanoseconds: the shortest turn that Linux gives.
const SHORT_TURN: u64 = 100_000;

/// What a thread in the background does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Background {
    /// It takes locks that requests wait for, so it must get the processor while it has one.
    Locks = 5,
    /// It only computes, reads and writes.
    Works = 15,
}

/// This thread answers requests.
pub(crate) fn answer() {
    set_turn(SHORT_TURN);
}

/// Has this thread, and those it starts from now on, yield to threads that answer requests. A thread can yield more than
/// before, but not less.
pub(crate) fn step_back(what: Background) {
    // Of the thread, although it is called process: on Linux each has its own.
    let nice = rustix::process::getpriority_process(None).unwrap_or(0);
    if nice < what as i32 {
        let _ = rustix::process::setpriority_process(None, what as i32);
    }
    // It may have been started by one that answers.
    set_turn(0);
}

/// The attributes of this thread's scheduling.
fn attributes() -> Option<libc::sched_attr> {
    let mut attributes = libc::sched_attr {
        size: 0,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    let size = u32::try_from(size_of_val(&attributes)).unwrap_or(0);
    // SAFETY: the kernel writes at most `size` bytes to the place, which has as many and lives until the call is over; any
    // bytes are a valid value of it. Zero is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    (result == 0).then_some(attributes)
}

/// Sets the length of this thread's turns in nanoseconds; zero is the system's own.
fn set_turn(nanoseconds: u64) {
    let Some(mut attributes) = attributes() else {
        return;
    };
    // Who has started the server under another policy knows why; there the field means something else.
    if attributes.sched_policy != libc::SCHED_OTHER.unsigned_abs() {
        return;
    }
    attributes.sched_runtime = nanoseconds;
    // SAFETY: the kernel reads as many bytes as the value itself says, which the call before has set to no more than it has.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs it in a thread of its own: what it sets stays.
    fn aside(test: impl FnOnce() + Send + 'static) {
        let done = std::thread::spawn(test).join();
        assert!(done.is_ok());
    }

    #[test]
    fn a_job_steps_back_and_never_forward() {
        aside(|| {
            let before = attributes().expect("known").sched_nice;
            answer();
            let answering = attributes().expect("known");
            assert_eq!(answering.sched_nice, before);
            assert_eq!(answering.sched_policy, 0);
            step_back(Background::Locks);
            assert_eq!(attributes().expect("known").sched_nice, 5.max(before));
            step_back(Background::Works);
            let inherited = 15.max(before);
            aside(move || {
                step_back(Background::Locks);
                assert_eq!(attributes().expect("known").sched_nice, inherited);
            });
        });
    }

    #[test]
    fn turns_are_short_where_the_kernel_knows_them() {
        aside(|| {
            let usual = attributes().expect("known").sched_runtime;
            answer();
            let short = attributes().expect("known").sched_runtime;
            assert!(short == SHORT_TURN || short == usual, "{short}");
            step_back(Background::Works);
            assert_eq!(attributes().expect("known").sched_runtime, usual);
        });
    }

    #[test]
    fn other_policies_stay() {
        aside(|| {
            let mut idle = attributes().expect("known");
            idle.sched_policy = libc::SCHED_IDLE.unsigned_abs();
            // SAFETY: as in `set_turn`.
            let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const idle, 0) };
            assert_eq!(set, 0);
            answer();
            let now = attributes().expect("known");
            assert_eq!(now.sched_policy, libc::SCHED_IDLE.unsigned_abs());
        });
    }
}
