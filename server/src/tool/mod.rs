//! The operator's tool `basalt`: what can be done beside a running server, or without one.
//!
//! Each command has its file here and prints to the writers it is given, so that tests see what an operator sees. Findings
//! go to standard output, what keeps the tool from its work goes to standard error. Exit codes: 0 all is well, 1 it is
//! not, 2 the command line is wrong.

mod backup;
mod check_aof;
mod check_config;
mod check_rdb;
mod convert;
mod rdb;
mod spool;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::config::COMPAT_VERSION;

/// All is well.
pub const SUCCESS: u8 = 0;
/// Something is wrong with what was looked at, or it could not be looked at.
pub const FAILURE: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;

/// Looks after a Basalt server's files.
#[derive(Debug, Parser)]
#[command(
    name = "basalt",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judges a configuration file as the server would at its start
    ///
    /// Prints warnings, or the first error with its file and line. No file is created or changed; whether addresses and
    /// ports are free is not looked at.
    CheckConfig {
        /// The configuration file
        file: PathBuf,
    },
    /// Checks an append-only file, repairs or salvages it
    ///
    /// Takes a single file, a manifest, or the folder of one. Only the last file of a manifest is ever cut, and what is cut
    /// off is kept beside it. Nothing is changed without --fix or --truncate-to-timestamp. No server may be using the files.
    CheckAof(check_aof::Options),
    /// Reads a whole RDB file and names the first damage
    ///
    /// Every record and value is decoded as a load would, and the checksum compared. Prints what the file holds. The
    /// tool does the same under the name redis-check-rdb.
    CheckRdb(check_rdb::Args),
    /// Writes an RDB file for another server
    ///
    /// Values come out in layouts that the target reads. Nothing is written if there is a key that the target cannot
    /// keep, unless such keys are to be left out.
    Convert(convert::Args),
    /// Has a running server make a backup, and waits for it
    Backup(backup::ask::Args),
    /// Lists the backups in a repository
    List(backup::list::Args),
    /// Reads backups and says whether they are as they were written
    ///
    /// Without an identity the hashes of all objects are compared. With --drill everything is decrypted, loaded into an
    /// engine, and the digest of the data compared with that of the moment of the backup.
    Verify(backup::verify::Args),
    /// Restores a backup into an empty data directory
    ///
    /// The directory is only touched once everything has been read and proven to be right.
    Restore(backup::restore::RestoreArgs),
    /// Writes a backup as one RDB file, which Redis 7.2 and Valkey load
    Export(backup::restore::ExportArgs),
    /// Removes backups that need not be kept, and what nothing needs any more
    Prune(backup::prune::Args),
    /// Makes an identity for decrypting backups and prints its recipient, for backup-recipients
    Keygen(backup::keygen::Args),
    /// Says whether a store keeps what backups rely on
    ///
    /// Objects are written, read, listed, raced for and removed below a name of its own in the place that is given.
    CheckStore(backup::check_store::Args),
    /// Looks into spool files of the backup
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Prints the version
    Version,
}

#[derive(Debug, Subcommand)]
enum SpoolCommand {
    /// Reads all frames of a spool file and names the first damage
    ///
    /// An unfinished frame at the end, as a crash leaves it or as a running server is just writing it, is reported but is
    /// no damage.
    Verify {
        /// The spool file
        file: PathBuf,
    },
}

