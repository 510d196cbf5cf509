//! The address of a collector of traces.

use std::fmt;

use serde::Deserialize;
use ureq::http::Uri;

use crate::values::Raw;

const EXPECTED: &str = r#"a URL such as "http://localhost:4318""#;

/// The base URL of an OTLP receiver, `http` or `https`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct CollectorUrl(String);

impl CollectorUrl {
    /// The URL that takes spans.
    pub fn of_spans(&self) -> String {
        format!("{}/v1/traces", self.0)
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<Raw> for CollectorUrl {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        raw.text(EXPECTED, |text| base(text).map(Self)).map_err(|refused| {
            // A URL may contain a password, which no error may show.
            if refused.contains('@') {
                format!("expected {EXPECTED}, found a text with \"@\" in it")
            } else {
                refused
            }
        })
    }
}

/// The URL without a slash at its end.
fn base(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_plain = uri.query().is_none() && uri.host().is_some_and(|host| !host.is_empty());
    (is_http && is_plain && !text.contains(['@', '#'])).then(|| text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gets_the_path_of_spans() {
        let url = |text| base(text).map(|base| CollectorUrl(base).of_spans());
        assert_eq!(url("http://localhost:4318").unwrap(), "http://localhost:4318/v1/traces");
        assert_eq!(url("https://otlp.example/tenant/").unwrap(), "https://otlp.example/tenant/v1/traces");
        assert_eq!(url("http://[::1]:4318/").unwrap(), "http://[::1]:4318/v1/traces");
        for wrong in
            ["", "localhost:4318", "grpc://h:4317", "http://", "http://u:p@h", "http://h/?a=1", "/v1/traces"]
        {
            assert_eq!(url(wrong), None, "{wrong}");
        }
    }
}
