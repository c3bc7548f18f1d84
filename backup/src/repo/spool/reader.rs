//! Reads frames and tells a torn tail from damage.

use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::{HEADER_BYTES, MAGIC, MAX_PAYLOAD_BYTES, SpoolError, checksum};

/// How much is read at a time while looking for a frame behind damage.
const SCAN_BYTES: usize = 64 << 10;
/// How many bytes of possible frames are checked behind damage at most. Only bytes made on purpose need that many.
const SCAN_BUDGET_BYTES: u64 = 1 << 30;

/// A frame of a spool file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where the frame begins in the file.
    pub offset: u64,
    /// What it holds.
    pub payload: &'a [u8],
}

/// The unfinished end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where it begins; everything before is whole.
    pub offset: u64,
    /// How many bytes of it there are.
    pub bytes: u64,
}

/// Bytes that are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the frame begins that is damaged.
    pub offset: u64,
    /// The number of whole frames before it.
    pub frames_before: u64,
    /// What is wrong with it.
    pub fault: Fault,
    /// Where the next whole frame begins, if one was found.
    pub next_frame: Option<u64>,
}

/// What is wrong with a damaged frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It does not begin with [`MAGIC`]; these are its first bytes, zeros where the file ends.
    Magic([u8; 4]),
    /// Its length is above [`MAX_PAYLOAD_BYTES`].
    TooLong(u32),
    /// Its length reaches behind the end of the file, although it was not the last frame, or may not have been.
    PastEnd(u32),
    /// The checksum is another.
    Checksum {
        /// What the frame says.
        expected: u32,
        /// What its bytes give.
        found: u32,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} at offset {} ", self.frames_before, self.offset)?;
        match self.fault {
            Fault::Magic(found) => {
                let [a, b, c, d] = found;
                write!(
                    f,
                    "begins with bytes {a:02x} {b:02x} {c:02x} {d:02x}, which no frame does"
                )
            }
            Fault::TooLong(length) => {
                write!(f, "claims {length} bytes, more than a frame may have")
            }
            Fault::PastEnd(length) => write!(f, "claims {length} bytes, more than the file has"),
            Fault::Checksum { expected, found } => {
                write!(
                    f,
                    "has checksum {found:#010x}, it should be {expected:#010x}"
                )
            }
        }
    }
}

/// Goes through the frames of a spool file from its beginning.
///
/// Memory: one payload. The file must not change meanwhile.
#[derive(Debug)]
pub struct Reader<R> {
    source: BufReader<R>,
    /// Where `source` stands, to seek only when needed.
    position: u64,
    file_bytes: u64,
    offset: u64,
    frames: u64,
    payload: Vec<u8>,
    torn: Option<TornTail>,
    damage: Option<Damage>,
}

/// What is at an offset.
enum Found {
    /// A whole frame, whose payload is now in the buffer.
    Frame,
    /// The file ends here.
    End,
    /// Perhaps the frame that was being written.
    Unfinished(Fault),
    /// No frame, and no unfinished one either.
    Broken(Fault),
}

impl<R: Read + Seek> Reader<R> {
    /// Reads `source`.
    pub fn new(mut source: R) -> io::Result<Self> {
        let file_bytes = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        Ok(Reader {
            source: BufReader::new(source),
            position: 0,
            file_bytes,
            offset: 0,
            frames: 0,
            payload: Vec::new(),
            torn: None,
            damage: None,
        })
    }

