//! Compression of chunk bodies: zstd, lz4, or none.
//!
//! A body is one plain zstd or LZ4 frame with its checksum switched on, so `zstd -d` and `lz4 -d` open it and notice
//! damage. Reading is where care is needed: a few bytes can claim to be gigabytes. The manifest says how long the plain
//! bytes are, [`Decoder`] takes that claim, and gives exactly so many or an error. It needs memory for a window or a
//! block (at most 8 MiB), whatever the claim; everything that is not one whole frame, such as a cut one or one with more
//! behind it, is an error as well.
//!
//! Invariant: what [`Encoder`] writes, [`Decoder`] reads. Both stop at [`MAX_CHUNK_BYTES`].

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::str::FromStr;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// The most plain bytes a chunk may have. Chunks are ended long before, but one value can be that large.
pub const MAX_CHUNK_BYTES: u64 = 1 << 40;
/// zstd's levels above 19 need more memory to read than is allowed here.
pub const ZSTD_LEVELS: std::ops::RangeInclusive<u8> = 1..=19;
/// The level of `zstd` without a number, zstd's own choice.
pub const DEFAULT_ZSTD_LEVEL: u8 = 3;
/// Levels up to this lose nothing worth mentioning when threads get small pieces.
const FAST_LEVEL: u8 = 9;
/// Bytes that a compressing thread takes at once at these levels: what it costs in memory is a multiple of this.
const JOB_BYTES: u32 = 2 << 20;
/// log2 of the largest window that is accepted; level 19 uses it.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Output memory of [`decode`] is taken in steps of at most this, whatever the claim.
const RESERVE_BYTES: u64 = 1 << 20;

/// How a body is compressed, as much as one has to know to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Plain bytes. They carry no checksum of their own.
    None,
    /// An LZ4 frame.
    Lz4,
    /// A zstd frame.
    Zstd,
}

/// How to compress a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// LZ4: fast in both directions.
    Lz4,
    /// zstd: smaller.
    Zstd {
        /// One of [`ZSTD_LEVELS`].
        level: u8,
    },
}

/// Why a body cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The name of a codec is unknown.
    #[error("unknown compression '{0}': it is none, lz4, zstd or zstd:1 to zstd:19")]
    UnknownCodec(String),
    /// A zstd level is out of range.
    #[error("zstd level {0} is not in 1 to 19")]
    Level(u8),
    /// The plain bytes are, or are said to be, more than a chunk or the caller takes.
    #[error("a chunk of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// The length, or a lower bound of it while writing.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// There are more plain bytes than claimed.
    #[error("the chunk has more than the {claimed} bytes that it should have")]
    Longer {
        /// The claim.
        claimed: u64,
    },
    /// There are fewer plain bytes than claimed.
    #[error("the chunk has {found} bytes, not the {claimed} that it should have")]
    Shorter {
        /// The claim.
        claimed: u64,
        /// What there is.
        found: u64,
    },
    /// The body ends inside its frame.
    #[error("the chunk's compressed frame is cut off")]
    Truncated,
    /// The body goes on behind its frame.
    #[error("the chunk goes on behind its compressed frame")]
    Trailing,
    /// The body is damaged, or reading or writing it failed.
    #[error("the chunk cannot be processed: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for ChunkError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<ChunkError>() {
            Ok(own) => own,
            Err(error) => ChunkError::Io(error),
        }
    }
}

