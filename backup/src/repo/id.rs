//! IDs of backups: `20261121T080000.000Z-LLLLLLLL-RRRRRRRR`.
//!
//! The time comes first, so that IDs sort by it in any listing; the data set's id tells backups of different data sets in
//! one repository apart; the random digits keep two servers with one clock from one name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the time is written.
const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";
/// Bytes of the time.
const TIME_BYTES: usize = 20;

/// The name of a backup. IDs are ordered by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

/// A text is no ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the ID of a backup")]
pub struct InvalidId(String);

impl BackupId {
    /// An ID for a backup of this moment (milliseconds since 1970) of a data set.
    pub fn new(cut_ms: i64, lineage: &str, random: u32) -> BackupId {
        let lineage: String = lineage
            .chars()
            .filter(char::is_ascii_hexdigit)
            .chain(std::iter::repeat('0'))
            .take(8)
            .collect();
        let time = time_text(cut_ms);
        let lineage = lineage.to_ascii_lowercase();
        BackupId(format!("{time}-{lineage}-{random:08x}"))
    }

    /// Milliseconds since 1970 of the cut.
    pub fn time_ms(&self) -> i64 {
        self.0
            .get(..TIME_BYTES)
            .and_then(parse_time)
            .unwrap_or_default()
    }

    /// As a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A moment as it is written in IDs; later ones are the last day of 9999.
pub fn time_text(ms: i64) -> String {
    let ms = ms.clamp(0, jiff::Timestamp::MAX.as_millisecond());
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or(jiff::Timestamp::MAX)
        .strftime(TIME)
        .to_string()
}

/// A moment given by people, in Unix milliseconds: `2026-11-21T08:00:00Z` with any offset and fraction, or as in IDs.
pub fn parse_moment(text: &str) -> Option<i64> {
    let standard = text.parse::<jiff::Timestamp>().ok();
    let standard = standard.map(jiff::Timestamp::as_millisecond);
    standard.or_else(|| parse_time(text))
}

fn parse_time(text: &str) -> Option<i64> {
    let broken = jiff::fmt::strtime::BrokenDownTime::parse("%Y%m%dT%H%M%S%.fZ", text).ok()?;
    let moment = broken.to_datetime().ok()?;
    let zoned = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

impl FromStr for BackupId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<BackupId, InvalidId> {
        let invalid = || InvalidId(text.chars().take(64).collect());
        let mut parts = text.split('-');
        let (time, lineage, random) = (parts.next(), parts.next(), parts.next());
        let hex = |part: Option<&str>| {
            part.is_some_and(|part| {
                part.len() == 8
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            })
        };
        let written_so = |time: &str| parse_time(time).is_some_and(|ms| time_text(ms) == time);
        let good =
            parts.next().is_none() && time.is_some_and(written_so) && hex(lineage) && hex(random);
        good.then(|| BackupId(text.to_owned())).ok_or_else(invalid)
    }
}

impl TryFrom<String> for BackupId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<BackupId, InvalidId> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> String {
        id.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_are_read_back() {
        let ms = 1_795_248_000_007;
        let id = BackupId::new(ms, "0123456789abcdef", 0xbeef);
        assert_eq!(id.as_str(), "20261121T080000.007Z-01234567-0000beef");
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_eq!(id.time_ms(), ms);
        assert!(BackupId::new(ms + 1, "00", 0) > id);
        let latest = BackupId::new(i64::MAX, "", 0);
        assert!(latest.as_str().starts_with("9999"), "{latest}");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "20261121T080000.007Z",
            "20261121T080000.007Z-01234567-0000bee",
            "20261121T080000.007Z-01234567-0000BEEF",
            "20261321T080000.007Z-01234567-0000beef",
            "20261121T080000.7Z-01234567-0000beef",
            "20261121T080000.007Z-01234567-0000beef-",
            "../../etc/passwd",
        ] {
            assert!(text.parse::<BackupId>().is_err(), "{text}");
        }
    }
}
