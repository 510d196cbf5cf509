//! Addresses of gateways, and paths below them.

use std::ffi::OsStr;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

/// Everything but the unreserved characters of RFC 3986, 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of a gateway, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    url: String,
    /// True if nobody on the way can read what is sent.
    pub(crate) is_private: bool,
    pub(crate) is_loopback: bool,
}

/// A path of the API with its query, such as `/v1/queues/default/purge?state=dead`.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected an address such as http://127.0.0.1:8080 or https://jobs.example.com".to_owned();
        let uri: Uri = text.parse().map_err(|_| expected())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(expected());
        };
        if authority.as_str().contains('@') {
            return Err(
                "no user or password in the address: the key belongs into ATODE_KEY or --key-file".to_owned()
            );
        }
        if !matches!(scheme, "http" | "https") || uri.query().is_some() || text.contains('#') {
            return Err(expected());
        }
        let host = authority.host().trim_matches(['[', ']']);
        let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let url = format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(Address { url, is_private: scheme == "https" || is_loopback, is_loopback })
    }
}

/// Its errors do not show the address, which may have a password.
#[derive(Clone)]
pub(crate) struct AddressParser;

impl TypedValueParser for AddressParser {
    type Value = Address;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Address, clap::Error> {
        let address = value.to_str().ok_or_else(|| "not text".to_owned()).and_then(str::parse);
        address.map_err(|why| {
            command.clone().error(ErrorKind::ValueValidation, format!("--url or ATODE_URL: {why}"))
        })
    }
}

impl Address {
    pub(crate) fn is_tls(&self) -> bool {
        self.url.starts_with("https:")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Endpoint {
    /// The path below `/v1`. A segment may be any text.
    pub(crate) fn v1<const N: usize>(segments: [&str; N]) -> Self {
        let segments = segments.map(|segment| format!("/{}", utf8_percent_encode(segment, ENCODED)));
        Endpoint(format!("/v1{}", segments.concat()))
    }

    /// Adds a parameter if it has a value.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            let value = utf8_percent_encode(value.as_ref(), ENCODED);
            self.0.extend([name, "=", &value.to_string()]);
        }
        self
    }

    pub(crate) fn at(&self, address: &Address) -> String {
        format!("{address}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_perhaps_a_path() {
        let parsed = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(parsed("http://127.0.0.1:8080/").as_deref(), Ok("http://127.0.0.1:8080"));
        assert_eq!(parsed("https://example.com/jobs/").as_deref(), Ok("https://example.com/jobs"));
        for wrong in [
            "",
            "localhost",
            "localhost:8080",
            "ftp://a",
            "http://",
            "http://a?b=c",
            "http://a/#b",
            "http:/a b",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        assert!(parsed("http://user:secret@a").unwrap_err().contains("ATODE_KEY"));
    }

    #[test]
    fn only_loopback_and_tls_keep_a_key_private() {
        let is_private = |text: &str| text.parse::<Address>().unwrap().is_private;
        assert!(is_private("http://localhost:1") && is_private("http://[::1]:1") && is_private("https://a"));
        assert!(!is_private("http://example.com") && !is_private("http://10.0.0.1"));
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        let endpoint = Endpoint::v1(["queues", "a/../b?c", "purge"])
            .with("state", Some("dead"))
            .with("kind", None::<&str>);
        let endpoint = endpoint.with("kind", Some("mail:send & more"));
        let address: Address = "http://a/base".parse().unwrap();
        assert_eq!(
            endpoint.at(&address),
            "http://a/base/v1/queues/a%2F..%2Fb%3Fc/purge?state=dead&kind=mail%3Asend%20%26%20more"
        );
    }
}
