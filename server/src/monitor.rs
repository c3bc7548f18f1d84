//! MONITOR: clients that see every command.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::RwLock;

use crate::client::handle::Handle;
use crate::server::Server;

/// The clients in MONITOR mode.
#[derive(Default)]
pub struct Monitors {
    list: RwLock<Vec<Arc<Handle>>>,
}

impl Monitors {
    /// Adds a client.
    fn add(&self, handle: &Arc<Handle>, any: &AtomicBool) {
        let mut list = self.list.write();
        if !list.iter().any(|other| other.id == handle.id) {
            list.push(handle.clone());
        }
        any.store(true, Relaxed);
    }

    /// Removes a client; `any` is set to whether one is left.
    fn remove(&self, id: u64, any: &AtomicBool) {
        let mut list = self.list.write();
        list.retain(|handle| handle.id != id);
        any.store(!list.is_empty(), Relaxed);
    }

    /// Shows a command to all of them.
    pub fn feed(&self, now_us: i64, db: usize, from: &str, args: &[&[u8]]) {
        let mut line = Vec::with_capacity(64);
        // Writing to a vector cannot fail.
        let _ = write!(
            line,
            "+{}.{:06} [{db} {from}]",
            now_us / 1_000_000,
            now_us % 1_000_000
        );
        for arg in args {
            line.push(b' ');
            quote(&mut line, arg);
        }
        line.extend_from_slice(b"\r\n");
        for handle in self.list.read().iter() {
            if !handle.silent.load(Relaxed) {
                handle.push(&line);
            }
        }
    }
}

impl Server {
    /// Puts a client in MONITOR mode.
    pub fn start_monitoring(&self, handle: &Arc<Handle>) {
        handle.monitor.store(true, Relaxed);
        self.monitors.add(handle, &self.hot.monitoring);
    }

    /// Ends MONITOR mode of a client, if it is in it.
    pub fn stop_monitoring(&self, handle: &Handle) {
        if handle.monitor.swap(false, Relaxed) {
            self.monitors.remove(handle.id, &self.hot.monitoring);
        }
    }
}

/// Appends a word in quotes with the escapes of Redis's `sdscatrepr`.
pub fn quote(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            0x20..=0x7e => out.push(byte),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(b'"');
}
