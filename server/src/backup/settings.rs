//! The `backup-` directives in a form that can be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use basalt_backup::job::retention::Retention;
use basalt_backup::repo::chunk::Codec;
use basalt_backup::repo::crypt::Recipients;
use basalt_backup::store::url::{StoreOptions, StoreUrl, open};
use basalt_backup::store::{BackupStore, StoreError};

use crate::config::Config;

/// The file beside the data that holds the repository key.
pub const KEY_FILE: &str = "basalt.backup-key";

/// The file beside the data that tells what the last backup holds.
pub const INDEX_FILE: &str = "basalt.backup-index";

/// Where and how backups are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where.
    pub url: StoreUrl,
    /// How it is reached.
    pub options: StoreOptions,
    /// Compression.
    pub codec: Codec,
    /// Who can read them.
    pub recipients: Recipients,
    /// How long they are kept.
    pub retention: Retention,
    /// Most bytes a second; zero: no limit.
    pub limit: u64,
    /// Where chunks wait; none: beside the data.
    pub spool_dir: Option<PathBuf>,
}

/// Why there are no backups.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// There is no place for them.
    #[error("no place for backups is configured: set backup-url")]
    NoUrl,
    /// A directive has a wrong value.
    #[error("{directive}: {reason}")]
    Wrong {
        /// Which.
        directive: &'static str,
        /// Why.
        reason: String,
    },
}

impl Settings {
    /// What the configuration says.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn of(config: &Config) -> Result<Settings, SettingsError> {
        fn checked<T, E: std::fmt::Display>(
            directive: &'static str,
            result: Result<T, E>,
        ) -> Result<T, SettingsError> {
            result.map_err(|error| SettingsError::Wrong {
                directive,
                reason: error.to_string(),
            })
        }
        let url = config.backup_url.as_deref().ok_or(SettingsError::NoUrl)?;
        Ok(Settings {
            url: checked("backup-url", StoreUrl::parse(url))?,
            options: StoreOptions {
                endpoint: config.backup_endpoint.clone(),
                region: config.backup_region.clone(),
                virtual_hosted: config.backup_virtual_hosted,
                sse_kms_key: config.backup_sse_kms_key.clone(),
                credentials_file: config.backup_credentials_file.as_ref().map(PathBuf::from),
                retry_for: None,
            },
            codec: checked("backup-compression", config.backup_compression.parse())?,
            recipients: checked(
                "backup-recipients",
                Recipients::parse(&config.backup_recipients),
            )?,
            retention: checked("backup-retention", config.backup_retention.parse())?,
            limit: config.backup_rate_limit,
            spool_dir: config.backup_spool_dir.as_ref().map(PathBuf::from),
        })
    }

    /// The directory where chunks and segments wait: that of the data, which is the working directory, unless another is named.
    ///
    /// # Errors
    /// The working directory is gone.
    pub fn spool(&self) -> std::io::Result<Arc<Path>> {
        Ok(match &self.spool_dir {
            Some(dir) => dir.clone(),
            None => std::env::current_dir()?,
        }
        .into())
    }

    /// Whether what is written with these and with others can be restored together.
    pub fn agrees(&self, other: &Settings) -> bool {
        (&self.url, &self.options, self.codec) == (&other.url, &other.options, other.codec)
            && self.recipients.fingerprints() == other.recipients.fingerprints()
    }

    /// Opens the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn store(&self) -> Result<Arc<dyn BackupStore>, StoreError> {
        open(&self.url, &self.options)
    }
}
