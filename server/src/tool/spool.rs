//! `basalt spool verify FILE`: are all bytes of a spool file as they were written?
//!
//! The file is read once, front to back, with one frame in memory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use basalt_backup::repo::spool::{Reader, SpoolError};

use super::{FAILURE, SUCCESS};

/// Prints the frames and bytes of the file, and what ends them.
pub(super) fn verify(file: &Path, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let name = file.display();
    let mut reader = match open(file).and_then(Reader::new) {
        Ok(reader) => reader,
        Err(error) => {
            writeln!(err, "{name}: {error}")?;
            return Ok(FAILURE);
        }
    };
    let mut payload_bytes = 0u64;
    let end = loop {
        match reader.next_frame() {
            Ok(Some(frame)) => payload_bytes += frame.payload.len() as u64,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    writeln!(
        out,
        "{name}: {} frames, {payload_bytes} bytes of payload, {} of {} bytes of the file",
        reader.frames(),
        reader.offset(),
        reader.file_bytes()
    )?;
    match end {
        Ok(()) => {
            if let Some(tail) = reader.torn_tail() {
                let (bytes, offset) = (tail.bytes, tail.offset);
                writeln!(
                    out,
                    "{name}: torn tail: the {bytes} bytes from offset {offset} are an unfinished frame"
                )?;
            }
            Ok(SUCCESS)
        }
        Err(SpoolError::Damaged(damage)) => {
            writeln!(out, "{name}: damaged: {damage}")?;
            match damage.next_frame {
                Some(next) => {
                    writeln!(out, "{name}: the next whole frame begins at offset {next}")?
                }
                None => writeln!(out, "{name}: no whole frame was found behind it")?,
            }
            Ok(FAILURE)
        }
        Err(error) => {
            writeln!(err, "{name}: {error}")?;
            Ok(FAILURE)
        }
    }
}

/// Opens a regular file. Anything else, such as a pipe, has no length to check a tail against.
fn open(file: &Path) -> io::Result<File> {
    match fs::metadata(file)?.is_file() {
        true => File::open(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

#[cfg(test)]
mod tests {

    use basalt_backup::repo::spool::Writer;

    use super::super::capture;
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for payload in ["one", "two", "three"] {
            writer.append(payload.as_bytes()).unwrap();
        }
        writer.into_inner()
    }

    fn verify_bytes(bytes: &[u8]) -> (u8, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.spool");
        fs::write(&file, bytes).unwrap();
        let (code, out, err) = capture(&["spool".as_ref(), "verify".as_ref(), file.as_os_str()]);
        assert_eq!(err, "");
        assert_eq!(fs::read(&file).unwrap(), bytes);
        (code, out.replace(&file.display().to_string(), "FILE"))
    }

    #[test]
    fn whole_files() {
        let whole = "FILE: 3 frames, 11 bytes of payload, 47 of 47 bytes of the file\n";
        assert_eq!(verify_bytes(&sample()), (SUCCESS, whole.into()));
        let empty = "FILE: 0 frames, 0 bytes of payload, 0 of 0 bytes of the file\n";
        assert_eq!(verify_bytes(b""), (SUCCESS, empty.into()));
    }

    #[test]
    fn a_torn_tail_is_reported() {
        let text = "FILE: 2 frames, 6 bytes of payload, 30 of 46 bytes of the file\n\
                    FILE: torn tail: the 16 bytes from offset 30 are an unfinished frame\n";
        assert_eq!(verify_bytes(&sample()[..46]), (SUCCESS, text.into()));
    }

    #[test]
    fn damage_is_located() {
        let mut bytes = sample();
        bytes[28] ^= 1;
        let (code, out) = verify_bytes(&bytes);
        assert_eq!(code, FAILURE);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            lines[0],
            "FILE: 1 frames, 3 bytes of payload, 15 of 47 bytes of the file"
        );
        assert!(lines[1].starts_with("FILE: damaged: frame 1 at offset 15 has checksum 0x"));
        assert_eq!(lines[2], "FILE: the next whole frame begins at offset 30");
        let (code, out) = verify_bytes(b"some other file");
        assert_eq!(code, FAILURE);
        assert!(
            out.ends_with("FILE: no whole frame was found behind it\n"),
            "{out}"
        );
    }

    #[test]
    fn what_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        for file in [folder.path().to_owned(), folder.path().join("none")] {
            let (code, out, err) =
                capture(&["spool".as_ref(), "verify".as_ref(), file.as_os_str()]);
            assert_eq!((code, out.as_str()), (FAILURE, ""));
            assert!(err.starts_with(&file.display().to_string()), "{err}");
        }
    }
}
