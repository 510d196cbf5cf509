//! `host:port`, the address of a Redis server.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use serde::Deserialize;

use crate::values::Raw;

const EXPECTED: &str = r#"an address such as "redis:6379" or "[::1]:6379", with a port from 1 to 65535"#;

/// A host and a port, written `redis:6379`, `10.0.0.7:6379` or `[::1]:6379`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Address {
    /// A name or an IP address; IPv6 without its brackets.
    pub host: String,
    pub port: u16,
}

/// The text is not `host:port`.
#[derive(Debug, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct InvalidAddress;

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddress)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| InvalidAddress)?.to_string(),
            None if is_host_name(host) => host.to_owned(),
            None => return Err(InvalidAddress),
        };
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self { host, port }),
            _ => Err(InvalidAddress),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl TryFrom<Raw> for Address {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        raw.address(EXPECTED)
    }
}

pub(crate) fn is_host_name(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_both_families_are_read() {
        for (text, host, port) in [
            ("localhost:6379", "localhost", 6379),
            ("redis-0.redis_headless:1", "redis-0.redis_headless", 1),
            ("10.0.0.7:65535", "10.0.0.7", 65535),
            ("[::1]:6379", "::1", 6379),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "redis",
            "redis:",
            ":6379",
            "redis:0",
            "redis:70000",
            "redis:-1",
            "redis:6379 ",
            "re dis:1",
            "::1:6379",
            "[::1]",
            "[::g]:1",
            "[redis]:1",
            "redis://redis:6379",
            "user:secret@redis:6379",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?} was accepted");
        }
    }
}
