//! `basalt restore` and `basalt export`: a backup, or some of its keys, as files, or into a running server.
//!
//! What is promised: nothing is changed before all of the backup has been read, authenticated, loaded in a trial and found to
//! have the digest of its moment.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use basalt_backup::job::catalog;
use basalt_backup::job::join::Wanted;
use basalt_backup::repo::Manifest;

use super::into::{Target, Wish, restore_file, restore_into};
use super::progress::Progress;
use super::{Failure, Repository, Secrets, moment, refuse};
use crate::backup::moment::Moment;
use crate::backup::restore::{LogNames, Opened, base_before, moment_of};
use crate::tool::SUCCESS;

/// What both take.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct Source {
    #[command(flatten)]
    repository: Repository,
    #[command(flatten)]
    secrets: Secrets,
    /// The backup: an ID, the beginning of one, or latest
    #[arg(long, default_value = "latest")]
    backup: String,
    #[command(flatten)]
    selection: Selection,
    /// Read and prove everything, but write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which keys.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Selection {
    /// Only keys of this database
    #[arg(long, value_name = "NUMBER")]
    db: Option<u32>,
    /// Only keys that begin so
    #[arg(long, conflicts_with = "key")]
    prefix: Option<String>,
    /// Only this key; may be given several times
    #[arg(long)]
    key: Vec<String>,
}

impl Selection {
    fn is_all(&self) -> bool {
        self.db.is_none() && self.prefix.is_none() && self.key.is_empty()
    }

    /// In the form that a walk takes.
    fn wanted(self) -> Arc<basalt_engine::snapshot::Wanted> {
        Arc::new(move |db, key| self.has(db as u64, key))
    }

    fn has(&self, db: u64, key: &[u8]) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        self.db.is_none_or(|only| u64::from(only) == db)
            && key.starts_with(prefix.as_bytes())
            && (self.key.is_empty() || self.key.iter().any(|only| only.as_bytes() == key))
    }
}

/// The command line of `restore`.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct RestoreArgs {
    #[command(flatten)]
    source: Source,
    /// The data directory: the server's dir. It must be empty of data, or not exist
    #[arg(long, value_name = "DIR", required_unless_present = "into")]
    to: Option<PathBuf>,
    /// The name of the file: the server's dbfilename
    #[arg(long, default_value = "dump.rdb")]
    dbfilename: String,
    /// The data as of this moment, such as 2026-11-21T08:00:00Z, or latest: the archive is replayed after the backup
    /// before it. What is written is a log; start the server with appendonly yes. Of some keys it is an RDB file
    #[arg(long, value_name = "TIME", conflicts_with = "backup")]
    at: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// The command line of `export`.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct ExportArgs {
    #[command(flatten)]
    source: Source,
    /// The file to write; it must not exist
    #[arg(long, short)]
    output: PathBuf,
    /// The data as of this moment, or latest; takes the memory of the data set
    #[arg(long, value_name = "TIME", conflicts_with = "backup")]
    at: Option<String>,
}

/// What was restored.
struct Restored {
    manifest: Manifest,
    /// Keys, if they were counted.
    keys: Option<u64>,
    bytes: u64,
    /// Effects of the archive that were put behind it.
    effects: Option<u64>,
    /// They are a log that is to be replayed.
    log: bool,
    millis: u128,
}

/// Where it goes.
enum Place<'p> {
    File(PathBuf),
    /// The data directory, for a log.
    Log(&'p Path),
    Server(&'p Target),
}

pub(in crate::tool) fn restore(
    args: &RestoreArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let (result, place) = match &args.to {
        Some(dir) => restore_to(args, dir),
        None => {
            let result = produce(
                &args.source,
                &Place::Server(&args.target),
                args.at.as_deref(),
            );
            (result, args.target.to_string())
        }
    };
    tell(&result, &args.source, &place, out, err)
}

fn restore_to(args: &RestoreArgs, dir: &Path) -> (Result<Restored, Failure>, String) {
    // A log replays everything; of some keys there can only be a file.
    let (place, shown) = if args.at.is_some() && args.source.selection.is_all() {
        (Place::Log(dir), dir.join("appendonlydir"))
    } else {
        let file = dir.join(&args.dbfilename);
        (Place::File(file.clone()), file)
    };
    let shown = shown.display().to_string();
    if args.dbfilename.is_empty() || args.dbfilename.contains('/') {
        return (
            Err("the name of the file must be without a path".into()),
            shown,
        );
    }
    let result = empty_of_data(dir).and_then(|()| {
        let made = !dir.exists();
        if made && !args.source.dry_run {
            fs::create_dir(dir)?;
        }
        let result = produce(&args.source, &place, args.at.as_deref());
        if result.is_err() && made {
            // Only if it is as empty as it was made.
            let _ = fs::remove_dir(dir);
        }
        result
    });
    (result, shown)
}

pub(in crate::tool) fn export(
    args: &ExportArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let result = if args.output.symlink_metadata().is_ok() {
        Err(format!("{} exists already", args.output.display()).into())
    } else {
        let place = Place::File(args.output.clone());
        produce(&args.source, &place, args.at.as_deref())
    };
    tell(
        &result,
        &args.source,
        &args.output.display().to_string(),
        out,
        err,
    )
}

/// A directory with anything in it that a server would have written is somebody's data.
fn empty_of_data(dir: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{}: {error}", dir.display()).into()),
    };
    for entry in entries {
        let name = entry?.file_name();
        // What a file system puts into its root.
        if name == "lost+found" {
            continue;
        }
        return Err(format!(
            "{} is not empty: there is {}",
            dir.display(),
            Path::new(&name).display()
        )
        .into());
    }
    Ok(())
}

