//! [`FileReader`]: a file cut into records.

use super::super::skip::module_parts;
use super::super::{ObjectType, RdbError, Reader, skip_value};
use super::{
    CHECKSUM_SINCE, Checksum, Fault, FileError, HEADER, Header, KeyRecord, Magic, ModuleName,
    NEWEST_REDIS, Record, SLOT_INFO_SINCE, TRAILER, VALKEY_9, opcode,
};
use crate::crc64::{combine, crc64};

/// How far the checksum may lag behind the reader: it is computed while the bytes are likely
/// in the cache, yet not for each small record.
const CHECKSUM_STEP: usize = 64 << 10;
/// What marks the number after it in a module's data; here it tells when it was written.
const MODULE_UINT: u64 = 2;

/// Takes records off the front of a file.
#[derive(Debug, Clone)]
pub struct FileReader<'a> {
    input: &'a [u8],
    reader: Reader<'a>,
    header: Header,
    keep_modules: bool,
    log_behind: bool,
    /// The checksum of the input up to `summed`, if it is to be checked.
    sum: Option<u64>,
    summed: usize,
    attributes: Attributes,
}

/// What was said about the next key.
#[derive(Debug, Clone, Copy, Default)]
struct Attributes {
    expire_ms: Option<i64>,
    idle_s: Option<u64>,
    freq: Option<u8>,
}

