//! When backups are made: five fields of cron in a time zone, or `every 6h`.
//!
//! Daylight saving is that of the zone: a time that does not exist on a day is made up for, one that comes twice counts once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    zone: String,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Cron(Box<Cron>, TimeZone),
    Every(Duration),
}

/// A text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a schedule such as '0 3 * * *' or 'every 6h': {reason}")]
pub struct InvalidSchedule {
    text: String,
    reason: String,
}

impl Schedule {
    /// Reads a schedule for a time zone such as `Europe/Berlin`; `UTC` if it is empty.
    ///
    /// # Errors
    /// [`InvalidSchedule`].
    pub fn parse(text: &str, zone: &str) -> Result<Schedule, InvalidSchedule> {
        let invalid = |reason: String| InvalidSchedule {
            text: text.chars().take(80).collect(),
            reason,
        };
        let rule = if let Some(period) = text.strip_prefix("every ") {
            let period = parse_period(period.trim());
            Rule::Every(period.ok_or_else(|| invalid("no number with s, m, h or d".into()))?)
        } else {
            if text.split_ascii_whitespace().count() != 5 {
                return Err(invalid("it has not five fields".into()));
            }
            let cron = Cron::from_str(text).map_err(|error| invalid(error.to_string()))?;
            let zone = if zone.is_empty() || zone == "UTC" {
                TimeZone::UTC
            } else {
                TimeZone::get(zone).map_err(|error| invalid(error.to_string()))?
            };
            Rule::Cron(Box::new(cron), zone)
        };
        Ok(Schedule {
            text: text.to_owned(),
            zone: zone.to_owned(),
            rule,
        })
    }

    /// The first time after this one, in Unix milliseconds; `last` is when the last backup began.
    pub fn next(&self, after_ms: i64, last_ms: Option<i64>) -> Option<i64> {
        match &self.rule {
            Rule::Every(period) => {
                let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
                let due = last_ms.map_or(after_ms, |last| last.saturating_add(period));
                Some(due.max(after_ms))
            }
            Rule::Cron(cron, zone) => {
                let after = Timestamp::from_millisecond(after_ms).ok()?;
                let next = cron
                    .find_next_occurrence(&after.to_zoned(zone.clone()), false)
                    .ok()?;
                Some(next.timestamp().as_millisecond())
            }
        }
    }
}

fn parse_period(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.len().checked_sub(1)?);
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        (&self.text, &self.zone) == (&other.text, &other.zone)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &Schedule, after: &str) -> String {
        let after: Timestamp = after.parse().unwrap();
        let next = schedule.next(after.as_millisecond(), None).unwrap();
        Timestamp::from_millisecond(next).unwrap().to_string()
    }

    #[test]
    fn cron_in_a_time_zone() {
        let utc = Schedule::parse("0 3 * * *", "").unwrap();
        assert_eq!(next(&utc, "2026-11-21T02:59:59Z"), "2026-11-21T03:00:00Z");
        assert_eq!(next(&utc, "2026-11-21T03:00:00Z"), "2026-11-22T03:00:00Z");
        let Ok(berlin) = Schedule::parse("0 3 * * *", "Europe/Berlin") else {
            // A system without time zones.
            return;
        };
        assert_eq!(
            next(&berlin, "2026-11-21T00:00:00Z"),
            "2026-11-21T02:00:00Z"
        );
        assert_eq!(
            next(&berlin, "2026-07-01T00:00:00Z"),
            "2026-07-01T01:00:00Z"
        );
    }

    #[test]
    fn every_so_often() {
        let schedule = Schedule::parse("every 6h", "").unwrap();
        assert_eq!(schedule.next(1000, Some(500)), Some(500 + 6 * 3_600_000));
        assert_eq!(schedule.next(1000, None), Some(1000));
        assert_eq!(schedule.next(i64::MAX, Some(0)), Some(i64::MAX));
    }

    #[test]
    fn wrong_texts() {
        for text in [
            "",
            "0 3 * *",
            "61 3 * * *",
            "every",
            "every 0h",
            "every 6x",
            "* * * * * *",
        ] {
            assert!(Schedule::parse(text, "").is_err(), "{text}");
        }
        assert!(Schedule::parse("0 3 * * *", "Mars/Olympus").is_err());
    }
}
