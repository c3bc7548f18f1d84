//! The server log in Redis's line format, so that what reads Redis logs reads ours:
//! `pid:M 21 Nov 2026 16:00:00.123 * message`.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::config::LogLevel;

static THRESHOLD: AtomicU8 = AtomicU8::new(2);

/// Sets the lowest level that is written.
pub fn set_level(level: LogLevel) {
    let threshold = match level {
        LogLevel::Debug => 0,
        LogLevel::Verbose => 1,
        LogLevel::Notice => 2,
        LogLevel::Warning => 3,
        LogLevel::Nothing => 4,
    };
    THRESHOLD.store(threshold, Relaxed);
}

struct Lines {
    path: String,
}

/// Collects the text of an event.
#[derive(Default)]
struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (rank, mark) = match *event.metadata().level() {
            Level::TRACE => (0, '.'),
            Level::DEBUG => (1, '-'),
            Level::INFO => (2, '*'),
            Level::WARN | Level::ERROR => (3, '#'),
        };
        if rank < THRESHOLD.load(Relaxed) || !event.metadata().target().starts_with("basalt") {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        write_line(
            &self.path,
            &format!(
                "{}:M {} {mark} {}\n",
                std::process::id(),
                stamp(crate::server::unix_ms()),
                text.0
            ),
        );
    }
}

/// Writes to the log file, opened anew each time so that it can be rotated; a log that cannot
/// be written must not stop the server.
fn write_line(path: &str, line: &str) {
    let _ = if path.is_empty() {
        io::stdout().lock().write_all(line.as_bytes())
    } else {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
    };
}

/// `21 Nov 2026 16:00:00.123`, UTC.
fn stamp(unix_ms: i64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, ms) = (
        unix_ms.div_euclid(86_400_000),
        unix_ms.rem_euclid(86_400_000),
    );
    let (year, month, day) = civil(days);
    let month = MONTHS[(month - 1) as usize % 12];
    format!(
        "{day:02} {month} {year} {:02}:{:02}:{:02}.{:03}",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}

/// Year, month, day of a count of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Starts logging to a file, or to standard output if `path` is empty.
pub fn start(path: &str, level: LogLevel) {
    set_level(level);
    let lines = Lines {
        path: path.to_string(),
    };
    // A second start in one process, as in tests, keeps the first.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps() {
        assert_eq!(stamp(0), "01 Jan 1970 00:00:00.000");
        assert_eq!(stamp(951_782_400_123), "29 Feb 2000 00:00:00.123");
        assert_eq!(stamp(1_795_276_799_999), "21 Nov 2026 15:59:59.999");
    }
}
