//! Ways to end the process that no client could cause otherwise.

use basalt_engine::ReplyError;
use basalt_engine::command::spec::CmdResult;

use crate::server::unix_ms;

/// Dies of a signal as a wild pointer would cause it.
pub(super) fn segfault() -> CmdResult {
    let own = rustix::process::getpid();
    match rustix::process::kill_process(own, rustix::process::Signal::SEGV) {
        Ok(()) => std::process::abort(),
        Err(error) => Err(ReplyError::err(error)),
    }
}

/// Dies with the log entry of an impossible state.
pub(super) fn panic() -> CmdResult {
    tracing::error!(
        "Guru Meditation: DEBUG PANIC called at Unix time {}",
        unix_ms() / 1000
    );
    std::process::abort()
}

/// Dies with the log entry of a broken assertion.
pub(super) fn assertion() -> CmdResult {
    tracing::error!("=== ASSERTION FAILED ===");
    tracing::error!("==> DEBUG ASSERT is not true");
    std::process::abort()
}

/// Dies as the allocator's failure makes every program die.
pub(super) fn out_of_memory() -> CmdResult {
    tracing::error!("Out Of Memory allocating {} bytes!", isize::MAX);
    std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; 1 << 40]>())
}
