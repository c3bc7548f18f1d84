//! How long backups are kept: `7d 4w 12m` keeps the newest backup of each of the last seven days that have one, of four weeks,
//! of twelve months; a bare number keeps so many newest ones. What any rule keeps is kept, and the newest always.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::repo::BackupId;

/// A length of time by which backups are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Each,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// Rules; none: everything is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention(Vec<(u32, Unit)>);

/// A text is no retention.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a retention such as '7d 4w 12m': numbers with h, d, w, m, y or nothing")]
pub struct InvalidRetention(String);

impl FromStr for Retention {
    type Err = InvalidRetention;

    fn from_str(text: &str) -> Result<Retention, InvalidRetention> {
        let rule = |word: &str| {
            let at = word.find(|c: char| !c.is_ascii_digit());
            let (digits, unit) = word.split_at(at.unwrap_or(word.len()));
            let unit = match unit {
                "" => Unit::Each,
                "h" => Unit::Hour,
                "d" => Unit::Day,
                "w" => Unit::Week,
                "m" => Unit::Month,
                "y" => Unit::Year,
                _ => return None,
            };
            let count = digits.parse().ok().filter(|count| *count > 0)?;
            Some((count, unit))
        };
        let rules = text.split_ascii_whitespace().map(rule).collect();
        let rules: Option<Vec<_>> = rules;
        rules
            .map(Retention)
            .ok_or_else(|| InvalidRetention(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (count, unit)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            let unit = match unit {
                Unit::Each => "",
                Unit::Hour => "h",
                Unit::Day => "d",
                Unit::Week => "w",
                Unit::Month => "m",
                Unit::Year => "y",
            };
            write!(f, "{space}{count}{unit}")?;
        }
        Ok(())
    }
}

impl Retention {
    /// Everything is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of these backups that need not be kept.
    pub fn expired(&self, ids: &[BackupId]) -> Vec<BackupId> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut newest_first = ids.to_vec();
        newest_first.sort();
        newest_first.reverse();
        let mut kept: HashSet<&BackupId> = newest_first.first().into_iter().collect();
        for (count, unit) in &self.0 {
            let mut periods = Vec::new();
            for id in &newest_first {
                let period = period(id, *unit);
                if periods.contains(&period) {
                    continue;
                }
                if periods.len() >= usize::try_from(*count).unwrap_or(usize::MAX) {
                    break;
                }
                periods.push(period);
                kept.insert(id);
            }
        }
        let gone = newest_first.iter().filter(|id| !kept.contains(id));
        gone.rev().cloned().collect()
    }
}

/// Names the period a backup falls into, in UTC; weeks are those of ISO 8601.
fn period(id: &BackupId, unit: Unit) -> String {
    let format = match unit {
        Unit::Each => return id.to_string(),
        Unit::Hour => "%Y-%m-%d %H",
        Unit::Day => "%Y-%m-%d",
        Unit::Week => "%G-%V",
        Unit::Month => "%Y-%m",
        Unit::Year => "%Y",
    };
    let moment = jiff::Timestamp::from_millisecond(id.time_ms()).unwrap_or_default();
    let zoned = moment.to_zoned(TimeZone::UTC);
    zoned.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    /// Two backups a day, at noon and a minute before midnight.
    fn ids(days: i64) -> Vec<BackupId> {
        let begin = 1_767_225_600_000; // 2026-01-01, a Thursday
        let half = |at: i64| BackupId::new(begin + at, "", 0);
        (0..days)
            .flat_map(|day| {
                [
                    half(day * DAY_MS + DAY_MS / 2),
                    half(day * DAY_MS + DAY_MS - 60_000),
                ]
            })
            .collect()
    }

    fn kept(rules: &str, ids: &[BackupId]) -> Vec<String> {
        let gone = rules.parse::<Retention>().unwrap().expired(ids);
        ids.iter()
            .filter(|id| !gone.contains(id))
            .map(|id| id.as_str()[..11].to_owned())
            .collect()
    }

    #[test]
    fn the_newest_of_each_period_is_kept() {
        let ids = ids(60);
        assert_eq!(
            kept("3d", &ids),
            ["20260227T23", "20260228T23", "20260301T23"]
        );
        assert_eq!(kept("2", &ids), ["20260301T12", "20260301T23"]);
        assert_eq!(
            kept("1d 3m", &ids),
            ["20260131T23", "20260228T23", "20260301T23"]
        );
        // 1 March 2026 is a Sunday, the end of its week.
        assert_eq!(kept("2w", &ids), ["20260222T23", "20260301T23"]);
        assert_eq!(kept("", &ids).len(), 120);
        assert_eq!(kept("5y", &ids), ["20260301T23"]);
    }

    #[test]
    fn texts() {
        for text in ["7d 4w 12m", "3", "24h 1y"] {
            assert_eq!(text.parse::<Retention>().unwrap().to_string(), text);
        }
        for text in ["0d", "d", "7 days", "7D", "-1d", "99999999999d"] {
            assert!(text.parse::<Retention>().is_err(), "{text}");
        }
    }
}
