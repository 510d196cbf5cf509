//! When a job is due: `delay` or `run_at` of a request.

use std::time::Duration;

use atode_queue::Due;
use jiff::fmt::temporal::Pieces;
use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::limits::{MAX_DELAY, MAX_PAST};

/// The field that is wrong, and what it should be.
pub(crate) type DueError = (&'static str, String);

/// `"250ms"`, `"10s"`, `"3m"` or ISO 8601, from 0 to [`MAX_DELAY`]. A day has 24 hours; months and years are
/// refused, because their lengths differ. The error says what is expected.
pub fn parse_delay(text: &str) -> Result<Duration, String> {
    let expected = "expected a duration such as \"250ms\", \"10s\", \"3m\" or ISO 8601 \"PT3M\"";
    let delay = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .map_err(|_| expected.to_owned())?;
    let delay = Duration::try_from(delay).map_err(|_| "not before now: 0s or more".to_owned())?;
    check_delay(delay)
}

fn check_delay(delay: Duration) -> Result<Duration, String> {
    if delay > MAX_DELAY { Err("365 days at most".to_owned()) } else { Ok(delay) }
}

/// The due time that the fields of a request give, or `None` without both. `now` is Redis' clock, Unix ms. The
/// error is the field that is wrong, and what is expected.
pub fn parse_due(delay: Option<&str>, run_at: Option<&str>, now: i64) -> Result<Option<Due>, DueError> {
    if delay.is_some() && run_at.is_some() {
        return Err(both());
    }
    let delay = delay.map(parse_delay).transpose().map_err(|why| ("delay", why))?;
    let expected = "expected an RFC 3339 time with its zone, such as 2030-01-31T09:30:00Z";
    let run_at = run_at.map(|run_at| parse_instant(run_at).ok_or(("run_at", expected.to_owned())));
    check_due(delay, run_at.transpose()?, now)
}

/// [`parse_due`] of values that need no parsing; `run_at` is Unix ms.
pub(crate) fn check_due(
    delay: Option<Duration>,
    run_at: Option<i64>,
    now: i64,
) -> Result<Option<Due>, DueError> {
    match (delay, run_at) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(both()),
        (Some(delay), None) => {
            check_delay(delay).map(|delay| Some(Due::After(delay))).map_err(|why| ("delay", why))
        }
        (None, Some(at)) if at > now.saturating_add(MAX_DELAY.as_millis() as i64) => {
            Err(("run_at", "365 days ahead at most".to_owned()))
        }
        (None, Some(at)) if at < now.saturating_sub(MAX_PAST.as_millis() as i64) => {
            Err(("run_at", "more than a day ago".to_owned()))
        }
        (None, Some(at)) => Ok(Some(Due::At(at))),
    }
}

fn both() -> DueError {
    ("run_at", "delay and run_at exclude each other".to_owned())
}

/// Unix ms. The last hours of the year 9999 are accepted here too, although a `Timestamp` cannot hold them.
fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let pieces = Pieces::parse(text).ok()?;
    let is_whole = pieces.time().is_some() && pieces.offset().is_some();
    match pieces.date().year() {
        9_999 if is_whole => Some(Timestamp::MAX.as_millisecond()),
        -9_999 if is_whole => Some(Timestamp::MIN.as_millisecond()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_has_a_unit_and_is_at_most_a_year() {
        assert_eq!(parse_delay("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_delay("PT3M"), Ok(Duration::from_secs(3 * 60)));
        assert_eq!(parse_delay("365d"), Ok(MAX_DELAY));
        assert_eq!(parse_delay("P1D"), parse_delay("24h"));
        assert_eq!(parse_delay("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_delay("1.5s"), Ok(Duration::from_millis(1_500)));
        for wrong in ["", "1", "-1s", "1mo", "1y", "3 parsecs", "366d", "1e400s", "99999999999999999999s"] {
            assert!(parse_delay(wrong).is_err(), "{wrong}");
        }
        assert!(parse_delay("5").unwrap_err().starts_with("expected a duration such as "));
    }

    #[test]
    fn a_due_time_is_a_duration_or_an_instant_within_a_year() {
        let now = 1_800_000_000_000;
        let due = |delay: Option<&str>, run_at: Option<&str>| parse_due(delay, run_at, now);
        assert_eq!(due(None, None), Ok(None));
        assert_eq!(due(Some("250ms"), None), Ok(Some(Due::After(Duration::from_millis(250)))));
        assert_eq!(due(Some("-1s"), None).unwrap_err().0, "delay");
        let at = Timestamp::from_millisecond(now + 5).unwrap();
        assert_eq!(due(None, Some(&at.to_string())), Ok(Some(Due::At(now + 5))));
        for late in ["9999-12-31T23:59:59Z", "9999-12-30T22:00:00Z", "9999-12-31T23:59:59.999+09:00"] {
            assert_eq!(due(None, Some(late)), Err(("run_at", "365 days ahead at most".to_owned())));
        }
        let early = due(None, Some("0001-01-01T00:00:00Z"));
        assert_eq!(early, Err(("run_at", "more than a day ago".to_owned())));
        for wrong in ["9999-12-31", "9999-12-31T23:59:59", "2027-01-16T08:00:00", "tomorrow", ""] {
            assert_eq!(due(None, Some(wrong)).unwrap_err().0, "run_at", "{wrong}");
        }
        assert_eq!(due(Some("1s"), Some("2027-01-16T08:00:00Z")).unwrap_err().0, "run_at");
    }
}
