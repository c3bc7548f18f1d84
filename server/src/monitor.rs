//! MONITOR: clients that see every command.

use std::io::Write;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::client::handle::Handle;

/// The clients in MONITOR mode.
#[derive(Default)]
pub struct Monitors {
    list: RwLock<Vec<Arc<Handle>>>,
}

impl Monitors {
    /// Adds a client.
    pub fn add(&self, handle: &Arc<Handle>) {
        let mut list = self.list.write();
        if !list.iter().any(|other| other.id == handle.id) {
            list.push(handle.clone());
        }
    }

    /// Removes a client; whether any is left.
    pub fn remove(&self, id: u64) -> bool {
        let mut list = self.list.write();
        list.retain(|handle| handle.id != id);
        !list.is_empty()
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
        self.list
            .read()
            .iter()
            .for_each(|handle| handle.push(&line));
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
