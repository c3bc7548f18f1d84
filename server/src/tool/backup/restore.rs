//! `basalt restore` and `basalt export`: a backup as an RDB file, in an empty data directory or anywhere.
//!
//! ```text
//! chunks --decrypt, decompress, check--> drill (load, digest) --> temporary file --fsync--> manifest agrees --rename--> file
//! ```
//!
//! Invariant: the file appears only when everything has been read, authenticated, loaded and found to have the digest of the
//! moment of the backup. Whatever goes wrong before, nothing has changed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use basalt_backup::job::join::join;
use basalt_backup::job::{archive, catalog};
use basalt_backup::repo::{BackupId, Chunk, Manifest, parse_moment};
use basalt_backup::store::BackupStore;

use super::{Failure, Repository, Secrets, moment, refuse};
use crate::backup::drill::Drill;
use crate::config::COMPAT_VERSION;
use crate::tool::SUCCESS;

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 20;

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
    /// Read and prove everything, but write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The command line of `restore`.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct RestoreArgs {
    #[command(flatten)]
    source: Source,
    /// The data directory: the server's dir. It must be empty of data, or not exist
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The name of the file: the server's dbfilename
    #[arg(long, default_value = "dump.rdb")]
    dbfilename: String,
    /// The data as of this moment, such as 2026-11-21T08:00:00Z, or latest: the archive is replayed after the backup
    /// before it. What is written is a log; start the server with appendonly yes
    #[arg(long, value_name = "TIME", conflicts_with = "backup")]
    at: Option<String>,
}

/// The command line of `export`.
#[derive(Debug, clap::Args)]
pub(in crate::tool) struct ExportArgs {
    #[command(flatten)]
    source: Source,
    /// The file to write; it must not exist
    #[arg(long, short)]
    output: PathBuf,
}

/// What was restored.
struct Restored {
    manifest: Manifest,
    bytes: u64,
    /// Effects of the archive that were put behind it.
    effects: Option<u64>,
    millis: u128,
}

pub(in crate::tool) fn restore(
    args: &RestoreArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let plain_name = !args.dbfilename.is_empty() && !args.dbfilename.contains('/');
    let file = match args.at {
        None => args.to.join(&args.dbfilename),
        Some(_) => args.to.join("appendonlydir"),
    };
    let result = if plain_name {
        empty_of_data(&args.to).and_then(|()| {
            let made = !args.to.exists();
            if made && !args.source.dry_run {
                fs::create_dir(&args.to)?;
            }
            let result = match &args.at {
                None => produce(&args.source, &file),
                Some(at) => replay_to(&args.source, &args.to, at),
            };
            if result.is_err() && made {
                // Only if it is as empty as it was made.
                let _ = fs::remove_dir(&args.to);
            }
            result
        })
    } else {
        Err("the name of the file must be without a path".into())
    };
    tell(&result, &args.source, &file, out, err)
}

