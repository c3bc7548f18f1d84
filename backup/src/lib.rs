//! The object-store tier of Basalt: where backups live and how they get there.
#![forbid(unsafe_code)]
