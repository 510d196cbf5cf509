//! The address of a collector of traces.

use std::{fmt, str::FromStr};

use serde::Deserialize;
use ureq::http::Uri;

use crate::values::Raw;

const EXPECTED: &str = r#"a URL such as "http://localhost:4318""#;

/// The base URL of an OTLP receiver, `http` or `https`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct CollectorUrl(String);

/// The text is no such URL.
#[derive(Debug, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct InvalidCollectorUrl;

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

impl FromStr for CollectorUrl {
    type Err = InvalidCollectorUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| InvalidCollectorUrl)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_plain = uri.query().is_none() && uri.host().is_some_and(|host| !host.is_empty());
        if is_http && is_plain && !text.contains(['@', '#']) {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(InvalidCollectorUrl)
        }
    }
}

impl TryFrom<Raw> for CollectorUrl {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        raw.address(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gets_the_path_of_spans() {
        let url = |text: &str| text.parse().ok().map(|url: CollectorUrl| url.of_spans());
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