pub(in crate::tool) fn export(
    args: &ExportArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let result = if args.output.symlink_metadata().is_ok() {
        Err(format!("{} exists already", args.output.display()).into())
    } else {
        produce(&args.source, &args.output)
    };
    tell(&result, &args.source, &args.output, out, err)
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

/// A file that is removed unless it is kept.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

fn produce(source: &Source, file: &Path) -> Result<Restored, Failure> {
    let began = Instant::now();
    let store = source.repository.open()?;
    let identities = source.secrets.open()?;
    let id = catalog::find(&*store, &source.backup)?;
    let (manifest, key) = catalog::open(&*store, &id, &identities)?;
    let mut drill = Drill::new(&manifest, &key);
    let ctime = (manifest.cut_ms / 1000).to_string();
    let bits = usize::BITS.to_string();
    let remarks = [
        ("redis-ver", COMPAT_VERSION),
        ("redis-bits", bits.as_str()),
        ("ctime", ctime.as_str()),
        ("basalt-restored-from", id.as_str()),
    ];
    let mut inspect = |chunk: &Chunk, rdb: &[u8]| drill.chunk(chunk, rdb);
    let mut write = |sink: &mut dyn Write| {
        join(
            &*store,
            &manifest,
            &identities,
            &remarks,
            sink,
            &mut inspect,
        )
    };
    let dir = file
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let bytes = if source.dry_run {
        let bytes = write(&mut io::sink())?;
        drill.finish(&manifest)?;
        bytes
    } else {
        let path = dir.join(format!("temp-restore-{}.rdb", std::process::id()));
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let output = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        let mut temporary = Temporary(Some(path.clone()));
        let mut output = BufWriter::with_capacity(BUFFER, output);
        let bytes = write(&mut output)?;
        let output = output
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        output.sync_all().map_err(failed)?;
        drill.finish(&manifest)?;
        // A link, unlike a rename, does not replace what somebody has put there meanwhile.
        fs::hard_link(&path, file).map_err(|error| format!("{}: {error}", file.display()))?;
        drop(Temporary(temporary.0.take()));
        File::open(dir)?.sync_all()?;
        bytes
    };
    Ok(Restored {
        manifest,
        bytes,
        effects: None,
        millis: began.elapsed().as_millis(),
    })
}

/// The newest backup that is not younger than a moment.
fn base_before(store: &dyn BackupStore, until_ms: Option<i64>) -> Result<BackupId, Failure> {
    let mut ids = catalog::ids(store)?;
    ids.retain(|id| until_ms.is_none_or(|until| id.time_ms() <= until));
    ids.pop()
        .ok_or_else(|| "there is no backup before that moment".into())
}

/// Writes a backup and what the archive holds after it as an append-only file.
fn replay_to(source: &Source, dir: &Path, at: &str) -> Result<Restored, Failure> {
    let began = Instant::now();
    let until_ms = match at {
        "latest" => None,
        text => Some(parse_moment(text).ok_or_else(|| format!("'{text}' is no moment"))?),
    };
    let store = source.repository.open()?;
    let identities = source.secrets.open()?;
    let id = base_before(&*store, until_ms)?;
    let (manifest, key) = catalog::open(&*store, &id, &identities)?;
    let position = manifest
        .archive
        .as_ref()
        .ok_or_else(|| format!("no archive of the log goes on after backup {id}"))?;
    let route = archive::route(&*store, position, until_ms)?;
    let temporary = TemporaryDir(dir.join(format!("temp-restore-{}", std::process::id())));
    let (base, log) = ("appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof");
    let create = |name: &str| -> Result<File, Failure> {
        let path = temporary.0.join(name);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        Ok(File::create_new(&path).map_err(failed)?)
    };
    let mut files: [Box<dyn Write>; 2] = [Box::new(io::sink()), Box::new(io::sink())];
    if !source.dry_run {
        fs::create_dir(&temporary.0)?;
        files = [Box::new(create(base)?), Box::new(create(log)?)];
    }
    let [base_file, log_file] = files;
    let mut drill = Drill::new(&manifest, &key);
    let bits = usize::BITS.to_string();
    let remarks = [
        ("redis-ver", COMPAT_VERSION),
        ("redis-bits", bits.as_str()),
        ("basalt-restored-from", id.as_str()),
        ("aof-base", "1"),
    ];
    let mut output = BufWriter::with_capacity(BUFFER, base_file);
    let mut inspect = |chunk: &Chunk, rdb: &[u8]| drill.chunk(chunk, rdb);
    let bytes = join(
        &*store,
        &manifest,
        &identities,
        &remarks,
        &mut output,
        &mut inspect,
    )?;
    output.flush()?;
    drill.finish(&manifest)?;
    let mut output = BufWriter::with_capacity(BUFFER, log_file);
    let mut effects = 0u64;
    for stored in &route.segments {
        let content = archive::read(&*store, stored, &identities, &key)?;
        effects += archive::replay(&stored.name, &content, until_ms, &mut output)?;
    }
    output.flush()?;
    if !source.dry_run {
        let names = format!("file {base} seq 1 type b\nfile {log} seq 1 type i\n");
        create("appendonly.aof.manifest")?.write_all(names.as_bytes())?;
        for name in [base, log, "appendonly.aof.manifest"] {
            File::open(temporary.0.join(name))?.sync_all()?;
        }
        File::open(&temporary.0)?.sync_all()?;
        fs::rename(&temporary.0, dir.join("appendonlydir"))?;
        File::open(dir)?.sync_all()?;
    }
    Ok(Restored {
        manifest,
        bytes,
        effects: Some(effects),
        millis: began.elapsed().as_millis(),
    })
}

/// A directory that is removed, unless it has another name by then.
struct TemporaryDir(PathBuf);

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tell(
    result: &Result<Restored, Failure>,
    source: &Source,
    file: &Path,
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
            "digest": manifest.digest, "file": file.display().to_string(), "bytes": restored.bytes,
            "dry_run": source.dry_run, "effects": restored.effects, "took_ms": u64::try_from(restored.millis).unwrap_or(u64::MAX),
        });
        writeln!(out, "{result}")?;
        return Ok(SUCCESS);
    }
    let verb = if source.dry_run { "would be" } else { "is" };
    writeln!(
        out,
        "backup {} of {}: {} keys, digest as at the time; {} {verb} written, {} bytes, {} ms",
        manifest.id,
        moment(manifest.cut_ms),
        manifest.keys(),
        file.display(),
        restored.bytes,
        restored.millis
    )?;
    if let Some(effects) = restored.effects {
        writeln!(
            out,
            "{effects} effects of the archive come after it; start the server with appendonly yes"
        )?;
    }
    Ok(SUCCESS)
}
