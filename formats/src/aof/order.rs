//! Whether files belong together: each can be whole and yet be the wrong one, or not all of it.
//!
//! A file cut between two batches looks whole. The header of the next one says which batch comes first in it, so what is
//! missing before shows; at the end of the last file it cannot.

use super::annotation::{Lineage, Part};
use super::manifest::{FileInfo, FileType, Manifest};
use super::verdict::AofReport;

/// Why a file is not the one that belongs in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misplaced {
    /// It belongs to another data set.
    #[error("belongs to lineage {found}, not {expected}")]
    Lineage {
        /// That of the manifest, or of the files before.
        expected: Lineage,
        /// Its own.
        found: Lineage,
    },
    /// It is another file of the same data set.
    #[error("says it is file {found}, the manifest says {expected}")]
    Seq {
        /// The number in the manifest.
        expected: i64,
        /// Its own.
        found: u64,
    },
    /// It is a base in place of an increment, or the other way round.
    #[error("is not of the type that the manifest says")]
    Part,
    /// Batches are missing between the file before and this.
    #[error("begins with batch {found}, but the file before ends before batch {expected}")]
    Gap {
        /// The batch that should come first.
        expected: u64,
        /// The batch that does.
        found: u64,
    },
    /// The file before is not the one this continued.
    #[error("does not continue the file before it")]
    Chain,
}

/// Compares the headers of files with the manifest and with the files before them. `reports` are those of
/// [`Manifest::files`], in order. Files without a header are passed over.
///
/// # Errors
/// Which file is wrong, counted from 0, and why.
pub fn check_order(manifest: &Manifest, reports: &[AofReport]) -> Result<(), (usize, Misplaced)> {
    let mut lineage = manifest.lineage;
    let mut before: Option<(&FileInfo, &AofReport)> = None;
    for (number, (info, report)) in manifest.files().zip(reports).enumerate() {
        let wrong = |what| Err((number, what));
        let previous = before.replace((info, report));
        let Some(header) = &report.header else {
            continue;
        };
        let expected = *lineage.get_or_insert(header.lineage);
        if header.lineage != expected {
            return wrong(Misplaced::Lineage {
                expected,
                found: header.lineage,
            });
        }
        if (info.kind == FileType::Base) != (header.part == Part::Base) {
            return wrong(Misplaced::Part);
        }
        if i64::try_from(header.seq) != Ok(info.seq) {
            return wrong(Misplaced::Seq {
                expected: info.seq,
                found: header.seq,
            });
        }
        if let Some((
            FileInfo {
                kind: FileType::Incr,
                ..
            },
            AofReport {
                chain: Some(chain), ..
            },
        )) = previous
        {
            if header.first != chain.next_index {
                return wrong(Misplaced::Gap {
                    expected: chain.next_index,
                    found: header.first,
                });
            }
            if header.prev != chain.prev {
                return wrong(Misplaced::Chain);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{BatchWriter, Header, check};
    use super::*;

    fn header() -> Header {
        Header {
            part: Part::Incr,
            lineage: Lineage([1; 16]),
            seq: 1,
            first: 0,
            time_ms: 0,
            prev: 0,
        }
    }

    fn file(header: Header) -> (Vec<u8>, BatchWriter) {
        let mut writer = BatchWriter::create(&header);
        writer.append(&[b"PING"]);
        writer.close(1);
        (writer.take(), writer)
    }

    #[test]
    fn files_that_belong_together_and_others() {
        let mut manifest = Manifest::default();
        let _ = manifest.new_incr(b"a").unwrap();
        let _ = manifest.new_incr(b"a").unwrap();
        let (one, mut writer) = file(header());
        let end = writer.chain();
        let good = Header {
            seq: 2,
            first: end.next_index,
            prev: end.prev,
            ..header()
        };
        let order = |manifest: &Manifest, one: &[u8], two: Header| {
            check_order(manifest, &[check(one), check(&file(two).0)])
        };
        assert_eq!(order(&manifest, &one, good), Ok(()));
        assert_eq!(order(&manifest, b"*1\r\n$4\r\nPING\r\n", good), Ok(()));
        writer.append(&[b"PING"]);
        writer.close(1);
        let longer = [one.clone(), writer.take()].concat();
        let gap = |expected, found| Err((1, Misplaced::Gap { expected, found }));
        assert_eq!(order(&manifest, &longer, good), gap(2, 1));
        assert_eq!(
            order(
                &manifest,
                &one[..super::super::annotation::HEADER_BYTES],
                good
            ),
            gap(0, 1)
        );
        let wrong = |header| order(&manifest, &one, header).unwrap_err();
        assert_eq!(wrong(Header { prev: 1, ..good }), (1, Misplaced::Chain));
        assert_eq!(
            wrong(Header { seq: 3, ..good }),
            (
                1,
                Misplaced::Seq {
                    expected: 2,
                    found: 3
                }
            )
        );
        assert_eq!(
            wrong(Header {
                part: Part::Base,
                ..good
            }),
            (1, Misplaced::Part)
        );
        let found = Lineage([2; 16]);
        let expected = Lineage([1; 16]);
        assert_eq!(
            wrong(Header {
                lineage: found,
                ..good
            }),
            (1, Misplaced::Lineage { expected, found })
        );
        manifest.lineage = Some(found);
        let error = Misplaced::Lineage {
            expected: found,
            found: expected,
        };
        assert_eq!(order(&manifest, &one, good), Err((0, error)));
    }
}
