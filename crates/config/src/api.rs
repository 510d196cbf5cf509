//! The section `api` of `config.yaml`: who may call, from where, and how often.

use std::{fmt, net::IpAddr, time::Duration};

use serde::{Deserialize, Deserializer, de::Unexpected};

use crate::{
    duration::duration,
    fields::{self, Section, Text, number},
};

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Names that the gateway answers to beside its own, in lower case and without a port. Empty: on a loopback
    /// address only its own names, elsewhere any.
    #[serde(deserialize_with = "hosts")]
    pub hosts: Vec<String>,
    #[serde(deserialize_with = "fields::section")]
    pub auth: Auth,
    #[serde(deserialize_with = "fields::section")]
    pub cors: Cors,
    #[serde(deserialize_with = "fields::section")]
    pub rate_limit: RateLimit,
}

/// `api.auth`. Not available in this version: a configuration that enables it, or has keys, is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    #[serde(deserialize_with = "fields::flag")]
    pub enabled: bool,
    #[serde(deserialize_with = "api_keys")]
    pub keys: Vec<ApiKey>,
}

/// One entry of `api.auth.keys`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Whose key it is; shown as `enqueued_by`.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// SHA-256 of the key, which itself is written down nowhere.
    #[serde(deserialize_with = "sha256")]
    pub sha256: [u8; 32],
    #[serde(deserialize_with = "fields::list")]
    pub scopes: Vec<Scope>,
    /// Limits of its own; what is left out is as in `api.rate_limit`.
    #[serde(default, deserialize_with = "fields::section")]
    pub rate_limit: KeyRateLimit,
}

/// `rate_limit` of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyRateLimit {
    #[serde(deserialize_with = "own_limit")]
    pub requests_per_minute: Option<u32>,
    #[serde(deserialize_with = "own_limit")]
    pub requests_per_hour: Option<u32>,
    #[serde(deserialize_with = "own_limit")]
    pub jobs_per_minute: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Enqueue,
    Read,
    Admin,
}

/// `api.cors`. Not available in this version: a configuration that allows an origin is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    #[serde(deserialize_with = "texts")]
    pub allowed_origins: Vec<String>,
}

/// `api.rate_limit`: what one caller may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    #[serde(deserialize_with = "fields::flag")]
    pub enabled: bool,
    /// 0: no such limit.
    #[serde(deserialize_with = "number::<_, _, 0, 1_000_000_000>")]
    pub requests_per_minute: u32,
    /// 0: no such limit.
    #[serde(deserialize_with = "number::<_, _, 0, 1_000_000_000>")]
    pub requests_per_hour: u32,
    /// A batch counts with all its jobs here, as one request above. 0: no such limit.
    #[serde(deserialize_with = "number::<_, _, 0, 1_000_000_000>")]
    pub jobs_per_minute: u32,
    #[serde(deserialize_with = "storage_type")]
    pub storage_type: StorageType,
    /// What to do while the storage cannot be reached.
    #[serde(deserialize_with = "on_error")]
    pub on_error: OnError,
    /// How many proxies in front of the gateway may be believed about the caller's address.
    #[serde(deserialize_with = "number::<_, _, 0, 32>")]
    pub trusted_proxies: usize,
    /// How long to wait for the storage before it counts as out of reach; 1 ms to 10 s.
    #[serde(deserialize_with = "duration::<_, 1, 10_000>")]
    pub deadline: Duration,
}

/// Where the counters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageType {
    /// Redis if [`crate::redis::DefaultRedis::addrs`] names any, else memory.
    Auto,
    /// [`crate::redis::DefaultRedis`], which then has an address.
    Redis,
    /// Each process counts for itself.
    Memory,
}

/// What an unreachable storage does to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Count in memory meanwhile.
    Memory,
    Allow,
    Deny,
}

impl fmt::Debug for ApiKey {
    /// Leaves out the hash: a weak key can be found from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            enabled: true,
            requests_per_minute: 60,
            requests_per_hour: 1_000,
            jobs_per_minute: 0,
            storage_type: StorageType::Auto,
            on_error: OnError::Memory,
            trusted_proxies: 0,
            deadline: Duration::from_millis(50),
        }
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scopes = [("enqueue", Self::Enqueue), ("read", Self::Read), ("admin", Self::Admin)];
        fields::word(deserializer, &scopes)
    }
}

fn own_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    number::<_, _, 0, 1_000_000_000>(deserializer).map(Some)
}

fn api_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ApiKey>, D::Error> {
    let keys = fields::list::<D, Section<ApiKey>>(deserializer)?;
    Ok(keys.into_iter().map(|key| key.0).collect())
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Text::deserialize(deserializer).map(|text| text.0)
}

fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(fields::list::<D, HostName>(deserializer)?.into_iter().map(|name| name.0).collect())
}

/// A name or an IP address, in lower case, an IPv6 address without brackets.
struct HostName(String);

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = r#"a host name without scheme and port, such as "jobs.example.com""#;
        fields::text(deserializer, expected, |text| {
            let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
            let is_name = !bare.is_empty()
                && bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
            if is_name || bare.parse::<IpAddr>().is_ok() {
                Ok(Self(bare.to_ascii_lowercase()))
            } else {
                Err(Unexpected::Str(text))
            }
        })
    }
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(fields::list::<D, Text>(deserializer)?.into_iter().map(|text| text.0).collect())
}

fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    fields::text(deserializer, "64 hexadecimal digits in quotes", |text| {
        parse_sha256(text).ok_or(Unexpected::Other("another text"))
    })
}

fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

fn storage_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StorageType, D::Error> {
    let types = [("auto", StorageType::Auto), ("redis", StorageType::Redis), ("memory", StorageType::Memory)];
    fields::word(deserializer, &types)
}

fn on_error<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OnError, D::Error> {
    let words = [("memory", OnError::Memory), ("allow", OnError::Allow), ("deny", OnError::Deny)];
    fields::word(deserializer, &words)
}