    /// The next frame; `None` at the end, before which there may be a [`torn_tail`](Self::torn_tail).
    ///
    /// # Errors
    /// [`SpoolError::Damaged`], from then on every time; [`SpoolError::Io`], after which the call may be repeated.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, SpoolError> {
        if let Some(damage) = self.damage {
            return Err(SpoolError::Damaged(damage));
        }
        if self.torn.is_some() {
            return Ok(None);
        }
        let offset = self.offset;
        let (fault, unfinished) = match self.look(offset)? {
            Found::End => return Ok(None),
            Found::Frame => {
                self.offset += (HEADER_BYTES + self.payload.len()) as u64;
                self.frames += 1;
                return Ok(Some(Frame {
                    offset,
                    payload: &self.payload,
                }));
            }
            Found::Unfinished(fault) => (fault, true),
            Found::Broken(fault) => (fault, false),
        };
        let search = self.search(offset + 1)?;
        if unfinished && search == Search::Nothing {
            self.torn = Some(TornTail {
                offset,
                bytes: self.file_bytes - offset,
            });
            return Ok(None);
        }
        let next_frame = match search {
            Search::FrameAt(next) => Some(next),
            Search::Nothing | Search::GaveUp => None,
        };
        let damage = Damage {
            offset,
            frames_before: self.frames,
            fault,
            next_frame,
        };
        self.damage = Some(damage);
        Err(SpoolError::Damaged(damage))
    }

    /// The unfinished frame at the end of the file, known once [`next_frame`](Self::next_frame) has returned `None`.
    pub fn torn_tail(&self) -> Option<TornTail> {
        self.torn
    }

    /// The number of frames so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Where the next frame begins: so many bytes at the start of the file are whole frames.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The length of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    fn look(&mut self, offset: u64) -> io::Result<Found> {
        let left = self.file_bytes.saturating_sub(offset);
        if left == 0 {
            return Ok(Found::End);
        }
        let mut header = [0; HEADER_BYTES];
        let present = left.min(HEADER_BYTES as u64) as usize;
        let bytes = header.get_mut(..present).unwrap_or_default();
        self.read_exact_at(offset, bytes)?;
        let [magic, length, expected] = split(header);
        let length = u32::from_le_bytes(length);
        let expected = u32::from_le_bytes(expected);
        if header
            .iter()
            .zip(MAGIC)
            .take(present)
            .any(|(found, wanted)| *found != wanted)
        {
            // A file can be extended by a crash without its data; then zeros stand there.
            return Ok(match self.only_zeros(offset)? {
                true => Found::Unfinished(Fault::Magic(magic)),
                false => Found::Broken(Fault::Magic(magic)),
            });
        }
        if present < HEADER_BYTES {
            return Ok(Found::Unfinished(Fault::PastEnd(length)));
        }
        if u64::from(length) > MAX_PAYLOAD_BYTES as u64 {
            return Ok(Found::Broken(Fault::TooLong(length)));
        }
        if u64::from(length) > left - HEADER_BYTES as u64 {
            return Ok(Found::Unfinished(Fault::PastEnd(length)));
        }
        // The length is within the file, so this takes no more memory than the file has bytes.
        self.payload.clear();
        self.payload.resize(length as usize, 0);
        let mut payload = std::mem::take(&mut self.payload);
        let result = self.read_exact_at(offset + HEADER_BYTES as u64, &mut payload);
        self.payload = payload;
        result?;
        let mut crc = checksum(offset, length);
        crc.update(&self.payload);
        let found = crc.finalize();
        Ok(if found == expected {
            Found::Frame
        } else {
            Found::Broken(Fault::Checksum { expected, found })
        })
    }

    /// Looks for a whole frame at `from` or later.
    fn search(&mut self, from: u64) -> io::Result<Search> {
        let mut budget = SCAN_BUDGET_BYTES;
        let mut window = vec![0; SCAN_BYTES];
        let mut at = from;
        while self.file_bytes.saturating_sub(at) >= HEADER_BYTES as u64 {
            let count = (self.file_bytes - at).min(SCAN_BYTES as u64) as usize;
            window.truncate(count);
            self.read_exact_at(at, &mut window)?;
            let starts = window.windows(MAGIC.len()).enumerate();
            for (index, _) in starts.filter(|(_, bytes)| *bytes == MAGIC) {
                let candidate = at + index as u64;
                if matches!(self.look(candidate)?, Found::Frame) {
                    return Ok(Search::FrameAt(candidate));
                }
                let cost = (self.payload.len() + HEADER_BYTES) as u64;
                match budget.checked_sub(cost) {
                    Some(left) => budget = left,
                    None => return Ok(Search::GaveUp),
                }
            }
            // A magic may lie across the windows' border.
            at += (count - (MAGIC.len() - 1)) as u64;
        }
        Ok(Search::Nothing)
    }

    fn only_zeros(&mut self, offset: u64) -> io::Result<bool> {
        self.seek(offset)?;
        let mut window = vec![0; SCAN_BYTES];
        loop {
            let count = match self.source.read(&mut window) {
                Ok(0) => return Ok(true),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.position += count as u64;
            if window.iter().take(count).any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
    }

    fn read_exact_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.seek(offset)?;
        // Until the read has succeeded the position is unknown.
        self.position = u64::MAX;
        self.source.read_exact(bytes)?;
        self.position = offset + bytes.len() as u64;
        Ok(())
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        if self.position != offset {
            self.source.seek(SeekFrom::Start(offset))?;
            self.position = offset;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    FrameAt(u64),
    Nothing,
    GaveUp,
}

fn split(header: [u8; HEADER_BYTES]) -> [[u8; 4]; 3] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = header;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]]
}
