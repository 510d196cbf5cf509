//! Instants in JSON: RFC 3339 in UTC, always with three digits behind the second, so that all have one length and
//! sort as text.

use jiff::Timestamp;
use serde::Serializer;

pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

#[expect(clippy::ref_option, reason = "serde's serialize_with passes a reference")]
pub(crate) fn serialize_option<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serialize(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_three_digits_whatever_they_are() {
        let text = |ms| {
            let mut json = Vec::new();
            let at = Timestamp::from_millisecond(ms).ok();
            serialize_option(&at, &mut serde_json::Serializer::new(&mut json)).unwrap();
            String::from_utf8(json).unwrap()
        };
        assert_eq!(text(0), r#""1970-01-01T00:00:00.000Z""#);
        assert_eq!(text(1_795_478_771_840), r#""2026-11-24T00:06:11.840Z""#);
        assert_eq!(text(i64::MAX), "null");
    }
}