fn produce(source: &Source, place: &Place<'_>, at: Option<&str>) -> Result<Restored, Failure> {
    let began = Instant::now();
    let until_ms = at.map(moment_of).transpose()?;
    let store = source.repository.open()?;
    let identities = source.secrets.open()?;
    let id = match until_ms {
        Some(until_ms) => base_before(&*store, until_ms)?,
        None => catalog::find(&*store, &source.backup)?,
    };
    let opened = Opened::new(&*store, &id, &identities)?;
    let progress = Progress::new("restoring", opened.manifest.stored_bytes, source.json);
    let tick = |bytes| progress.add(bytes);
    let selection = &source.selection;
    let has = |db: u64, key: &[u8]| selection.has(db, key);
    let wanted: Option<&Wanted<'_>> = if selection.is_all() { None } else { Some(&has) };
    let (mut keys, mut effects) = (None, None);
    let bytes = match (place, until_ms) {
        (Place::Log(dir), Some(until_ms)) if !source.dry_run => {
            let names = LogNames {
                folder: "appendonlydir".into(),
                file: "appendonly.aof".into(),
            };
            let (bytes, more) = opened.to_folder(dir, &names, until_ms, &tick)?;
            effects = Some(more);
            bytes
        }
        (Place::Server(target), _) if until_ms.is_none() || wanted.is_none() => {
            let wish = Wish {
                wanted,
                until_ms,
                dry_run: source.dry_run,
            };
            let done = restore_into(&opened, target, &wish, &tick)?;
            (keys, effects) = (Some(done.keys), done.effects);
            done.bytes
        }
        (_, Some(until_ms)) => {
            let moment = Moment::load(&opened, until_ms, &tick)?;
            effects = Some(moment.effects);
            let wanted = (!selection.is_all()).then(|| selection.clone().wanted());
            match place {
                Place::File(file) if !source.dry_run => {
                    opened.moment_file(file, &moment, wanted)?
                }
                Place::Server(target) => {
                    let mut rdb = Vec::new();
                    moment.write(&[], wanted, &mut rdb)?;
                    let done = restore_file(&rdb, id.as_str(), target, source.dry_run)?;
                    keys = Some(done.keys);
                    done.bytes
                }
                _ => moment.write(&[], wanted, &mut io::sink())?,
            }
        }
        (Place::File(file), None) if !source.dry_run => opened.to_file(file, wanted, &tick)?,
        _ => opened.write(&[], wanted, &mut io::sink(), &tick)?,
    };
    Ok(Restored {
        manifest: opened.manifest,
        keys,
        bytes,
        effects,
        log: matches!(place, Place::Log(_)),
        millis: began.elapsed().as_millis(),
    })
}

fn tell(
    result: &Result<Restored, Failure>,
    source: &Source,
    place: &str,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let restored = match result {
        Ok(restored) => restored,
        Err(error) => return refuse(error, source.json, out, err),
    };
    let manifest = &restored.manifest;
    if source.json {
        let result = serde_json::json!({
            "ok": true, "id": manifest.id, "cut_ms": manifest.cut_ms, "keys": manifest.keys(),
            "restored_keys": restored.keys, "digest": manifest.digest, "file": place, "bytes": restored.bytes,
            "dry_run": source.dry_run, "effects": restored.effects,
            "took_ms": u64::try_from(restored.millis).unwrap_or(u64::MAX),
        });
        writeln!(out, "{result}")?;
        return Ok(SUCCESS);
    }
    let verb = if source.dry_run { "would be" } else { "is" };
    writeln!(
        out,
        "backup {} of {}: {} keys, digest as at the time; {place} {verb} written, {} bytes, {} ms",
        manifest.id,
        moment(manifest.cut_ms),
        manifest.keys(),
        restored.bytes,
        restored.millis
    )?;
    if let Some(keys) = restored.keys {
        writeln!(out, "{keys} keys of it are wanted")?;
    }
    if let Some(effects) = restored.effects {
        writeln!(out, "{effects} effects of the archive come after it")?;
        if restored.log {
            writeln!(out, "start the server with appendonly yes")?;
        }
    }
    Ok(SUCCESS)
}
