//! `basalt verify`: are backups as they were written, and does their data come back?

use std::io::{self, Write};

use basalt_backup::job::join::read_chunk;
use basalt_backup::job::verify::Verifier;
use basalt_backup::job::{JobError, catalog};
use basalt_backup::repo::crypt::Identities;
use basalt_backup::repo::{BackupId, Digest};
use basalt_backup::store::BackupStore;

use super::{Failure, Repository, Secrets, refuse};
use crate::backup::drill::Drill;
use crate::tool::{FAILURE, SUCCESS};

/// The command line.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct Args {
    #[command(flatten)]
    repository: Repository,
    #[command(flatten)]
    secrets: Secrets,
    /// The backup: an ID, the beginning of one, latest or all
    #[arg(long, default_value = "all")]
    backup: String,
    /// Decrypt and load everything, and compare the digest of the data; a chunk at a time
    #[arg(long)]
    drill: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::tool) fn run(
    args: &Args,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    match verify(args, out) {
        Ok(code) => Ok(code),
        Err(error) => refuse(&error, args.json, out, err),
    }
}

fn verify(args: &Args, out: &mut dyn Write) -> Result<u8, Failure> {
    let store = args.repository.open()?;
    let identities = args.secrets.open()?;
    let ids = match args.backup.as_str() {
        "all" => catalog::ids(&*store)?,
        wanted => vec![catalog::find(&*store, wanted)?],
    };
    let mut verifier = Verifier::default();
    let mut damaged = 0;
    let mut rows = Vec::new();
    for id in &ids {
        let (_, mut wrong) = verifier.backup(&*store, id);
        let mut digest = None;
        if wrong.is_empty() && (args.drill || !identities.is_empty()) {
            match deep(&*store, id, &identities, args.drill) {
                Ok(found) => digest = found,
                Err(error) => wrong.push(error),
            }
        }
        damaged += u64::from(!wrong.is_empty());
        let reasons: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        if args.json {
            rows.push(serde_json::json!({
                "id": id, "ok": wrong.is_empty(), "digest": digest, "errors": reasons,
            }));
            continue;
        }
        let proof = match digest {
            Some(_) => "good, its data comes back",
            None => "good",
        };
        let verdict = if wrong.is_empty() { proof } else { "DAMAGED" };
        writeln!(out, "{id}: {verdict}")?;
        for reason in reasons {
            writeln!(out, "  {reason}")?;
        }
    }
    if args.json {
        let result = serde_json::json!({
            "ok": damaged == 0 && !ids.is_empty(), "backups": rows,
            "objects": verifier.objects, "bytes": verifier.bytes,
        });
        writeln!(out, "{result}")?;
    } else {
        writeln!(
            out,
            "{} backups, {damaged} damaged; {} objects, {} bytes read",
            ids.len(),
            verifier.objects,
            verifier.bytes
        )?;
    }
    // A repository without backups is no success for whoever relies on it.
    Ok(if damaged == 0 && !ids.is_empty() {
        SUCCESS
    } else {
        FAILURE
    })
}

/// What an identity can tell: who wrote the manifest, and with `drill` what the data is.
fn deep(
    store: &dyn BackupStore,
    id: &BackupId,
    identities: &Identities,
    drill: bool,
) -> Result<Option<Digest>, JobError> {
    let (manifest, key) = catalog::open(store, id, identities)?;
    if !drill {
        return Ok(None);
    }
    let mut drill = Drill::new(&manifest, &key);
    for chunk in &manifest.chunks {
        drill.chunk(chunk, &read_chunk(store, chunk, identities)?)?;
    }
    drill.finish(&manifest).map(Some)
}
