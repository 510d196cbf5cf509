//! Rate limits in front of the API: who is asking, may they, and the headers that say how much is
//! left.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};
use atode_config::{Api, ApiKey, Config};
use atode_ratelimit::{Decision, Limits, Quota, RateLimiter, Settings, Subject};
use sha2::{Digest, Sha256};

use crate::gateway::Gateway;
use crate::problem::{Problem, Slug};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The limiter, and what it takes to tell clients apart.
pub(crate) struct Limit {
    limiter: RateLimiter,
    trusted_proxies: usize,
    /// API keys by their hash.
    keys: HashMap<[u8; 32], String>,
}

/// Whom a limited request counts for.
#[derive(Clone)]
struct CountsFor(Subject);

/// The windows that the reply to a limited request tells of.
struct Told(Vec<Quota>);

/// The configured limiter; none where limits are switched off.
pub(crate) async fn start(config: &Config) -> anyhow::Result<Option<Limit>> {
    let api = &config.api;
    if !api.rate_limit.enabled {
        return Ok(None);
    }
    let limiter = RateLimiter::start(&settings(api), &config.cache_server.redis.default).await?;
    tracing::info!(backend = limiter.backend(), limits = ?api.rate_limit, "requests are limited");
    let keys = api.auth.keys.iter().map(|key| (key.sha256, key.name.clone())).collect();
    Ok(Some(Limit { limiter, trusted_proxies: api.rate_limit.trusted_proxies, keys }))
}

impl Limit {
    /// The key's name where the request has a key that is known, else its address.
    fn subject(&self, request: &ServiceRequest) -> Option<Subject> {
        let bearer = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let key = bearer.and_then(|key| self.keys.get(&<[u8; 32]>::from(Sha256::digest(key))));
        if let Some(name) = key {
            return Some(Subject::Key(name.clone()));
        }
        let peer = request.peer_addr()?.ip();
        let forwarded: Vec<&str> =
            request.headers().get_all(X_FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
        Some(Subject::of_address(peer, forwarded.into_iter(), self.trusted_proxies))
    }
}

/// What the configuration says, with the limits of keys that have their own.
fn settings(api: &Api) -> Settings {
    let limits_of = |key: &ApiKey| Limits {
        requests_per_minute: key.rate_limit.requests_per_minute.unwrap_or(api.rate_limit.requests_per_minute),
        requests_per_hour: key.rate_limit.requests_per_hour.unwrap_or(api.rate_limit.requests_per_hour),
        jobs_per_minute: key.rate_limit.jobs_per_minute.unwrap_or(api.rate_limit.jobs_per_minute),
    };
    let of_keys = api.auth.keys.iter().map(|key| (key.name.clone(), limits_of(key))).collect();
    Settings::new(&api.rate_limit, of_keys)
}

/// Counts every request to the API, and adds the headers to every reply.
pub(crate) async fn limit_requests<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let is_limited = request.path().starts_with("/v1/") || request.path().starts_with("/api/");
    let gateway = request.app_data::<Data<Gateway>>().cloned();
    let limit = gateway.as_ref().and_then(|gateway| gateway.limit.as_ref()).filter(|_| is_limited);
    let Some((limit, subject)) = limit.and_then(|limit| Some((limit, limit.subject(&request)?))) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let refused = match limit.limiter.check_request(&subject).await {
        Decision::Allowed(quotas) => {
            request.extensions_mut().insert(Told(quotas));
            request.extensions_mut().insert(CountsFor(subject));
            return Ok(next.call(request).await?.map_into_left_body());
        }
        refused => refusal(refused),
    };
    request.extensions_mut().insert(Told(refused.quotas));
    Ok(request.error_response(refused.problem).map_into_right_body())
}

/// The windows to tell of in the reply to a request.
pub(crate) fn quotas(request: &HttpRequest) -> Vec<Quota> {
    request.extensions_mut().remove::<Told>().map(|told| told.0).unwrap_or_default()
}

impl Gateway {
    /// Counts the jobs of a request against the limit of jobs.
    pub(crate) async fn limit_jobs(&self, request: &HttpRequest, jobs: usize) -> Result<(), Problem> {
        let subject = request.extensions().get::<CountsFor>().cloned();
        let (Some(limit), Some(CountsFor(subject)), Some(jobs)) =
            (&self.limit, subject, u32::try_from(jobs).ok().and_then(NonZeroU32::new))
        else {
            return Ok(());
        };
        let (quotas, result) = match limit.limiter.check_jobs(&subject, jobs).await {
            Decision::Allowed(quotas) => (quotas, Ok(())),
            refused => {
                let Refusal { problem, quotas } = refusal(refused);
                (quotas, Err(problem))
            }
        };
        if let Some(Told(told)) = request.extensions_mut().get_mut() {
            told.extend(quotas);
        }
        result
    }
}

struct Refusal {
    problem: Problem,
    quotas: Vec<Quota>,
}

fn refusal(decision: Decision) -> Refusal {
    match decision {
        Decision::Denied(denial) => Refusal {
            problem: Problem::rate_limited(denial.violated.name, seconds(denial.retry_after).max(1)),
            quotas: denial.quotas,
        },
        Decision::TooLarge { most } => {
            let detail =
                format!("{most} jobs at most in one request: the limit of jobs never lets more through");
            Refusal { problem: Problem::invalid_field("/jobs", detail), quotas: Vec::new() }
        }
        Decision::Unavailable | Decision::Allowed(_) => {
            let problem = Problem::new(Slug::LimiterAway, "the store of the rate limits is away");
            Refusal { problem, quotas: Vec::new() }
        }
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), and the older
/// `X-RateLimit-…` of the minute and the hour.
pub(crate) fn add_headers(headers: &mut HeaderMap, quotas: &[Quota]) {
    let mut add = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if quotas.is_empty() {
        return;
    }
    let list = |item: fn(&Quota) -> String| quotas.iter().map(item).collect::<Vec<_>>().join(", ");
    add(
        "ratelimit-policy",
        list(|Quota { window, .. }| {
            format!("\"{}\";q={};w={}", window.name, window.limit, window.period.as_secs())
        }),
    );
    add(
        "ratelimit",
        list(|quota| format!("\"{}\";r={};t={}", quota.window.name, quota.remaining, seconds(quota.reset))),
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for quota in quotas {
        let names = match quota.window.name {
            "minute" => ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
            "hour" => ["x-ratelimit-hour-limit", "x-ratelimit-hour-remaining", "x-ratelimit-hour-reset"],
            _ => continue,
        };
        let values = [
            quota.window.limit.to_string(),
            quota.remaining.to_string(),
            seconds(now + quota.reset).to_string(),
        ];
        names.into_iter().zip(values).for_each(|(name, value)| add(name, value));
    }
}

/// Rounded up: whoever waits that long is not refused again for a fraction.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