fn read_header(input: &[u8]) -> Result<Header, FileError> {
    let fail = |offset, fault| Err(FileError { offset, fault });
    let Some(header) = input.first_chunk::<HEADER>() else {
        let (needed, left) = (HEADER as u64, input.len());
        let offset = 0;
        return fail(
            input.len(),
            Fault::Damaged(RdbError::Truncated {
                offset,
                needed,
                left,
            }),
        );
    };
    let (magic, digits) = match header {
        [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (Magic::Redis, &digits[..]),
        [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => (Magic::Valkey, &digits[..]),
        _ => return fail(0, Fault::BadMagic),
    };
    let mut version = 0u16;
    for digit in digits {
        version = match digit.is_ascii_digit() {
            true => version * 10 + u16::from(digit - b'0'),
            false => return fail(HEADER, Fault::BadVersion { magic, version: 0 }),
        };
    }
    let known = match magic {
        Magic::Redis => (1..=NEWEST_REDIS).contains(&version),
        Magic::Valkey => version == VALKEY_9,
    };
    match known {
        true => Ok(Header { magic, version }),
        false => fail(HEADER, Fault::BadVersion { magic, version }),
    }
}

impl<'a> FileReader<'a> {
    /// A reader behind the header of `input`.
    ///
    /// # Errors
    /// The magic or version is unknown.
    pub fn new(input: &'a [u8]) -> Result<Self, FileError> {
        let header = read_header(input)?;
        let mut reader = Reader::new(input);
        // The header was there.
        let _ = reader.bytes(HEADER as u64);
        Ok(Self {
            input,
            reader,
            header,
            keep_modules: false,
            log_behind: false,
            sum: header.has_checksum().then_some(0),
            summed: 0,
            attributes: Attributes::default(),
        })
    }

    /// Whether the checksum is computed and compared (`rdbchecksum`); it is unless told.
    #[must_use]
    pub fn checksum(mut self, check: bool) -> Self {
        self.sum = (check && self.header.has_checksum()).then_some(0);
        self
    }

    /// Whether data of modules is passed on for tools to count, not refused; it is refused
    /// unless told, as nothing here can load it.
    #[must_use]
    pub fn keep_modules(mut self, keep: bool) -> Self {
        self.keep_modules = keep;
        self
    }

    /// Whether a log may follow the end; nothing may unless told.
    #[must_use]
    pub fn log_behind(mut self, may: bool) -> Self {
        self.log_behind = may;
        self
    }

    /// How the file begins.
    pub fn header(&self) -> Header {
        self.header
    }

    /// How many bytes were taken: where the next record begins.
    pub fn offset(&self) -> usize {
        self.reader.offset()
    }

    /// How many bytes of the input were not taken yet.
    pub fn left(&self) -> usize {
        self.reader.left()
    }

    /// Takes the next record. After [`Record::Eof`], or an error, it is not called again.
    ///
    /// # Errors
    /// The file is damaged or cannot be loaded, see [`Fault`].
    pub fn next_record(&mut self) -> Result<Record<'a>, FileError> {
        let record = self.take().map_err(|fault| FileError {
            offset: self.reader.offset(),
            fault,
        })?;
        if self.reader.offset() - self.summed >= CHECKSUM_STEP {
            self.sum_up_to(self.reader.offset());
        }
        Ok(record)
    }

    fn sum_up_to(&mut self, end: usize) {
        if let Some(sum) = &mut self.sum {
            *sum = crc64(*sum, self.input.get(self.summed..end).unwrap_or(&[]));
            self.summed = end;
        }
    }

    fn take(&mut self) -> Result<Record<'a>, Fault> {
        loop {
            let reader = &mut self.reader;
            let offset = reader.offset();
            match reader.byte()? {
                opcode::EXPIRETIME => {
                    let seconds = i32::from_le_bytes(reader.array()?);
                    self.attributes.expire_ms = Some(i64::from(seconds) * 1000);
                }
                opcode::EXPIRETIME_MS => {
                    let ms = i64::from_le_bytes(reader.array()?);
                    // Stands for no time, as in Redis.
                    self.attributes.expire_ms = (ms != -1).then_some(ms);
                }
                opcode::IDLE => self.attributes.idle_s = Some(reader.length()?),
                opcode::FREQ => self.attributes.freq = Some(reader.byte()?),
                opcode::AUX => {
                    let (key, value) = (reader.string()?, reader.string()?);
                    return Ok(Record::Aux { key, value });
                }
                opcode::SELECTDB => return Ok(Record::SelectDb(reader.length()?)),
                opcode::RESIZEDB => {
                    let (keys, expires) = (reader.length()?, reader.length()?);
                    return Ok(Record::ResizeDb { keys, expires });
                }
                opcode::SLOT_INFO if self.header.version >= SLOT_INFO_SINCE => {
                    let (slot, keys) = (reader.length()?, reader.length()?);
                    let expires = reader.length()?;
                    return Ok(Record::SlotInfo {
                        slot,
                        keys,
                        expires,
                    });
                }
                opcode::SLOT_IMPORT if self.header.magic == Magic::Valkey => {
                    return Err(Fault::SlotImport);
                }
                opcode::FUNCTION2 => return Ok(Record::Function(reader.string()?)),
                opcode::FUNCTION_PRE_GA => return Err(Fault::FunctionPreGa),
                opcode::MODULE_AUX => return self.module_aux(),
                opcode::EOF => return self.eof(),
                opcode::MODULE_PRE_GA => return Err(Fault::ModulePreGa),
                byte => return self.key(offset, ObjectType::in_file(byte, self.header)?),
            }
        }
    }

    fn key(&mut self, offset: usize, kind: ObjectType) -> Result<Record<'a>, Fault> {
        let reader = &mut self.reader;
        let key = reader.string()?;
        let start = reader.offset();
        if kind == ObjectType::Module2 && !self.keep_modules {
            let module = ModuleName::from_id(reader.length()?);
            return Err(Fault::ModuleValue { module });
        }
        skip_value(kind, reader)?;
        let body = self.input.get(start..reader.offset()).unwrap_or(&[]);
        let Attributes {
            expire_ms,
            idle_s,
            freq,
        } = std::mem::take(&mut self.attributes);
        Ok(Record::Key(KeyRecord {
            key,
            expire_ms,
            idle_s,
            freq,
            kind,
            body,
            offset,
        }))
    }

    fn module_aux(&mut self) -> Result<Record<'a>, Fault> {
        let reader = &mut self.reader;
        let module = ModuleName::from_id(reader.length()?);
        let marker = reader.length()?;
        let when = reader.length()?;
        if marker != MODULE_UINT {
            return Err(Fault::BadWhenOpcode);
        }
        if !self.keep_modules {
            return Err(Fault::ModuleAux { module });
        }
        let start = reader.offset();
        module_parts(reader)?;
        let end = reader.offset() - 1;
        Ok(Record::ModuleAux {
            module,
            when,
            body: self.input.get(start..end).unwrap_or(&[]),
        })
    }

    /// Whether a checksum follows the end of a file of a version that has none: a damaged disk
    /// made this version of a later one. Eight bytes are nothing else where no log may follow;
    /// more bytes are, if they begin with what would be the checksum under a later version.
    fn has_trailer(&self) -> bool {
        let end = self.reader.offset();
        let (content, rest) = self.input.split_at_checked(end).unwrap_or((&[], &[]));
        let Some((found, rest)) = rest.split_first_chunk::<TRAILER>() else {
            return false;
        };
        let content = content.get(HEADER..).unwrap_or(&[]);
        let (found, sum) = (u64::from_le_bytes(*found), crc64(0, content));
        let mut versions = (CHECKSUM_SINCE..=NEWEST_REDIS).map(|version| Header {
            magic: Magic::Redis,
            version,
        });
        (rest.is_empty() && !self.log_behind)
            || versions.any(|header| {
                let header = crc64(0, header.to_string().as_bytes());
                combine(header, sum, content.len() as u64) == found
            })
    }

    fn eof(&mut self) -> Result<Record<'a>, Fault> {
        let version = self.header.version;
        if !self.header.has_checksum() {
            if self.has_trailer() {
                return Err(Fault::UnexpectedTrailer { version });
            }
            let checksum = Checksum::Absent;
            let end = self.reader.offset();
            return Ok(Record::Eof { checksum, end });
        }
        self.sum_up_to(self.reader.offset());
        let found = u64::from_le_bytes(self.reader.array::<TRAILER>()?);
        let checksum = match self.sum {
            _ if found == 0 => Checksum::Zero,
            None => Checksum::Unchecked(found),
            Some(sum) if sum == found => Checksum::Good(found),
            Some(expected) => return Err(Fault::ChecksumMismatch { expected, found }),
        };
        let end = self.reader.offset();
        Ok(Record::Eof { checksum, end })
    }
}

/// Checks a whole file against the checksum in its last bytes, before it is read. `None` if
/// there is nothing to compare: an unknown header, a version without checksum, no end of
/// file in front of the last eight bytes (it may be cut off, or followed by a log), or a
/// checksum of zero.
pub fn check_trailer(input: &[u8]) -> Option<Result<(), FileError>> {
    let header = read_header(input).ok()?;
    let (content, found) = input.split_last_chunk::<TRAILER>()?;
    let found = u64::from_le_bytes(*found);
    let ends = content.len() > HEADER && content.last() == Some(&opcode::EOF);
    if header.version < CHECKSUM_SINCE || !ends || found == 0 {
        return None;
    }
    let expected = crc64(0, content);
    Some(match expected == found {
        true => Ok(()),
        false => Err(FileError {
            offset: input.len(),
            fault: Fault::ChecksumMismatch { expected, found },
        }),
    })
}
