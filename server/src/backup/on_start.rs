//! `restore-on-start`: a server whose data directory is empty begins with a backup.
//!
//! Invariant: a directory with anything of a data set in it is left as it is, and a server that was told to begin with a
//! backup and cannot does not start: it never begins empty instead.

use std::path::{Path, PathBuf};

use basalt_backup::repo::crypt::Identities;

use super::Settings;
use super::restore::{Failure, LogNames, Opened, base_before, moment_of};
use crate::config::Config;
use crate::persist::lineage::FILE_NAME;

/// Restores what `restore-on-start` says, if there is no data; whether it did.
///
/// # Errors
/// Why it cannot be restored; nothing is there then.
pub fn restore(config: &Config) -> Result<bool, Failure> {
    let Some(at) = config.restore_on_start.as_deref() else {
        return Ok(false);
    };
    let names = [
        config.dbfilename.as_str(),
        config.appenddirname.as_str(),
        config.appendfilename.as_str(),
        FILE_NAME,
    ];
    if let Some(name) = names
        .iter()
        .find(|name| Path::new(name).symlink_metadata().is_ok())
    {
        tracing::info!("restore-on-start: {name} is there, so nothing is restored");
        return Ok(false);
    }
    let until_ms = moment_of(at)?;
    let settings = Settings::of(config)?;
    let store = settings.store()?;
    let identities = match &config.restore_identity {
        Some(path) => identities(&PathBuf::from(path))?,
        None => Identities::default(),
    };
    let id = base_before(&*store, until_ms)?;
    let opened = Opened::new(&*store, &id, &identities)?;
    let tick = |_: u64| {};
    let archived = opened.manifest.archive.is_some();
    tracing::info!(
        "restore-on-start: restoring backup {id}, {} keys",
        opened.manifest.keys()
    );
    if !archived && until_ms.is_none_or(|until| until == opened.manifest.cut_ms) {
        if config.appendonly {
            return Err("there is no archive of the log behind the backup: start with appendonly no, and switch it on then".into());
        }
        opened.to_file(Path::new(&config.dbfilename), None, &tick)?;
        return Ok(true);
    }
    if !config.appendonly {
        return Err("the archive of the log goes on after the backup: set appendonly yes, so that it can be replayed".into());
    }
    let names = LogNames {
        folder: config.appenddirname.clone(),
        file: config.appendfilename.clone(),
    };
    let (_, effects) = opened.to_folder(Path::new("."), &names, until_ms, &tick)?;
    tracing::info!("restore-on-start: {effects} effects of the archive come after it");
    Ok(true)
}

/// Reads an identity, with the passphrase that the environment holds.
fn identities(path: &Path) -> Result<Identities, Failure> {
    let file = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let passphrase = || std::env::var("BASALT_PASSPHRASE").ok();
    Identities::parse(&file, passphrase)
        .map_err(|error| format!("{}: {error}", path.display()).into())
}
