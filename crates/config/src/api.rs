//! The section `api` of `config.yaml`: who may call, from where, and how often.

use std::{fmt, net::IpAddr, time::Duration};

use clap::ValueEnum;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer};

use crate::{
    address::is_host_name,
    listen::bare_host,
    values::{Raw, Section, Text, checked, duration, flag, keys, list, section, text, whole, word},
};

keys! {
    /// `api`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Api {
        /// Names that the gateway answers to in addition to its own, in lower case and without a port. If empty: on a
        /// loopback address only its own names, elsewhere any name.
        pub hosts: Vec<String> = Vec::new(), "hosts";
        pub auth: Auth = Auth::default(), "section";
        pub cors: Cors = Cors::default(), "section";
        pub rate_limit: RateLimit = RateLimit::default(), "section";
    }

    /// `api.auth`. Not available in this version: a configuration that enables it, or has keys, is refused.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Auth {
        pub enabled: bool = false, "flag";
        pub keys: Vec<ApiKey> = Vec::new(), "api_keys";
    }

    /// `rate_limit` of an API key.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct KeyRateLimit {
        pub requests_per_minute: Option<u32> = None, "own_limit";
        pub requests_per_hour: Option<u32> = None, "own_limit";
        pub jobs_per_minute: Option<u32> = None, "own_limit";
    }

    /// `api.cors`. Not available in this version: a configuration that allows an origin is refused.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Cors {
        pub allowed_origins: Vec<String> = Vec::new(), "texts";
    }

    /// `api.rate_limit`: the limits of one caller.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RateLimit {
        pub enabled: bool = true, "flag";
        /// 0 means no limit. A batch counts as one request.
        pub requests_per_minute: u32 = 60, "whole::<_, _, 0, 1_000_000_000>";
        /// 0 means no limit. A batch counts as one request.
        pub requests_per_hour: u32 = 1_000, "whole::<_, _, 0, 1_000_000_000>";
        /// 0 means no limit. A batch counts as all its jobs.
        pub jobs_per_minute: u32 = 0, "whole::<_, _, 0, 1_000_000_000>";
        pub storage_type: StorageType = StorageType::Auto, "word";
        pub on_error: OnError = OnError::Memory, "word";
        /// Number of proxies in front of the gateway that are trusted about the caller's address.
        pub trusted_proxies: usize = 0, "whole::<_, _, 0, 32>";
        /// How long to wait for the storage, after which it counts as one that cannot be reached; 1 ms to 10 s.
        pub deadline: Duration = Duration::from_millis(50), "duration::<_, 1, 10_000>";
    }
}

/// One entry of `api.auth.keys`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The owner of the key; shown as `enqueued_by`.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// SHA-256 of the key. The key itself is stored nowhere.
    #[serde(deserialize_with = "sha256")]
    pub sha256: [u8; 32],
    #[serde(deserialize_with = "list")]
    pub scopes: Vec<Scope>,
    /// Limits of this key. A limit that is absent is the one of `api.rate_limit`.
    #[serde(default, deserialize_with = "section")]
    pub rate_limit: KeyRateLimit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(try_from = "Raw")]
pub enum Scope {
    Enqueue,
    Read,
    Admin,
}

/// The storage in which requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageType {
    /// Redis if [`crate::redis::DefaultRedis::addrs`] names any, otherwise memory.
    Auto,
    /// [`crate::redis::DefaultRedis`], which then has an address.
    Redis,
    /// Each process counts for itself.
    Memory,
}

/// The answer to requests while the storage cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Count in memory for that time.
    Memory,
    Allow,
    Deny,
}

impl fmt::Debug for ApiKey {
    /// Leaves out the hash, from which a weak key can be found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl TryFrom<Raw> for Scope {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        raw.word()
    }
}

/// A name or an IP address, in lower case, an IPv6 address without brackets.
#[derive(Deserialize)]
#[serde(try_from = "Raw")]
struct HostName(String);

impl TryFrom<Raw> for HostName {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        raw.text(r#"a host name without scheme and port, such as "jobs.example.com""#, |text| {
            let bare = bare_host(text);
            let is_valid = is_host_name(bare) || bare.parse::<IpAddr>().is_ok();
            is_valid.then(|| Self(bare.to_ascii_lowercase()))
        })
    }
}

fn own_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    whole::<_, _, 0, 1_000_000_000>(deserializer).map(Some)
}

fn api_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ApiKey>, D::Error> {
    Ok(list::<D, Section<ApiKey>>(deserializer)?.into_iter().map(|key| key.0).collect())
}

fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(list::<D, HostName>(deserializer)?.into_iter().map(|name| name.0).collect())
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(list::<D, Text>(deserializer)?.into_iter().map(|text| text.0).collect())
}

/// Errors do not show the text: it may be the key itself.
fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let expected = "64 hexadecimal digits in quotes";
    let parse = |text: &str| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok();
    checked(deserializer, |raw| raw.text(expected, parse).map_err(|_| raw.refused_secret(expected)))
}
