//! Parses the bodies of requests strictly. An error says where in the body it is.

use atode_jobs::{json_pointer, without_position};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::http::problem::Problem;

/// The body as text, without the byte order mark that some editors and shells add (RFC 8259, 8.1, allows to skip it).
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::malformed(format!("the body is not UTF-8: {error}")))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Parses a JSON object. (serde would also accept an array for a struct.)
pub(crate) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Problem> {
    let not_json = |error: serde_json::Error| Problem::malformed(format!("not JSON: {error}"));
    let start = json.trim_start_matches([' ', '\t', '\r', '\n']);
    if start.is_empty() {
        return Err(Problem::malformed("expected a JSON object, found an empty body"));
    }
    if !start.starts_with('{') {
        serde_json::from_str::<IgnoredAny>(json).map_err(not_json)?;
        return Err(Problem::malformed("expected a JSON object, `{…}`"));
    }
    serde_json::from_str(json).map_err(|error| {
        if !error.is_data() {
            return not_json(error);
        }
        // Tracking the path costs time, so it is done only after parsing has failed.
        let tracked = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(json));
        let pointer = tracked.err().map_or_else(String::new, |error| json_pointer(error.path()));
        Problem::invalid_field(&pointer, without_position(&error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(text(b"\xef\xbb\xbf{}").unwrap(), "{}");
        assert_eq!(text(b"{\xef\xbb\xbf}").unwrap(), "{\u{feff}}");
    }
}