impl From<ChunkError> for io::Error {
    fn from(error: ChunkError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl Codec {
    /// What a reader has to know.
    pub fn format(self) -> Format {
        match self {
            Codec::None => Format::None,
            Codec::Lz4 => Format::Lz4,
            Codec::Zstd { .. } => Format::Zstd,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::None => f.write_str("none"),
            Codec::Lz4 => f.write_str("lz4"),
            Codec::Zstd { level } => write!(f, "zstd:{level}"),
        }
    }
}

impl FromStr for Codec {
    type Err = ChunkError;

    fn from_str(text: &str) -> Result<Self, ChunkError> {
        match text {
            "none" => Ok(Codec::None),
            "lz4" => Ok(Codec::Lz4),
            "zstd" => Ok(Codec::Zstd {
                level: DEFAULT_ZSTD_LEVEL,
            }),
            _ => text
                .strip_prefix("zstd:")
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|level| ZSTD_LEVELS.contains(level))
                .map(|level| Codec::Zstd { level })
                .ok_or_else(|| ChunkError::UnknownCodec(text.to_owned())),
        }
    }
}

/// Compresses what is written to it. [`finish`](Encoder::finish) completes the frame; without it the body is cut.
pub struct Encoder<W: Write> {
    stage: EncoderStage<W>,
    level: u8,
    plain_bytes: u64,
    limit: u64,
}

enum EncoderStage<W: Write> {
    None(W),
    Lz4(Box<FrameEncoder<W>>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// Starts a body.
    ///
    /// # Errors
    /// [`ChunkError::Level`], or [`ChunkError::Io`] if there is no memory for the compressor.
    pub fn new(codec: Codec, sink: W) -> Result<Self, ChunkError> {
        let stage = match codec {
            Codec::None => EncoderStage::None(sink),
            Codec::Lz4 => {
                // Independent blocks: damage ends with its block for whoever salvages, and readers need less memory.
                let info = FrameInfo::new()
                    .block_size(BlockSize::Max1MB)
                    .block_mode(BlockMode::Independent)
                    .block_checksums(true)
                    .content_checksum(true);
                EncoderStage::Lz4(Box::new(FrameEncoder::with_frame_info(info, sink)))
            }
            Codec::Zstd { level } => {
                if !ZSTD_LEVELS.contains(&level) {
                    return Err(ChunkError::Level(level));
                }
                let mut encoder = zstd::Encoder::new(sink, i32::from(level))?;
                encoder.include_checksum(true)?;
                EncoderStage::Zstd(encoder)
            }
        };
        let level = match codec {
            Codec::Zstd { level } => level,
            Codec::None | Codec::Lz4 => 0,
        };
        Ok(Encoder {
            stage,
            level,
            plain_bytes: 0,
            limit: MAX_CHUNK_BYTES,
        })
    }

    /// Has zstd compress in so many threads of its own, some MiB behind.
    ///
    /// # Errors
    /// [`ChunkError::Io`] if there are none.
    pub fn detach(&mut self, threads: u32) -> Result<(), ChunkError> {
        if let EncoderStage::Zstd(encoder) = &mut self.stage {
            encoder.multithread(threads)?;
            // zstd's own choice is four windows for each, 8 MiB at level 3.
            if self.level <= FAST_LEVEL {
                encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(JOB_BYTES))?;
            }
        }
        Ok(())
    }

    /// Completes the body and returns the sink and the number of plain bytes, the claim for a [`Decoder`].
    pub fn finish(self) -> Result<(W, u64), ChunkError> {
        let sink = match self.stage {
            EncoderStage::None(mut sink) => {
                sink.flush()?;
                sink
            }
            EncoderStage::Lz4(encoder) => encoder
                .finish()
                .map_err(|error| ChunkError::Io(error.into()))?,
            EncoderStage::Zstd(encoder) => encoder.finish()?,
        };
        Ok((sink, self.plain_bytes))
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let bytes = self.plain_bytes.saturating_add(plain.len() as u64);
        if bytes > self.limit {
            return Err(ChunkError::TooLarge {
                bytes,
                limit: self.limit,
            }
            .into());
        }
        let written = match &mut self.stage {
            EncoderStage::None(sink) => sink.write(plain),
            EncoderStage::Lz4(encoder) => encoder.write(plain),
            EncoderStage::Zstd(encoder) => encoder.write(plain),
        }?;
        self.plain_bytes = self.plain_bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stage {
            EncoderStage::None(sink) => sink.flush(),
            EncoderStage::Lz4(encoder) => encoder.flush(),
            EncoderStage::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Gives the plain bytes of a body.
///
/// The bytes are right only once a read has returned `Ok(0)`: until then the frame's checksum is still to come. After
/// an error every read fails.
pub struct Decoder<R: BufRead> {
    stage: DecoderStage<R>,
    claimed: u64,
    /// There must be as many bytes as claimed, not only no more.
    exact: bool,
    found: u64,
    state: DecoderState,
}

enum DecoderStage<R: BufRead> {
    None(Tracked<R>),
    Lz4(Box<FrameDecoder<Tracked<R>>>),
    Zstd(zstd::Decoder<'static, Tracked<R>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DecoderState {
    Reading,
    Whole,
    Failed,
}

/// A source that remembers whether anyone has run into its end.
struct Tracked<R> {
    source: R,
    at_end: bool,
}

impl<R: BufRead> Read for Tracked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.at_end |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Tracked<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.source.fill_buf()?;
        self.at_end |= bytes.is_empty();
        Ok(bytes)
    }

    fn consume(&mut self, count: usize) {
        self.source.consume(count);
    }
}

impl<R: BufRead> Decoder<R> {
    /// Reads the body in `source`, which has `claimed` plain bytes.
    ///
    /// # Errors
    /// [`ChunkError::TooLarge`] if the claim is above [`MAX_CHUNK_BYTES`].
    pub fn new(format: Format, source: R, claimed: u64) -> Result<Self, ChunkError> {
        if claimed > MAX_CHUNK_BYTES {
            return Err(ChunkError::TooLarge {
                bytes: claimed,
                limit: MAX_CHUNK_BYTES,
            });
        }
        let source = Tracked {
            source,
            at_end: false,
        };
        let stage = match format {
            Format::None => DecoderStage::None(source),
            Format::Lz4 => DecoderStage::Lz4(Box::new(FrameDecoder::new(source))),
            Format::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(source)?.single_frame();
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                DecoderStage::Zstd(decoder)
            }
        };
        Ok(Decoder {
            stage,
            claimed,
            exact: true,
            found: 0,
            state: DecoderState::Reading,
        })
    }

    /// Reads the body in `source`, which has at most `limit` plain bytes.
    ///
    /// # Errors
    /// As [`Decoder::new`].
    pub fn unclaimed(format: Format, source: R, limit: u64) -> Result<Self, ChunkError> {
        let mut decoder = Decoder::new(format, source, limit)?;
        decoder.exact = false;
        Ok(decoder)
    }

    fn step(&mut self, buffer: &mut [u8]) -> Result<usize, ChunkError> {
        // One byte more than may come is enough to see that there is more.
        let room = self.claimed.saturating_sub(self.found).saturating_add(1);
        let room = usize::try_from(room)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        let count = match &mut self.stage {
            DecoderStage::None(source) => source.read(buffer),
            DecoderStage::Lz4(decoder) => decoder.read(buffer),
            DecoderStage::Zstd(decoder) => decoder.read(buffer),
        };
        let count = count.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ChunkError::Truncated,
            _ => ChunkError::from(error),
        })?;
        self.found = self.found.saturating_add(count as u64);
        if self.found > self.claimed {
            return Err(ChunkError::Longer {
                claimed: self.claimed,
            });
        }
        if count == 0 {
            self.check_end()?;
            self.state = DecoderState::Whole;
        }
        Ok(count)
    }

