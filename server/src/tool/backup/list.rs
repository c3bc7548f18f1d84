//! `basalt list`: what a repository holds.

use std::io::{self, Write};

use basalt_backup::job::coverage::{self, Span};
use basalt_backup::job::{archive, catalog};

use super::{Failure, Repository, moment, refuse};
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
    let read = || -> Result<_, Failure> {
        let store = args.repository.open()?;
        let listed = catalog::all(&*store)?;
        Ok((listed, archive::list(&*store, None)?))
    };
    let (listed, segments) = match read() {
        Ok(read) => read,
        Err(error) => return refuse(&error, args.json, out, err),
    };
    let manifests = listed
        .iter()
        .filter_map(|backup| backup.manifest.as_ref().ok());
    let spans = coverage::spans(manifests, &segments);
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
        let moments: Vec<_> = spans.iter().map(moments).collect();
        writeln!(
            out,
            "{}",
            serde_json::json!({ "ok": ok, "backups": rows, "moments": moments })
        )?;
        return Ok(code);
    }
    let mut before: Option<&Span> = None;
    for span in &spans {
        match before.filter(|before| before.lineage == span.lineage) {
            None => writeln!(out, "\ndata set {}: what can be restored", span.lineage)?,
            Some(before) => writeln!(
                out,
                "  gap  {} to {}{}",
                moment(before.to_ms),
                moment(span.from_ms),
                match before.missing {
                    Some((first, last)) => format!(", effects {first} to {last} are missing"),
                    None => String::new(),
                }
            )?,
        }
        if span.from_ms == span.to_ms {
            writeln!(out, "  {}", moment(span.from_ms))?;
        } else {
            let (from, to) = (moment(span.from_ms), moment(span.to_ms));
            writeln!(out, "  {from} to {to}, any moment")?;
        }
        before = Some(span);
    }
    Ok(code)
}

/// A span as JSON.
fn moments(span: &Span) -> serde_json::Value {
    serde_json::json!({
        "lineage": span.lineage, "from_ms": span.from_ms, "to_ms": span.to_ms, "backups": span.backups,
        "missing_effects": span.missing.map(|(first, last)| [first, last]),
    })
}
