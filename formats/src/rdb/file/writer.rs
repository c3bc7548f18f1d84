//! [`FileWriter`]: a file piece by piece, for a given [`Target`].

use super::super::recode::{RecodeError, recode};
use super::super::{ObjectType, Target, Writer};
use super::{KeyRecord, Magic, ModuleName, opcode};
use crate::crc64::{combine, crc64};

/// Bits of a machine word, as Redis tells in a file.
const REDIS_BITS: i64 = 64;
/// What marks the number after it in a module's data.
const MODULE_UINT: usize = 2;
const MODULE_EOF: usize = 0;

/// What stands in front of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHead<'a> {
    /// The key.
    pub key: &'a [u8],
    /// When it expires, in milliseconds since 1970.
    pub expire_ms: Option<i64>,
    /// Seconds since it was used (LRU policies).
    pub idle_s: Option<u64>,
    /// How frequently it was used (LFU policies).
    pub freq: Option<u8>,
}

impl KeyHead<'_> {
    /// Writes it, and the type of the value, whose body is to follow. A writer of its own may
    /// take many such records, to be passed to [`FileWriter::append`].
    pub fn write(&self, kind: ObjectType, out: &mut Writer<'_>) {
        if let Some(ms) = self.expire_ms {
            out.raw(&[opcode::EXPIRETIME_MS]);
            out.raw(&ms.to_le_bytes());
        }
        if let Some(seconds) = self.idle_s {
            out.raw(&[opcode::IDLE]);
            out.number(seconds);
        }
        if let Some(freq) = self.freq {
            out.raw(&[opcode::FREQ, freq]);
        }
        out.kind(kind);
        out.string(self.key);
    }
}

/// What a file says about itself at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remarks<'a> {
    /// The name of the field that tells the version of the writer: `redis-ver`, `valkey-ver`.
    pub version_field: &'a str,
    /// Version of the writer.
    pub version: &'a str,
    /// When it was written, in seconds since 1970.
    pub ctime_s: i64,
    /// Memory used.
    pub used_mem_bytes: u64,
    /// Further fields, such as those on replication.
    pub more: &'a [(Vec<u8>, Vec<u8>)],
    /// Whether the file is the base of a log.
    pub aof_base: bool,
}

/// Writes a file into a buffer that the caller empties now and then. Nothing is checked about
/// the order: remarks, functions, then each database with its keys, is what Redis writes.
#[derive(Debug)]
pub struct FileWriter {
    out: Writer<'static>,
    target: Target,
    /// The checksum of what was drained, if one is wanted.
    sum: Option<u64>,
    drained: u64,
    /// Holds a value while its type is not known.
    scratch: Writer<'static>,
}

impl FileWriter {
    /// A file for `target`; strings are compressed with `compress` (`rdbcompression`), and
    /// the checksum is zero without `checksum` (`rdbchecksum`).
    pub fn new(target: Target, compress: bool, checksum: bool) -> Self {
        let mut out = Writer::new(compress);
        out.raw(target.header().to_string().as_bytes());
        Self {
            out,
            target,
            sum: checksum.then_some(0),
            drained: 0,
            scratch: Writer::new(compress),
        }
    }

    /// For whom the file is.
    pub fn target(&self) -> Target {
        self.target
    }

