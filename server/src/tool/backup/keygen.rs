//! `basalt keygen`: an identity for decrypting backups.

use std::io::{self, Write};
use std::path::PathBuf;

use basalt_backup::repo::crypt::NewIdentity;
use basalt_backup::repo::key::write_secret;

use super::{Failure, moment, passphrase, refuse};
use crate::server::unix_ms;
use crate::tool::SUCCESS;

/// The command line.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct Args {
    /// The file to write the identity to; it must not exist
    #[arg(long, short)]
    output: PathBuf,
    /// Protect it with the passphrase in the first line of this file, or in BASALT_PASSPHRASE
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(in crate::tool) fn run(
    args: &Args,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    match generate(args) {
        Ok(recipient) => {
            writeln!(out, "{recipient}")?;
            writeln!(
                err,
                "The identity is in {}. Without it no backup can be read: keep copies away from the server.",
                args.output.display()
            )?;
            Ok(SUCCESS)
        }
        Err(error) => refuse(&error, false, out, err),
    }
}

fn generate(args: &Args) -> Result<String, Failure> {
    let new = NewIdentity::generate(&moment(unix_ms()));
    let file = new.file(passphrase(args.passphrase_file.as_ref())?)?;
    write_secret(&args.output, &file)
        .map_err(|error| format!("{}: {error}", args.output.display()))?;
    Ok(new.recipient)
}
