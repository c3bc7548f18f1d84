//! `oom-score-adj`: how willing the kernel is to end this process when memory runs out.
//!
//! The score is that of a primary; there are no children to give one to. What was in force
//! before the directive was switched on comes back when it is switched off.

use std::fs;

use parking_lot::Mutex;

use crate::config::{Config, OomScoreAdj};

const FILE: &str = "/proc/self/oom_score_adj";
/// What the kernel takes.
const RANGE: std::ops::RangeInclusive<i32> = -1000..=1000;

/// The score before the directive was switched on, while it is.
static BEFORE: Mutex<Option<i32>> = Mutex::new(None);

/// The score to set, given the one before.
fn wanted(config: &Config, before: i32) -> Option<i32> {
    let [primary, ..] = config.oom_score_adj_values.0;
    let score = match config.oom_score_adj {
        OomScoreAdj::No => return None,
        OomScoreAdj::Relative => before.saturating_add(primary),
        OomScoreAdj::Absolute => primary,
    };
    Some(score.clamp(*RANGE.start(), *RANGE.end()))
}

/// Puts the directives into effect.
///
/// # Errors
/// The score cannot be read or set, which was logged.
pub fn follow(config: &Config) -> Result<(), String> {
    let mut before = BEFORE.lock();
    let base = match *before {
        Some(base) => base,
        None if config.oom_score_adj == OomScoreAdj::No => return Ok(()),
        None => read().map_err(|reason| failed("read", &reason))?,
    };
    let score = wanted(config, base);
    *before = score.map(|_| base);
    fs::write(FILE, score.unwrap_or(base).to_string())
        .map_err(|error| failed("write", &crate::config::text::os_reason(&error)))
}

fn read() -> Result<i32, String> {
    let text = fs::read_to_string(FILE).map_err(|error| crate::config::text::os_reason(&error))?;
    text.trim().parse().map_err(|_| "not a number".to_owned())
}

fn failed(doing: &str, reason: &str) -> String {
    tracing::warn!("Unable to {doing} oom_score_adj: {reason}");
    "Failed to set current oom_score_adj. Check server logs.".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_relative_or_absolute_and_within_the_kernels_range() {
        let mut config = Config::default();
        assert_eq!(wanted(&config, 5), None);
        config.oom_score_adj_values.0 = [7, 200, 800];
        config.oom_score_adj = OomScoreAdj::Relative;
        assert_eq!(wanted(&config, 5), Some(12));
        config.oom_score_adj = OomScoreAdj::Absolute;
        assert_eq!(wanted(&config, 5), Some(7));
        config.oom_score_adj_values.0 = [2000, 200, 800];
        assert_eq!(wanted(&config, 5), Some(1000));
    }
}
