//! Named points in the code where a test makes it stop, wait or fail.
//!
//! `fail_point!("aof.rewrite.after_rename")?` costs one relaxed load of a flag that is off. A test
//! in the process arms points of its own thread with [`arm`]; a test that drives a whole server
//! sets `BASALT_FAILPOINTS`, read once by [`arm_from_env`] at start:
//!
//! ```text
//! BASALT_FAILPOINTS="aof.rewrite.after_rename=kill; rdb.save.written=error@3; aof.sync=pause(3000)@2+"
//! ```
//!
//! The number says on which pass the point acts (1 if not given), `+` that it does so from then
//! on. `kill` ends the process as SIGKILL would, with nothing flushed; `error` makes the point
//! return an error; `pause` sleeps that many milliseconds.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::disk::{DiskError, DiskOp};

/// The environment variable that arms points of a whole process.
pub const VARIABLE: &str = "BASALT_FAILPOINTS";

/// Passes a point: `Ok` unless a test armed it to fail.
#[macro_export]
macro_rules! fail_point {
    ($name:expr) => {
        if $crate::env::failpoint::any_armed() {
            $crate::env::failpoint::pass($name)
        } else {
            Ok(())
        }
    };
}

/// What an armed point does.
#[derive(Clone)]
pub enum Action {
    /// Ends the process at once.
    Kill,
    /// Fails.
    Error,
    /// Waits.
    Pause(Duration),
    /// Runs something of the test, such as cutting the power of a simulated disk.
    Run(Arc<dyn Fn() + Send + Sync>),
}

struct Armed {
    name: String,
    action: Action,
    /// Passes until it acts.
    left: u64,
    repeat: bool,
}

/// How many points are armed, in all threads.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Points armed for all threads.
static PROCESS: Mutex<Vec<Armed>> = Mutex::new(Vec::new());

thread_local! {
    static THREAD: RefCell<Vec<Armed>> = const { RefCell::new(Vec::new()) };
}

/// Whether any point is armed.
#[inline]
pub fn any_armed() -> bool {
    COUNT.load(Relaxed) != 0
}

/// Passes the point `name`; use [`fail_point!`](crate::fail_point).
///
/// # Errors
/// When the point is armed to fail.
pub fn pass(name: &str) -> Result<(), DiskError> {
    let action = THREAD
        .with_borrow_mut(|points| due(points, name))
        .or_else(|| due(&mut PROCESS.lock(), name));
    match action {
        None => Ok(()),
        Some(Action::Kill) => {
            eprintln!("failpoint {name}: kill");
            std::process::abort()
        }
        Some(Action::Error) => {
            let source = io::Error::other("failpoint");
            Err(DiskError::new(DiskOp::FailPoint, Path::new(name), source))
        }
        Some(Action::Pause(time)) => {
            std::thread::sleep(time);
            Ok(())
        }
        Some(Action::Run(run)) => {
            run();
            Ok(())
        }
    }
}

/// Counts a pass, and gives the action if it is time for it.
fn due(points: &mut [Armed], name: &str) -> Option<Action> {
    let point = points
        .iter_mut()
        .find(|point| point.name == name && point.left > 0)?;
    point.left -= 1;
    if point.left > 0 {
        return None;
    }
    if point.repeat {
        point.left = 1;
    }
    Some(point.action.clone())
}

/// Disarms its points, when dropped.
#[must_use]
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        THREAD.with_borrow_mut(|points| {
            COUNT.fetch_sub(points.len(), Relaxed);
            points.clear();
        });
    }
}

/// Arms a point on this thread for its `nth` pass from now on (the next is 1), until the guard
/// is dropped; that disarms all points of the thread.
pub fn arm(name: &str, action: Action, nth: u64) -> Guard {
    let point = Armed {
        name: name.to_owned(),
        action,
        left: nth.max(1),
        repeat: false,
    };
    THREAD.with_borrow_mut(|points| points.push(point));
    COUNT.fetch_add(1, Relaxed);
    Guard(())
}

/// Arms, for all threads, what [`VARIABLE`] says; how many points that is.
///
/// # Errors
/// The part that says nothing sensible.
pub fn arm_from_env() -> Result<usize, String> {
    match std::env::var(VARIABLE) {
        Ok(text) => arm_process(&text),
        Err(_) => Ok(0),
    }
}

