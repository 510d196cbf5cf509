//! The headers that report rate limits: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), and
//! the older `X-RateLimit-…` for the minute and the hour.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use atode_ratelimit::Quota;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const MINUTE: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];
const HOUR: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-hour-limit"),
    HeaderName::from_static("x-ratelimit-hour-remaining"),
    HeaderName::from_static("x-ratelimit-hour-reset"),
];

pub(crate) fn add(headers: &mut HeaderMap, quotas: &[Quota]) {
    if quotas.is_empty() {
        return;
    }
    let (mut policies, mut left) = (String::with_capacity(96), String::with_capacity(96));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for (n, Quota { window, remaining, reset }) in quotas.iter().enumerate() {
        let comma = if n > 0 { ", " } else { "" };
        let name = window.name;
        // Writing to a string cannot fail.
        let _ = write!(policies, "{comma}\"{name}\";q={};w={}", window.limit, window.period.as_secs());
        let _ = write!(left, "{comma}\"{name}\";r={remaining};t={}", seconds(*reset));
        let [limit_name, remaining_name, reset_name] = match name {
            "minute" => MINUTE,
            "hour" => HOUR,
            _ => continue,
        };
        headers.insert(limit_name, window.limit.get().into());
        headers.insert(remaining_name, (*remaining).into());
        headers.insert(reset_name, seconds(now + *reset).into());
    }
    for (name, value) in [(RATELIMIT_POLICY, policies), (RATELIMIT, left)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// Whole seconds, rounded up, so that a client that waits this long is not refused for a fraction.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
