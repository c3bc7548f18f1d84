//! Where the log and the lineage record are: in the working directory of the process, which is
//! `dir`; in tests on a simulated disk.

use std::path::PathBuf;
use std::sync::Arc;

use basalt_engine::env::disk::{Disk, RealDisk};

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
