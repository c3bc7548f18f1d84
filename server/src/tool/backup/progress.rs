//! How far long work is, on standard error if that is a terminal and nobody reads JSON.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{msg} [{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} to go";

/// A bar that counts bytes of objects.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for so many bytes; hidden where nobody looks.
    pub(super) fn new(what: &'static str, bytes: u64, json: bool) -> Progress {
        if json || !std::io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(bytes).with_message(what);
        match ProgressStyle::with_template(TEMPLATE) {
            Ok(style) => Progress(bar.with_style(style)),
            Err(_) => Progress(bar),
        }
    }

    /// So many bytes more have been dealt with.
    pub(super) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