    /// Nothing more comes out: the frame must be complete and all of the body.
    fn check_end(&mut self) -> Result<(), ChunkError> {
        let source = match &mut self.stage {
            DecoderStage::None(_) => None,
            DecoderStage::Lz4(decoder) => Some(decoder.get_mut()),
            DecoderStage::Zstd(decoder) => Some(decoder.get_mut()),
        };
        if let Some(source) = source {
            // A frame says itself where it ends. A decoder that has seen the end of the source had wanted more.
            if source.at_end {
                return Err(ChunkError::Truncated);
            }
            if !source.fill_buf()?.is_empty() {
                return Err(ChunkError::Trailing);
            }
        }
        if self.exact && self.found < self.claimed {
            return Err(ChunkError::Shorter {
                claimed: self.claimed,
                found: self.found,
            });
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.state {
            DecoderState::Whole => return Ok(0),
            DecoderState::Failed => return Err(io::Error::other("the chunk has failed before")),
            DecoderState::Reading if buffer.is_empty() => return Ok(0),
            DecoderState::Reading => {}
        }
        self.step(buffer).map_err(|error| match error {
            ChunkError::Io(error) if error.kind() == io::ErrorKind::Interrupted => error,
            error => {
                self.state = DecoderState::Failed;
                error.into()
            }
        })
    }
}

/// A body of these plain bytes.
///
/// # Errors
/// [`ChunkError::TooLarge`] and [`ChunkError::Level`].
pub fn encode(codec: Codec, plain: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let mut encoder = Encoder::new(codec, Vec::new())?;
    encoder.write_all(plain)?;
    Ok(encoder.finish()?.0)
}

/// The `claimed` plain bytes of a body, at most `limit`.
///
/// # Errors
/// Any [`ChunkError`]; the body is damaged, or is not what the manifest says.
pub fn decode(
    format: Format,
    body: &[u8],
    claimed: u64,
    limit: u64,
) -> Result<Vec<u8>, ChunkError> {
    if claimed > limit {
        return Err(ChunkError::TooLarge {
            bytes: claimed,
            limit,
        });
    }
    let mut decoder = Decoder::new(format, body, claimed)?;
    let mut plain = Vec::with_capacity(claimed.min(RESERVE_BYTES) as usize);
    decoder.read_to_end(&mut plain)?;
    Ok(plain)
}

#[cfg(test)]
mod tests;
