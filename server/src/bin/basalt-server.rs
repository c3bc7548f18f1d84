//! The Basalt server: `basalt-server [/path/to/basalt.conf] [options] [-]`.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use basalt_server::acl::UserLines;
use basalt_server::config::{
    COMPAT_VERSION, Config, Invocation, StartPlan, TEST_MEMORY_USAGE, USAGE,
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Set in the environment of the process that `daemonize yes` leaves behind.
const DAEMON: &str = "BASALT_DAEMON";

fn main() -> ExitCode {
    match Invocation::from_args(std::env::args_os()) {
        Invocation::Version => {
            say(&format!(
                "Basalt server v={} sha=00000000:0 malloc=jemalloc bits=64 compatible=redis-{COMPAT_VERSION}\n",
                env!("CARGO_PKG_VERSION")
            ));
            ExitCode::SUCCESS
        }
        Invocation::Help => complain(USAGE),
        Invocation::TestMemoryUsage => complain(TEST_MEMORY_USAGE),
        Invocation::Sentinel => complain("Basalt has no sentinel mode yet.\n"),
        Invocation::TestMemory(megabytes) => test_memory(megabytes),
        Invocation::CheckSystem => {
            say("[ok]...system checks passed\n");
            ExitCode::SUCCESS
        }
        Invocation::Start(plan) => start(&plan),
        _ => complain(USAGE),
    }
}

/// Reads the configuration and runs the server, in the background if that says so.
fn start(plan: &StartPlan) -> ExitCode {
    let mut stdin = Vec::new();
    if plan.from_stdin
        && let Err(error) = std::io::stdin().read_to_end(&mut stdin)
    {
        return complain(&format!(
            "Can't read the configuration from standard input: {error}\n"
        ));
    }
    match Config::load(plan, &mut stdin.as_slice(), &mut UserLines::default()) {
        Err(error) => complain(&format!("{error}\n")),
        Ok(loaded) if loaded.config.daemonize && std::env::var_os(DAEMON).is_none() => {
            daemonize(&stdin)
        }
        Ok(loaded) => {
            if std::env::var_os(DAEMON).is_some() {
                // Already a session leader: nothing to do then.
                let _ = rustix::process::setsid();
            }
            match basalt_server::app::run(loaded.config, &loaded.warnings) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&format!("{error:#}\n")),
            }
        }
    }
}

fn say(text: &str) {
    // Nobody is left to tell if standard output is gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn complain(text: &str) -> ExitCode {
    // Nobody is left to tell if standard error is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}

/// Starts this program again in the background, before any thread exists here, and leaves.
fn daemonize(configuration: &[u8]) -> ExitCode {
    let started = std::env::current_exe().and_then(|program| {
        let mut child = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(DAEMON, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        // It reads what came through standard input again, which was used up here.
        match child.stdin.take() {
            Some(mut stdin) => stdin.write_all(configuration),
            None => Ok(()),
        }
    });
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("Can't daemonize: {error}\n")),
    }
}

/// Writes patterns over the given amount of memory and reads them back.
fn test_memory(megabytes: u64) -> ExitCode {
    let words = usize::try_from(megabytes.saturating_mul(1 << 17)).unwrap_or(usize::MAX);
    let mut memory: Vec<u64> = Vec::new();
    if memory.try_reserve_exact(words).is_err() {
        return complain(&format!("Unable to allocate {megabytes} megabytes\n"));
    }
    memory.resize(words, 0);
    let mix = |i: usize, pattern: u64| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ pattern;
    for pattern in [0, u64::MAX, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa] {
        memory
            .iter_mut()
            .enumerate()
            .for_each(|(i, word)| *word = mix(i, pattern));
        if memory
            .iter()
            .enumerate()
            .any(|(i, word)| *word != mix(i, pattern))
        {
            return complain("*** MEMORY ERROR DETECTED ***\n");
        }
    }
    say("Your memory passed this test.\n");
    ExitCode::SUCCESS
}
