//! `basalt list`: what a repository holds.

use std::io::{self, Write};

use basalt_backup::job::catalog;

use super::{Repository, moment, refuse};
use crate::tool::{FAILURE, SUCCESS};

/// The command line.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct Args {
    #[command(flatten)]
    repository: Repository,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::tool) fn run(
    args: &Args,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let listed = args
        .repository
        .open()
        .and_then(|store| Ok(catalog::all(&*store)?));
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => return refuse(&error, args.json, out, err),
    };
    let mut code = SUCCESS;
    let mut rows = Vec::new();
    if !args.json {
        writeln!(
            out,
            "{:<38} {:<20} {:>12} {:>14} {:>14} data set",
            "backup", "data of", "keys", "stored", "uploaded"
        )?;
    }
    for backup in listed {
        match backup.manifest {
            Ok(manifest) if args.json => rows.push(serde_json::json!({
                "id": manifest.id,
                "lineage": manifest.lineage,
                "cut_ms": manifest.cut_ms,
                "parent": manifest.parent,
                "keys": manifest.keys(),
                "stored_bytes": manifest.stored_bytes,
                "uploaded_bytes": manifest.uploaded_bytes,
                "encrypted": !manifest.recipients.is_empty(),
                "digest": manifest.digest,
            })),
            Ok(manifest) => writeln!(
                out,
                "{:<38} {:<20} {:>12} {:>14} {:>14} {}",
                manifest.id.as_str(),
                moment(manifest.cut_ms),
                manifest.keys(),
                manifest.stored_bytes,
                manifest.uploaded_bytes,
                manifest.lineage
            )?,
            Err(error) => {
                code = FAILURE;
                if args.json {
                    rows.push(serde_json::json!({ "id": backup.id, "error": error.to_string() }));
                } else {
                    writeln!(out, "{:<38} cannot be read: {error}", backup.id.as_str())?;
                }
            }
        }
    }
    if args.json {
        let ok = code == SUCCESS;
        writeln!(out, "{}", serde_json::json!({ "ok": ok, "backups": rows }))?;
    }
    Ok(code)
}
