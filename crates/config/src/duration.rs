//! Durations with their unit, as in `25s`, `250ms`, `3m` or `PT3M`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserializer, de};

use crate::fields;

/// Reads a duration from `MIN` to `MAX` milliseconds, both included.
pub(crate) fn duration<'de, D, const MIN: u32, const MAX: u32>(deserializer: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let (min, max) = (Duration::from_millis(MIN.into()), Duration::from_millis(MAX.into()));
    let expected =
        format!(r#"a duration from {} to {}, with its unit as in "25s" or "250ms""#, show(min), show(max));
    fields::text(deserializer, &expected, |text| match parse(text) {
        Some(duration) if (min..=max).contains(&duration) => Ok(duration),
        _ => Err(de::Unexpected::Str(text)),
    })
}

/// Friendly or ISO 8601 text as a duration; `None` if it is neither, negative, or has no unit.
fn parse(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok().and_then(|signed| signed.try_into().ok())
}

fn show(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |signed| format!("{signed:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn friendly_and_iso_texts_are_read() {
        for (text, milliseconds) in [
            ("25s", 25_000),
            ("250ms", 250),
            ("3m", 180_000),
            ("1h 30m", 5_400_000),
            ("PT3M", 180_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn numbers_without_a_unit_and_negative_durations_are_not() {
        for text in ["25", "", "-5s", "5s ago", "s", "soon"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
