//! What may be asked for when a job is enqueued, wherever it is.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

pub const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
pub const MAX_RETRIES: u32 = 1_000;

/// `"250ms"`, `"10s"`, `"3m"` or ISO 8601; 0 to [`MAX_DELAY`]. A day is 24 hours; months and years,
/// which differ, are refused. The error says what is expected.
pub fn parse_delay(text: &str) -> Result<Duration, String> {
    let delay =
        text.parse::<Span>()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| "a duration such as \"250ms\", \"10s\", \"3m\" or ISO 8601 \"PT3M\"".to_owned())?;
    let delay = Duration::try_from(delay).map_err(|_| "not before now: 0s or more".to_owned())?;
    if delay > MAX_DELAY { Err("365 days at most".to_owned()) } else { Ok(delay) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_written_with_its_unit_and_at_most_a_year() {
        assert_eq!(parse_delay("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_delay("PT3M"), Ok(Duration::from_secs(3 * 60)));
        assert_eq!(parse_delay("365d"), Ok(MAX_DELAY));
        assert_eq!(parse_delay("P1D"), parse_delay("24h"));
        assert_eq!(parse_delay("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_delay("1.5s"), Ok(Duration::from_millis(1_500)));
        for wrong in ["", "1", "-1s", "1mo", "1y", "3 parsecs", "366d", "1e400s", "99999999999999999999s"] {
            assert!(parse_delay(wrong).is_err(), "{wrong}");
        }
    }
}
