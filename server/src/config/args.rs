//! The command line, with the rules of redis-server.
//!
//! `basalt-server [file] [--directive arg...]... [-]`: a first word without a dash is the configuration file; `-` as the
//! first or the last word reads more of it from standard input; everything else becomes lines that are read last.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::text::{quote, split_args};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invocation {
    /// Print the version, exit code 0.
    Version,
    /// Print the usage to the error output, exit code 1.
    Help,
    /// Test this many megabytes of memory, exit code 0.
    TestMemory(u64),
    /// `--test-memory` without a size: print [`TEST_MEMORY_USAGE`] to the error output, exit code 1.
    TestMemoryUsage,
    /// Check the system's settings; exit code 0 if they are fine, else 1.
    CheckSystem,
    /// Sentinel mode was asked for, which this server does not have.
    Sentinel,
    /// Start the server.
    Start(StartPlan),
}

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StartPlan {
    /// The file, as an absolute path.
    pub config_file: Option<PathBuf>,
    /// More lines come from standard input.
    pub from_stdin: bool,
    /// The options of the command line as lines of a configuration.
    pub options: Vec<u8>,
}

/// What to print when `--test-memory` comes without a size.
pub const TEST_MEMORY_USAGE: &str = "Please specify the amount of memory to test in megabytes.\n\
                                     Example: ./basalt-server --test-memory 4096\n";

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: basalt-server [/path/to/basalt.conf] [options] [-]
       basalt-server -                       (configuration from standard input)
       basalt-server -v | --version
       basalt-server -h | --help
       basalt-server --test-memory <megabytes>
       basalt-server --check-system

An option is a directive of the configuration file with two dashes before it.
Options win over standard input, which wins over the file.

Examples:
       basalt-server /etc/basalt/6379.conf
       basalt-server --port 7777 --save \"\"
       basalt-server --port 7777 --replicaof 127.0.0.1 8888
       echo 'maxmemory 128mb' | basalt-server /etc/basalt/6379.conf --loglevel verbose -
";

impl Invocation {
    /// Reads the command line, the program's name first.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Invocation {
        let mut args = args.into_iter();
        let program = args.next().unwrap_or_default();
        let args: Vec<Vec<u8>> = args.map(OsString::into_vec).collect();
        let base = program
            .as_bytes()
            .rsplit(|&b| b == b'/')
            .next()
            .unwrap_or_default();
        let sentinel = base.windows(8).any(|part| part == b"sentinel")
            || args.iter().any(|arg| arg == b"--sentinel");
        match args.first().map(Vec::as_slice) {
            Some(b"-v" | b"--version") => return Invocation::Version,
            Some(b"-h" | b"--help") => return Invocation::Help,
            Some(b"--check-system") => return Invocation::CheckSystem,
            Some(b"--test-memory") => {
                return match args.as_slice() {
                    [_, size] => Invocation::TestMemory(
                        std::str::from_utf8(size)
                            .ok()
                            .and_then(|text| text.parse().ok())
                            .unwrap_or(0),
                    ),
                    _ => Invocation::TestMemoryUsage,
                };
            }
            _ if sentinel => return Invocation::Sentinel,
            _ => {}
        }
        Invocation::Start(StartPlan::from_args(args))
    }
}

impl StartPlan {
    fn from_args(args: Vec<Vec<u8>>) -> StartPlan {
        let mut plan = StartPlan::default();
        let mut rest = args.as_slice();
        if let Some((file, tail)) = args
            .split_first()
            .filter(|(first, _)| !first.starts_with(b"-"))
        {
            let path = PathBuf::from(OsString::from_vec(file.clone()));
            plan.config_file = Some(std::path::absolute(&path).unwrap_or(path));
            rest = tail;
        }
        let at_start = plan.config_file.is_none();
        let last = rest.len().saturating_sub(1);
        // An option's name has been seen and its first argument is still to come; that may begin with dashes.
        let mut wants_arg = false;
        for (index, arg) in rest.iter().enumerate() {
            if arg == b"-" && (index == last || (index == 0 && at_start)) {
                plan.from_stdin = true;
            } else if let Some(name) = arg.strip_prefix(b"--").filter(|_| !wants_arg) {
                if !plan.options.is_empty() {
                    plan.options.push(b'\n');
                }
                plan.options.extend_from_slice(name);
                plan.options.push(b' ');
                let alone = split_args(arg).is_some_and(|words| words.len() == 1);
                let next = rest.get(index.saturating_add(1));
                let next_is_option = next.is_some_and(|next| next.starts_with(b"--"));
                wants_arg = alone;
                // `--save` without an argument means no save points; scripts that build command lines rely on it.
                if alone
                    && arg.eq_ignore_ascii_case(b"--save")
                    && (next.is_none() || next_is_option)
                {
                    plan.options.extend_from_slice(b"\"\"");
                    wants_arg = false;
                }
            } else {
                plan.options.extend_from_slice(&quote(arg));
                plan.options.push(b' ');
                wants_arg = false;
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(args: &[&str]) -> Invocation {
        Invocation::from_args(
            std::iter::once("basalt-server")
                .chain(args.iter().copied())
                .map(OsString::from),
        )
    }

    fn plan(args: &[&str]) -> (Option<PathBuf>, bool, String) {
        match invoke(args) {
            Invocation::Start(plan) => (
                plan.config_file,
                plan.from_stdin,
                String::from_utf8(plan.options).unwrap(),
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_that_do_not_start_the_server() {
        assert_eq!(invoke(&["-v"]), Invocation::Version);
        assert_eq!(invoke(&["--version"]), Invocation::Version);
        assert_eq!(invoke(&["-h"]), Invocation::Help);
        assert_eq!(invoke(&["--test-memory", "64"]), Invocation::TestMemory(64));
        assert_eq!(invoke(&["--test-memory"]), Invocation::TestMemoryUsage);
        assert_eq!(invoke(&["--check-system"]), Invocation::CheckSystem);
        assert_eq!(invoke(&["x.conf", "--sentinel"]), Invocation::Sentinel);
    }

    #[test]
    fn options_become_lines() {
        assert_eq!(plan(&[]), (None, false, String::new()));
        let (_, _, options) = plan(&["--port", "7000", "--save", "", "--bind", "a", "b"]);
        assert_eq!(options, "port \"7000\" \nsave \"\" \nbind \"a\" \"b\" ");
        // A value in the same word, and a value that begins with dashes.
        assert_eq!(
            plan(&["--port 7000", "--hz", "5"]).2,
            "port 7000 \nhz \"5\" "
        );
        assert_eq!(
            plan(&["--requirepass", "--secret", "--port", "1"]).2,
            "requirepass \"--secret\" \nport \"1\" "
        );
    }

    #[test]
    fn save_without_an_argument_is_empty() {
        assert_eq!(plan(&["--save", "--port", "1"]).2, "save \"\"\nport \"1\" ");
        assert_eq!(plan(&["--port", "1", "--save"]).2, "port \"1\" \nsave \"\"");
    }

    #[test]
    fn file_and_standard_input() {
        let (file, stdin, options) = plan(&["/etc/x.conf", "--hz", "5", "-"]);
        assert_eq!((file, stdin), (Some("/etc/x.conf".into()), true));
        assert_eq!(options, "hz \"5\" ");
        assert!(plan(&["-"]).1);
        assert!(plan(&["-", "--port", "1"]).1);
        assert!(plan(&["x.conf"]).0.unwrap().is_absolute());
        // In the middle a dash is an argument.
        assert_eq!(
            plan(&["--logfile", "-", "--port", "1"]).2,
            "logfile \"-\" \nport \"1\" "
        );
    }
}
