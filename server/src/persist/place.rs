//! Where the log and the lineage record are: in the working directory of the process, which is
//! `dir`; in tests on a simulated disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use basalt_engine::env::disk::{Disk, RealDisk};

use crate::config::text::os_reason;
use crate::server::Server;

/// A directory on a disk.
pub struct Place {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory.
    pub dir: PathBuf,
}

impl Default for Place {
    fn default() -> Place {
        Place {
            disk: Arc::new(RealDisk),
            dir: PathBuf::from("."),
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// `CONFIG SET dir`. With the log on only to where the process is: the log stays in its folder,
    /// and a start in the new directory would not find it.
    ///
    /// # Errors
    /// Why the process stays where it is.
    pub fn change_dir(&self, dir: &Path) -> Result<(), String> {
        let reason = |error: io::Error| os_reason(&error);
        let there = std::fs::canonicalize(dir).map_err(reason)?;
        let here = || std::env::current_dir().ok();
        if self.persist.aof.is_on() && here().as_ref() != Some(&there) {
            return Err(
                "can't leave the directory of the append only log. Switch it off first, or move the files and restart"
                    .to_owned(),
            );
        }
        std::env::set_current_dir(there).map_err(reason)
    }
}