    /// What values are written to, behind a [`KeyHead`].
    pub fn writer(&mut self) -> &mut Writer<'static> {
        &mut self.out
    }

    /// How many bytes are in the buffer.
    pub fn buffered(&self) -> usize {
        self.out.as_bytes().len()
    }

    /// How many bytes the file has so far.
    pub fn written(&self) -> u64 {
        self.drained + self.buffered() as u64
    }

    /// Passes the buffer on and empties it, whatever `take` returns.
    pub fn drain<R>(&mut self, take: impl FnOnce(&[u8]) -> R) -> R {
        let bytes = self.out.as_bytes();
        if let Some(sum) = &mut self.sum {
            *sum = crc64(*sum, bytes);
        }
        self.drained += bytes.len() as u64;
        let result = take(bytes);
        self.out.clear();
        result
    }

    /// Accounts for `len` bytes of records with the checksum `sum` that the caller puts behind
    /// what was drained. The buffer must be empty; false, and nothing is done, if it is not.
    #[must_use]
    pub fn append(&mut self, len: u64, sum: u64) -> bool {
        if self.buffered() != 0 {
            return false;
        }
        if let Some(first) = &mut self.sum {
            *first = combine(*first, sum, len);
        }
        self.drained += len;
        true
    }

    /// Writes a remark.
    pub fn aux(&mut self, key: &[u8], value: &[u8]) {
        self.out.raw(&[opcode::AUX]);
        self.out.string(key);
        self.out.string(value);
    }

    /// Writes a remark that is a number.
    pub fn aux_int(&mut self, key: &[u8], value: i64) {
        self.aux(key, itoa::Buffer::new().format(value).as_bytes());
    }

    /// Writes the remarks Redis writes, in its order.
    pub fn remarks(&mut self, remarks: &Remarks<'_>) {
        self.aux(remarks.version_field.as_bytes(), remarks.version.as_bytes());
        self.aux_int(b"redis-bits", REDIS_BITS);
        self.aux_int(b"ctime", remarks.ctime_s);
        let used = i64::try_from(remarks.used_mem_bytes).unwrap_or(i64::MAX);
        self.aux_int(b"used-mem", used);
        for (key, value) in remarks.more {
            self.aux(key, value);
        }
        self.aux_int(b"aof-base", remarks.aof_base.into());
    }

    /// Writes a library of functions.
    ///
    /// # Errors
    /// [`RecodeError::Functions`] if the target knows none.
    pub fn function(&mut self, source: &[u8]) -> Result<(), RecodeError> {
        let target = self.target;
        if !target.supports_functions() {
            return Err(RecodeError::Functions { target });
        }
        self.out.raw(&[opcode::FUNCTION2]);
        self.out.string(source);
        Ok(())
    }

    /// Writes what a module said beside the keys; `body` is that of
    /// [`Record::ModuleAux`](super::Record::ModuleAux).
    pub fn module_aux(&mut self, module: ModuleName, when: u64, body: &[u8]) {
        self.out.raw(&[opcode::MODULE_AUX]);
        self.out.number(module.id());
        self.out.len(MODULE_UINT);
        self.out.number(when);
        self.out.raw(body);
        self.out.len(MODULE_EOF);
    }

    /// Begins a database.
    pub fn select_db(&mut self, db: u64) {
        self.out.raw(&[opcode::SELECTDB]);
        self.out.number(db);
    }

    /// Tells the size of the database.
    pub fn resize_db(&mut self, keys: u64, expires: u64) {
        self.out.raw(&[opcode::RESIZEDB]);
        self.out.number(keys);
        self.out.number(expires);
    }

    /// Tells the size of a slot, where the target knows such hints; else does nothing.
    pub fn slot_info(&mut self, slot: u64, keys: u64, expires: u64) {
        if matches!(self.target, Target::Redis74 | Target::Valkey9) {
            self.out.raw(&[opcode::SLOT_INFO]);
            for number in [slot, keys, expires] {
                self.out.number(number);
            }
        }
    }

    /// Writes a key of another file, its value in a layout that the target reads.
    ///
    /// # Errors
    /// [`RecodeError`]; nothing was written then.
    pub fn record(&mut self, record: &KeyRecord<'_>) -> Result<(), RecodeError> {
        let head = KeyHead {
            key: &record.key,
            expire_ms: record.expire_ms,
            idle_s: record.idle_s,
            freq: record.freq,
        };
        if self.target.supports(record.kind) {
            head.write(record.kind, &mut self.out);
            self.out.raw(record.body);
            return Ok(());
        }
        self.scratch.clear();
        let kind = recode(record.kind, record.body, self.target, &mut self.scratch)?;
        head.write(kind, &mut self.out);
        self.out.raw(self.scratch.as_bytes());
        Ok(())
    }

    /// Ends the file; what it returns is to be put behind what was drained.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.raw(&[opcode::EOF]);
        let sum = match self.sum {
            Some(sum) => crc64(sum, self.out.as_bytes()),
            None => 0,
        };
        self.out.raw(&sum.to_le_bytes());
        self.out.into_bytes()
    }
}

/// The field in which a server tells its version.
pub fn version_field(magic: Magic) -> &'static str {
    match magic {
        Magic::Redis => "redis-ver",
        Magic::Valkey => "valkey-ver",
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
