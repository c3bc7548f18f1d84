//! Going down: SHUTDOWN, SIGTERM, SIGINT.
//!
//! The process ends only after what is to be saved is saved, and from the last snapshot on
//! nothing is changed any more: whoever was answered finds the change in the file.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use basalt_engine::Frozen;

use crate::client::pause::Mode;
use crate::config::{Config, ShutdownFlags};
use crate::persist::snapshots::SaveError;
use crate::server::Server;

/// After so many snapshots that others kept overtaking, going down has failed.
const ATTEMPTS: u32 = 10;
/// How long the end waits for a store that is to take the last of the log.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(3);

/// Why the process goes on.
#[derive(Debug, thiserror::Error)]
#[error("Errors trying to SHUTDOWN. Check logs.")]
pub struct CannotStop;

/// Where the process id is written: as configured, or the default of a daemon.
pub fn pidfile(config: &Config) -> Option<&str> {
    let configured = config.pidfile.as_deref().filter(|path| !path.is_empty());
    configured.or(config.daemonize.then_some("/var/run/redis.pid"))
}

impl Server {
    /// Saves if configured or asked for, and ends the process. The caller holds no shard.
    ///
    /// # Errors
    /// What is to be saved cannot be saved, which was logged.
    pub fn stop(self: &Arc<Server>, wish: ShutdownFlags) -> Result<Infallible, CannotStop> {
        tracing::warn!("User requested shutdown...");
        let aof = &self.persist.aof;
        if aof.is_on() && aof.is_rewriting() && !aof.promised.load(Relaxed) {
            // Without its first base the log holds nothing.
            if !wish.force {
                tracing::warn!("Writing initial AOF, can't exit.");
                return Err(CannotStop);
            }
            tracing::warn!("Writing initial AOF. Exit anyway.");
        }
        // What is half loaded must not take the place of what is whole.
        let loading = self.persist.loading.cancel();
        let save = wish.save || !wish.nosave && !self.config.load().save.0.is_empty();
        self.backups.stop();
        if self.persist.snapshots.cancel() {
            tracing::warn!("There is a child saving an .rdb. Killing it!");
        }
        if self.persist.aof.is_rewriting() {
            tracing::warn!("There is a child rewriting the AOF. Killing it!");
            self.persist.aof.rewrites.cancel();
        }
        let still = if save && !loading {
            tracing::info!("Saving the final RDB snapshot before exiting.");
            match self.save_all() {
                Ok(frozen) => Some(frozen),
                Err(_) if wish.force => {
                    tracing::warn!("Error trying to save the DB. Exit anyway.");
                    None
                }
                Err(_) => {
                    tracing::warn!("Error trying to save the DB, can't exit.");
                    return Err(CannotStop);
                }
            }
        } else {
            None
        };
        let archived = self.backups.archive.stream().is_some();
        if self.persist.aof.is_on() || archived {
            // Whoever is answered from now on was answered before.
            let running = &self.engine.scripts.running;
            let _frozen = still.or_else(|| {
                // A slow script holds the shards, and nobody else changes anything.
                running.busy().is_none().then(|| self.engine.freeze())
            });
            if self.persist.aof.is_on() {
                tracing::info!("Calling fsync() on the AOF file.");
                if let Err(reason) = self.persist.aof.flush() {
                    tracing::warn!("Fail to fsync the AOF file: {reason}");
                }
            }
            self.flush_archive(ARCHIVE_PATIENCE);
            self.end();
        }
        let _still = still;
        self.end()
    }

    /// Leaves nothing behind and ends the process.
    fn end(&self) -> ! {
        self.listeners.shut();
        self.clean_up();
        tracing::warn!("Basalt is now ready to exit, bye bye...");
        std::process::exit(0)
    }

    /// Saves until nothing has changed since, and keeps it so.
    fn save_all(self: &Arc<Server>) -> Result<Frozen<'_>, SaveError> {
        let result = (0..ATTEMPTS).find_map(|attempt| {
            if attempt == 1 {
                self.pause_clients(i64::MAX, Mode::Write);
            }
            if let Err(error) = self.save() {
                return Some(Err(error));
            }
            let frozen = self.engine.freeze();
            (self.changes_since_save() == 0).then_some(Ok(frozen))
        });
        let result = result.unwrap_or(Err(SaveError::InProgress));
        if result.is_err() && self.hot.paused.load(Relaxed) {
            self.unpause_clients();
        }
        result
    }

    /// Removes what the process leaves in the file system besides its data.
    pub fn clean_up(&self) {
        self.listeners.remove_unix_socket();
        let config = self.config.load();
        if let Some(pidfile) = pidfile(&config) {
            tracing::info!("Removing the pid file.");
            // It may never have been written.
            let _ = fs::remove_file(pidfile);
        }
    }
}
