//! `basalt check-store`: does a store keep what backups rely on?
//!
//! Servers that speak S3 differ where it matters: whether a name that is taken can be created again, whether an upload that broke
//! off shows. Everything happens below a name of its own, which is removed if all is well.

use std::io::{self, Write};
use std::time::Instant;

use basalt_backup::store::conformance;
use basalt_backup::store::url::{StoreUrl, open};

use super::{Failure, Repository, refuse};
use crate::tool::SUCCESS;

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
    let began = Instant::now();
    match check(args) {
        Ok(place) if args.json => {
            let result = serde_json::json!({ "ok": true, "place": place });
            writeln!(out, "{result}")?;
        }
        Ok(place) => writeln!(
            out,
            "{place}: fit for backups, {} ms",
            began.elapsed().as_millis()
        )?,
        Err(error) => return refuse(&error, args.json, out, err),
    }
    Ok(SUCCESS)
}

/// Runs the suite; where.
fn check(args: &Args) -> Result<String, Failure> {
    let (url, options) = args.repository.place()?;
    let name = format!("basalt-check-{:016x}", getrandom::u64()?);
    let (place, folder) = match url {
        StoreUrl::Local(root) => {
            let folder = root.join(name);
            std::fs::create_dir(&folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
            (StoreUrl::Local(folder.clone()), Some(folder))
        }
        StoreUrl::Bucket {
            vendor,
            bucket,
            prefix,
        } => {
            let prefix = [prefix.as_str(), name.as_str()].join("/");
            let prefix = prefix.trim_start_matches('/').to_owned();
            let place = StoreUrl::Bucket {
                vendor,
                bucket,
                prefix,
            };
            (place, None)
        }
    };
    let checked = open(&place, &options)
        .map_err(Failure::from)
        .and_then(|store| conformance::check(&*store).map_err(Failure::from));
    if let Some(folder) = folder {
        // It is ours and was new.
        let _ = std::fs::remove_dir_all(folder);
    }
    match checked {
        Ok(()) => Ok(place.to_string()),
        Err(error) => Err(format!("{place}: not fit for backups: {error}").into()),
    }
}
