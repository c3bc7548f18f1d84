//! Going down: SHUTDOWN, SIGTERM, SIGINT.

use std::fs;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::Config;
use crate::server::Server;

/// Whether and how the process is asked to end.
#[derive(Default)]
pub struct Shutdown {
    asked: Notify,
    requested: Mutex<bool>,
}

impl Shutdown {
    /// Asks for the end; the main thread carries it out.
    pub fn request(&self) {
        *self.requested.lock() = true;
        self.asked.notify_one();
    }

    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        *self.requested.lock()
    }

    /// Waits until the end is asked for.
    pub async fn wait(&self) {
        while !self.is_requested() {
            self.asked.notified().await;
        }
    }
}

/// Where the process id is written: as configured, or the default of a daemon.
pub fn pidfile(config: &Config) -> Option<&str> {
    let configured = config.pidfile.as_deref().filter(|path| !path.is_empty());
    configured.or(config.daemonize.then_some("/var/run/redis.pid"))
}

impl Server {
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
