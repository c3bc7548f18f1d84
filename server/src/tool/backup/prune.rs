//! `basalt prune`: removes what need not be kept.

use std::io::{self, Write};

use basalt_backup::job::prune::{Pruned, Wish, prune};
use basalt_backup::job::retention::Retention;

use super::{Failure, Repository, refuse};
use crate::server::unix_ms;
use crate::tool::SUCCESS;

/// The command line.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct Args {
    #[command(flatten)]
    repository: Repository,
    /// What to keep of each data set, such as "7d 4w 12m"; "" keeps all and removes only what no backup needs
    #[arg(long)]
    retention: Retention,
    /// Only backups of this data set
    #[arg(long, value_name = "ID")]
    lineage: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::tool) fn run(
    args: &Args,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let pruned = match pruned(args) {
        Ok(pruned) => pruned,
        Err(error) => return refuse(&error, args.json, out, err),
    };
    if args.json {
        let result = serde_json::json!({ "ok": true, "dry_run": args.dry_run, "pruned": pruned });
        writeln!(out, "{result}")?;
        return Ok(SUCCESS);
    }
    let verb = if args.dry_run {
        "would be removed"
    } else {
        "removed"
    };
    for id in &pruned.backups {
        writeln!(out, "{id}: {verb}")?;
    }
    writeln!(
        out,
        "{} backups, {} objects of {} bytes {verb}; {} backups kept",
        pruned.backups.len(),
        pruned.objects,
        pruned.bytes,
        pruned.kept
    )?;
    Ok(SUCCESS)
}

fn pruned(args: &Args) -> Result<Pruned, Failure> {
    let store = args.repository.open()?;
    let wish = Wish {
        retention: args.retention.clone(),
        lineage: args.lineage.clone(),
        dry_run: args.dry_run,
        now_ms: unix_ms(),
    };
    Ok(prune(&*store, &wish)?)
}