/// Arms points for all threads, for good.
///
/// # Errors
/// The part that says nothing sensible.
pub fn arm_process(text: &str) -> Result<usize, String> {
    let points = text
        .split([';', ','])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| parse(part).ok_or_else(|| format!("{VARIABLE}: can't understand '{part}'")))
        .collect::<Result<Vec<_>, _>>()?;
    let count = points.len();
    PROCESS.lock().extend(points);
    COUNT.fetch_add(count, Relaxed);
    Ok(count)
}

fn parse(part: &str) -> Option<Armed> {
    let (name, rest) = part.split_once('=')?;
    let (action, nth) = rest.split_once('@').unwrap_or((rest, "1"));
    let (nth, repeat) = match nth.trim().strip_suffix('+') {
        Some(nth) => (nth, true),
        None => (nth.trim(), false),
    };
    let action = match action.trim() {
        "kill" => Action::Kill,
        "error" => Action::Error,
        other => {
            let ms = other.strip_prefix("pause(")?.strip_suffix(')')?;
            Action::Pause(Duration::from_millis(ms.trim().parse().ok()?))
        }
    };
    Some(Armed {
        name: name.trim().to_owned(),
        action,
        left: nth.parse().ok().filter(|nth| *nth > 0)?,
        repeat,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use super::*;

    fn passes(name: &str, times: usize) -> Vec<bool> {
        (0..times).map(|_| fail_point!(name).is_ok()).collect()
    }

    #[test]
    fn an_unarmed_point_passes() {
        assert!(fail_point!("test.unarmed").is_ok());
        let _guard = arm("test.other", Action::Error, 1);
        assert!(fail_point!("test.unarmed").is_ok());
    }

    #[test]
    fn a_point_acts_on_its_nth_pass_and_once() {
        let guard = arm("test.third", Action::Error, 3);
        assert_eq!(passes("test.third", 5), [true, true, false, true, true]);
        drop(guard);
        let _guard = arm("test.third", Action::Error, 1);
        let error = fail_point!("test.third").unwrap_err().to_string();
        assert_eq!(error, "can't pass 'test.third': failpoint");
    }

    #[test]
    fn a_dropped_guard_disarms_and_other_threads_see_nothing() {
        let guard = arm("test.mine", Action::Error, 1);
        let there = std::thread::spawn(|| fail_point!("test.mine").is_ok());
        assert!(there.join().unwrap());
        drop(guard);
        assert!(fail_point!("test.mine").is_ok());
    }

    #[test]
    fn text_arms_points_of_the_process() {
        assert_eq!(
            arm_process("test.env.a=error@2+ ; test.env.b = pause(20), test.env.c=error").unwrap(),
            3
        );
        assert_eq!(passes("test.env.a", 4), [true, false, false, false]);
        let there = std::thread::spawn(|| fail_point!("test.env.c").is_ok());
        assert!(!there.join().unwrap());
        let start = Instant::now();
        assert!(fail_point!("test.env.b").is_ok());
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn text_that_says_nothing_is_refused() {
        for text in [
            "a",
            "a=",
            "a=burn",
            "a=kill@0",
            "a=kill@x",
            "a=pause(x)",
            "a=pause(1",
            "a=error; b",
        ] {
            let told = arm_process(text).unwrap_err();
            assert!(told.contains("BASALT_FAILPOINTS"), "{told}");
        }
    }

    #[test]
    fn a_test_can_run_something_at_a_point() {
        let ran = Arc::new(AtomicBool::new(false));
        let seen = ran.clone();
        let run = Action::Run(Arc::new(move || seen.store(true, Relaxed)));
        let _guard = arm("test.run", run, 1);
        assert!(fail_point!("test.run").is_ok());
        assert!(ran.load(Relaxed));
    }

    /// Runs itself in a second process, which has to die at the point.
    #[test]
    fn kill_ends_the_process_there() {
        if std::env::var(VARIABLE).is_ok() {
            arm_from_env().unwrap();
            println!("before the point");
            let _ = fail_point!("test.kill");
            println!("behind the point");
            return;
        }
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("env::failpoint::tests::kill_ends_the_process_there")
            .env(VARIABLE, "test.kill=kill")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success());
        assert!(text.contains("before the point"), "{text}");
        assert!(!text.contains("behind the point"), "{text}");
    }
}
