//! The commands about backups. They reach the repository directly, so they need no running server; only `backup` asks one.
//!
//! Secrets never stand on the command line: credentials come from the environment or a file, identities and passphrases
//! from files, `BASALT_PASSPHRASE` and `REDISCLI_AUTH`.

pub(super) mod ask;
pub(super) mod check_store;
mod connection;
mod into;
pub(super) mod keygen;
pub(super) mod list;
mod progress;
pub(super) mod prune;
pub(super) mod restore;
#[cfg(test)]
mod tests;
pub(super) mod verify;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use basalt_backup::repo::crypt::Identities;
use basalt_backup::store::BackupStore;
use basalt_backup::store::url::{StoreOptions, StoreUrl, open};

use super::FAILURE;
use crate::backup::Settings;
pub(super) use crate::backup::restore::Failure;
use crate::config::{Config, NoHooks, StartPlan};

/// The longest identity or passphrase file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where a repository is.
#[derive(Debug, clap::Args)]
pub(super) struct Repository {
    /// Where the backups are: a directory, s3://bucket/prefix, gs://... or az://...
    #[arg(required_unless_present = "config")]
    pub url: Option<String>,
    /// Take place and options from the backup- directives of a server's configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where requests go instead of the vendor's address, such as http://localhost:9000
    #[arg(long)]
    pub endpoint: Option<String>,
    /// The region
    #[arg(long)]
    pub region: Option<String>,
    /// Names of buckets are part of the host name
    #[arg(long)]
    pub virtual_hosted: bool,
    /// A file in the form of ~/.aws/credentials; else they come from the environment
    #[arg(long, value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,
}

/// What opens encrypted backups.
#[derive(Debug, clap::Args)]
pub(super) struct Secrets {
    /// A file with an age identity, possibly protected by a passphrase
    #[arg(long, short, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// A file whose first line is the passphrase of the identity; else BASALT_PASSPHRASE
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl Repository {
    /// Opens it.
    pub(super) fn open(&self) -> Result<Arc<dyn BackupStore>, Failure> {
        let (url, options) = self.place()?;
        Ok(open(&url, &options)?)
    }

    /// Where it is, and how it is reached.
    pub(super) fn place(&self) -> Result<(StoreUrl, StoreOptions), Failure> {
        let (mut url, mut options) = (None, StoreOptions::default());
        if let Some(file) = &self.config {
            let plan = StartPlan {
                config_file: Some(std::path::absolute(file)?),
                ..StartPlan::default()
            };
            let loaded = Config::load(&plan, &mut io::empty(), &mut NoHooks)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let settings = Settings::of(&loaded.config)?;
            (url, options) = (Some(settings.url), settings.options);
        }
        if let Some(given) = &self.url {
            url = Some(StoreUrl::parse(&absolute(given)?)?);
        }
        options.endpoint = self.endpoint.clone().or(options.endpoint);
        options.region = self.region.clone().or(options.region);
        options.virtual_hosted |= self.virtual_hosted;
        options.credentials_file = self.credentials_file.clone().or(options.credentials_file);
        let url = url.ok_or("no repository was given")?;
        Ok((url, options))
    }
}

/// A URL as it is, a path as an absolute one.
fn absolute(given: &str) -> io::Result<String> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    let path = std::path::absolute(given)?;
    let path = path.into_os_string().into_string();
    path.map_err(|_| io::Error::other("the path is not UTF-8"))
}

impl Secrets {
    /// Reads the identities.
    pub(super) fn open(&self) -> Result<Identities, Failure> {
        let Some(path) = &self.identity else {
            return Ok(Identities::default());
        };
        let file = read_bounded(path)?;
        let mut unreadable = None;
        let identities = Identities::parse(&file, || match self.passphrase() {
            Ok(passphrase) => passphrase,
            Err(error) => {
                unreadable = Some(error);
                None
            }
        });
        if let Some(error) = unreadable {
            return Err(error);
        }
        identities.map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// The passphrase, if there is one.
    pub(super) fn passphrase(&self) -> Result<Option<String>, Failure> {
        passphrase(self.passphrase_file.as_ref())
    }
}

/// The first line of a file, or what the environment says.
pub(super) fn passphrase(file: Option<&PathBuf>) -> Result<Option<String>, Failure> {
    let Some(path) = file else {
        return Ok(std::env::var("BASALT_PASSPHRASE").ok());
    };
    let text = String::from_utf8(read_bounded(path)?)
        .map_err(|_| format!("{}: not UTF-8", path.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(format!("{}: there is no passphrase in it", path.display()).into());
    }
    Ok(Some(line.to_owned()))
}

fn read_bounded(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(format!("{}: it is too long", path.display()).into());
    }
    Ok(fs::read(path).map_err(failed)?)
}

/// Prints what kept a command from its work, with its causes.
pub(super) fn refuse(
    error: &Failure,
    json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    if json {
        writeln!(out, "{}", serde_json::json!({ "ok": false, "error": text }))?;
    }
    writeln!(err, "basalt: {text}")?;
    Ok(FAILURE)
}

/// A moment for people.
pub(super) fn moment(ms: i64) -> String {
    basalt_backup::repo::time_text(ms)
}
