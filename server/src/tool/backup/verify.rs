//! `basalt verify`: are backups as they were written, and does their data come back?

use std::io::{self, Write};

use basalt_backup::job::each::each_chunk;
use basalt_backup::job::verify::Verifier;
use basalt_backup::job::{JobError, catalog};
use basalt_backup::repo::crypt::Identities;
use basalt_backup::repo::{BackupId, Chunk, Digest, Position, RepositoryKey};
use basalt_backup::store::BackupStore;

use super::progress::Progress;
use super::{Failure, Repository, Secrets, refuse};
use crate::backup::drill::Drill;
use crate::server::unix_ms;
use crate::tool::{FAILURE, SUCCESS};

/// So long after a backup the log up to it must have arrived.
const SETTLED_MS: i64 = 60_000;

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
    // How far the log has gone, as backups say; what the youngest know of may still be on its way.
    let settled_ms = unix_ms().saturating_sub(SETTLED_MS);
    let heads = catalog::all(&*store)?.into_iter();
    let positions: Vec<Position> = heads
        .filter_map(|listed| listed.manifest.ok())
        .filter(|manifest| manifest.ended_ms < settled_ms)
        .filter_map(|manifest| manifest.archive)
        .collect();
    let mut verifier = Verifier::default();
    let mut damaged = 0;
    let mut rows = Vec::new();
    for id in &ids {
        let (manifest, mut wrong) = verifier.backup(&*store, id, &|| false);
        let size = manifest
            .as_ref()
            .map_or(0, |manifest| manifest.stored_bytes);
        let mut segments = Vec::new();
        if let Some(position) = manifest.and_then(|manifest| manifest.archive) {
            match verifier.log(&*store, &position, &positions) {
                Ok(found) => segments = found,
                Err(error) => wrong.push(error),
            }
        }
        let mut digest = None;
        if wrong.is_empty() && (args.drill || !identities.is_empty()) {
            let progress = Progress::new("drill", size, args.json);
            match deep(&*store, id, &identities, args.drill, &progress) {
                Ok((found, key)) => {
                    digest = found;
                    for stored in &segments {
                        let read = verifier.segment(&*store, stored, &identities, &key);
                        wrong.extend(read.err());
                    }
                }
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
    progress: &Progress,
) -> Result<(Option<Digest>, RepositoryKey), JobError> {
    let (manifest, key) = catalog::open(store, id, identities)?;
    if !drill {
        return Ok((None, key));
    }
    let drill = Drill::new(&manifest, &key);
    let chunks: Vec<&Chunk> = manifest.chunks.iter().collect();
    let prove = |chunk: &Chunk, rdb: &[u8]| {
        progress.add(chunk.bytes);
        drill.chunk(chunk, rdb)
    };
    each_chunk(store, &chunks, identities, &prove, |_, _| {
        Ok::<(), JobError>(())
    })?;
    Ok((Some(drill.finish(&manifest)?), key))
}