/// Runs the tool with its command line, the program's name first, and returns the exit code.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let cli = match Cli::try_parse_from(under_its_name(args.into_iter().collect())) {
        Ok(cli) => cli,
        Err(refusal) => {
            return match refusal.use_stderr() {
                true => finish(write!(err, "{refusal}"), USAGE),
                false => finish(write!(out, "{refusal}"), SUCCESS),
            };
        }
    };
    let written = match &cli.command {
        Command::CheckConfig { file } => check_config::run(file, out),
        Command::CheckAof(options) => check_aof::run(options, &mut io::stdin().lock(), out, err),
        Command::CheckRdb(args) => check_rdb::run(args, out, err),
        Command::Convert(args) => convert::run(args, out, err),
        Command::Spool(SpoolCommand::Verify { file }) => spool::verify(file, out, err),
        Command::Backup(args) => backup::ask::run(args, out, err),
        Command::List(args) => backup::list::run(args, out, err),
        Command::Verify(args) => backup::verify::run(args, out, err),
        Command::Restore(args) => backup::restore::restore(args, out, err),
        Command::Export(args) => backup::restore::export(args, out, err),
        Command::Prune(args) => backup::prune::run(args, out, err),
        Command::Keygen(args) => backup::keygen::run(args, out, err),
        Command::CheckStore(args) => backup::check_store::run(args, out, err),
        Command::Version => version(out),
    };
    match written {
        Ok(code) => finish(out.flush(), code),
        Err(error) => finish(Err(error), FAILURE),
    }
}

/// Called by the name of a tool of Redis, through a link, this one does that tool's work.
fn under_its_name(mut args: Vec<OsString>) -> Vec<OsString> {
    let name = args.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == "redis-check-rdb" || name == "valkey-check-rdb") {
        args.insert(1, "check-rdb".into());
    }
    args
}

/// If nobody reads the findings any more, the exit code must still not call them good.
fn finish(written: io::Result<()>, code: u8) -> u8 {
    match written {
        Err(_) if code == SUCCESS => FAILURE,
        _ => code,
    }
}

fn version(out: &mut dyn Write) -> io::Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(
        out,
        "basalt {version} (compatible with Redis {COMPAT_VERSION})"
    )?;
    Ok(SUCCESS)
}

/// For tests: runs a command line and returns exit code, standard output and standard error.
#[cfg(test)]
fn capture(args: &[&std::ffi::OsStr]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("basalt".into()).chain(args.iter().map(OsString::from));
    let code = run(args, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (code, text(out), text(err))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture_words(args: &[&str]) -> (u8, String, String) {
        let args: Vec<&std::ffi::OsStr> = args.iter().map(std::ffi::OsStr::new).collect();
        capture(&args)
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn versions() {
        let version = env!("CARGO_PKG_VERSION");
        let (code, out, err) = capture_words(&["version"]);
        assert_eq!((code, err.as_str()), (SUCCESS, ""));
        assert_eq!(
            out,
            format!("basalt {version} (compatible with Redis {COMPAT_VERSION})\n")
        );
        assert_eq!(
            capture_words(&["--version"]).1,
            format!("basalt {version}\n")
        );
    }

    #[test]
    fn a_link_named_like_a_tool_of_redis() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = ["/usr/bin/redis-check-rdb", "/nonexistent/dump.rdb"].map(OsString::from);
        assert_eq!(run(args, &mut out, &mut err), FAILURE);
        let text = String::from_utf8(err).expect("UTF-8");
        assert!(text.starts_with("/nonexistent/dump.rdb: "), "{text}");
    }

    #[test]
    fn help_goes_to_standard_output() {
        let (code, out, err) = capture_words(&["--help"]);
        assert_eq!((code, err.as_str()), (SUCCESS, ""));
        for command in [
            "check-config",
            "check-aof",
            "check-rdb",
            "convert",
            "spool",
            "version",
        ] {
            assert!(out.contains(command), "{out}");
        }
        let (code, out, _) = capture_words(&["spool", "verify", "--help"]);
        assert_eq!(code, SUCCESS);
        assert!(out.contains("no damage"), "{out}");
    }

    #[test]
    fn a_wrong_command_line_is_refused() {
        for args in [
            &[][..],
            &["spool"],
            &["nonsense"],
            &["check-config"],
            &["version", "extra"],
        ] {
            let (code, out, err) = capture_words(args);
            assert_eq!((code, out.as_str()), (USAGE, ""), "{args:?}");
            assert!(err.contains("Usage: basalt"), "{args:?}: {err}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_success() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for args in [&["basalt", "version"][..], &["basalt", "--help"]] {
            let args = args.iter().map(OsString::from);
            assert_eq!(run(args, &mut Gone, &mut Vec::new()), FAILURE);
        }
    }
}
