//! Which moments a repository can restore, and which it cannot although there is data before and after them.

use std::collections::BTreeMap;

use super::archive::{Mark, Reach, Stored};
use crate::repo::Manifest;

/// Moments of a data set that can all be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The data set's id.
    pub lineage: String,
    /// The first of them, Unix milliseconds.
    pub from_ms: i64,
    /// The last.
    pub to_ms: i64,
    /// Backups in it.
    pub backups: u64,
    /// Effects that are missing behind it from its stream, if a hole ends it.
    pub missing: Option<(u64, u64)>,
}

/// The spans of each data set in order; what lies between two of one data set is a gap.
pub fn spans<'m>(
    manifests: impl IntoIterator<Item = &'m Manifest>,
    segments: &[Stored],
) -> Vec<Span> {
    let mut lineages: BTreeMap<&str, Vec<&Manifest>> = BTreeMap::new();
    for manifest in manifests {
        let of_it = lineages.entry(&manifest.lineage).or_default();
        of_it.push(manifest);
    }
    let mut spans: Vec<Span> = Vec::new();
    for (lineage, mut manifests) in lineages {
        manifests.sort_by_key(|manifest| manifest.cut_ms);
        let marks: Vec<Mark> = manifests.iter().copied().filter_map(Mark::of).collect();
        let begin = spans.len();
        for manifest in manifests {
            let position = manifest.archive.as_ref();
            let reach = position.map(|position| Reach::of(position, segments, &marks));
            let covered_ms = reach.map_or(i64::MIN, |reach| reach.covered_ms);
            let (from_ms, to_ms) = (manifest.cut_ms, covered_ms.max(manifest.cut_ms));
            let missing = reach.and_then(|reach| reach.missing);
            match spans.get_mut(begin..).and_then(<[Span]>::last_mut) {
                Some(last) if last.to_ms.saturating_add(1) >= from_ms => {
                    last.backups += 1;
                    if to_ms >= last.to_ms {
                        (last.to_ms, last.missing) = (to_ms, missing);
                    }
                }
                _ => spans.push(Span {
                    lineage: lineage.to_owned(),
                    from_ms,
                    to_ms,
                    backups: 1,
                    missing,
                }),
            }
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::super::archive::Segment;
    use super::*;
    use crate::repo::BackupId;
    use crate::repo::manifest::Position;
    use crate::repo::manifest::tests::empty;
    use crate::store::ObjectName;

    fn backup(lineage: &str, cut_ms: i64, place: Option<(&str, u64)>) -> Manifest {
        Manifest {
            lineage: lineage.into(),
            cut_ms,
            archive: place.map(|(stream, index)| Position {
                stream: stream.into(),
                index,
            }),
            ..empty(BackupId::new(cut_ms, lineage, 0))
        }
    }

    fn segment(stream: &str, numbers: (u64, u64), times: (i64, i64)) -> Stored {
        Stored {
            segment: Segment {
                stream: stream.into(),
                first: numbers.0,
                last: numbers.1,
                from_ms: times.0,
                to_ms: times.1,
            },
            name: ObjectName::new("x").unwrap(),
            bytes: 0,
        }
    }

    fn shown(manifests: &[Manifest], segments: &[Stored]) -> Vec<String> {
        let spans = spans(manifests, segments).into_iter();
        spans
            .map(|span| {
                let (from, to, backups) = (span.from_ms, span.to_ms, span.backups);
                let lineage = span.lineage;
                match span.missing {
                    None => format!("{lineage} {from}-{to} {backups}"),
                    Some((first, last)) => {
                        format!("{lineage} {from}-{to} {backups} {first}-{last}")
                    }
                }
            })
            .collect()
    }

    #[test]
    fn without_an_archive_only_moments() {
        let manifests = [
            backup("b", 20, None),
            backup("a", 30, None),
            backup("b", 10, None),
        ];
        assert_eq!(
            shown(&manifests, &[]),
            ["a 30-30 1", "b 10-10 1", "b 20-20 1"]
        );
    }

    #[test]
    fn streams_make_spans_and_what_is_missing_gaps() {
        let manifests = [
            backup("a", 10, Some(("s", 0))),
            backup("a", 50, Some(("s", 5))),
            backup("a", 100, Some(("t", 0))),
        ];
        let whole = [
            segment("s", (1, 5), (11, 40)),
            segment("s", (6, 9), (51, 60)),
            segment("t", (1, 2), (101, 120)),
        ];
        assert_eq!(shown(&manifests, &whole), ["a 10-60 2", "a 100-120 1"]);
        // The first segment is gone: nothing between the backups, but what comes after the second.
        assert_eq!(
            shown(&manifests, &whole[1..]),
            ["a 10-10 1 1-5", "a 50-60 1", "a 100-120 1"]
        );
        // Nothing was written before the second backup, and nothing after it.
        assert_eq!(shown(&manifests[..2], &whole[..1]), ["a 10-50 2"]);
        // The second backup is gone: the log still goes through, and there is no hole.
        let thinned = [manifests[0].clone(), manifests[2].clone()];
        assert_eq!(shown(&thinned, &whole), ["a 10-60 1", "a 100-120 1"]);
    }
}
