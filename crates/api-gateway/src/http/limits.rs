//! Rate limits in front of the API: who is asking, may they, and the headers that say how much is
//! left.

use std::collections::HashMap;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};
use atode_config::Config;
use atode_ratelimit::{Decision, Quota, RateLimiter, Settings, Subject, Window};

use crate::gateway::Gateway;
use crate::http::problem::{Problem, Slug};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
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

/// The limiter, and what it takes to tell clients apart.
pub(crate) struct Limit {
    limiter: RateLimiter,
    trusted_proxies: usize,
}

/// What a limited request leaves for its jobs and its reply.
struct Limited {
    counts_for: Subject,
    /// The windows that the reply tells of.
    quotas: Vec<Quota>,
}

/// The configured limiter; none where limits are switched off.
pub(crate) async fn start(config: &Config) -> anyhow::Result<Option<Limit>> {
    let api = &config.api;
    if !api.rate_limit.enabled {
        return Ok(None);
    }
    // API keys, which may have limits of their own, are not available in this version.
    let settings = Settings::new(&api.rate_limit, HashMap::new());
    let limiter = RateLimiter::start(&settings, &config.cache_server.redis.default).await?;
    tracing::info!(backend = limiter.backend(), limits = ?api.rate_limit, "requests are limited");
    Ok(Some(Limit { limiter, trusted_proxies: api.rate_limit.trusted_proxies }))
}

impl Limit {
    /// The client's address.
    fn subject(&self, request: &ServiceRequest) -> Option<Subject> {
        let peer = request.peer_addr()?.ip();
        let forwarded: Vec<&[u8]> = match self.trusted_proxies {
            0 => Vec::new(),
            _ => request.headers().get_all(X_FORWARDED_FOR).map(HeaderValue::as_bytes).collect(),
        };
        Some(Subject::of_address(peer, forwarded.into_iter(), self.trusted_proxies))
    }
}

/// Counts a request of a route that is limited, and refuses it beyond the limit.
pub(crate) async fn limit_requests(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, actix_web::Error> {
    let gateway = request.app_data::<Data<Gateway>>().cloned();
    let limit = gateway.as_ref().and_then(|gateway| gateway.limit.as_ref());
    let Some((limit, subject)) = limit.and_then(|limit| Some((limit, limit.subject(&request)?))) else {
        return next.call(request).await;
    };
    let (quotas, problem) = match limit.limiter.check_request(&subject).await {
        Decision::Allowed(quotas) => (quotas, None),
        refused => {
            let Refusal { problem, quotas } = refusal(refused);
            (quotas, Some(problem))
        }
    };
    request.extensions_mut().insert(Limited { counts_for: subject, quotas });
    match problem {
        None => next.call(request).await,
        Some(problem) => Ok(request.error_response(problem)),
    }
}

/// The windows to tell of in the reply to a request.
pub(crate) fn quotas(request: &HttpRequest) -> Vec<Quota> {
    request.extensions_mut().remove::<Limited>().map(|limited| limited.quotas).unwrap_or_default()
}

impl Gateway {
    /// Counts the jobs of a request against the limit of jobs.
    pub(crate) async fn limit_jobs(&self, request: &HttpRequest, jobs: usize) -> Result<(), Problem> {
        let subject = request.extensions().get::<Limited>().map(|limited| limited.counts_for.clone());
        let (Some(limit), Some(subject), Some(jobs)) =
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
        if let Some(limited) = request.extensions_mut().get_mut::<Limited>() {
            limited.quotas.extend(quotas);
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
            problem: Problem::rate_limited(
                denial.violated.name,
                denial.violated.limit.get(),
                key_of(&denial.violated),
                seconds(denial.retry_after).max(1),
            ),
            quotas: denial.quotas,
        },
        Decision::TooLarge { most } => {
            let detail = format!(
                "{most} jobs at most in one request: api.rate_limit.jobs_per_minute never lets more through"
            );
            Refusal { problem: Problem::invalid_field("/jobs", detail), quotas: Vec::new() }
        }
        Decision::Unavailable | Decision::Allowed(_) => {
            let problem = Problem::new(Slug::LimiterAway, "the store of the rate limits is away");
            Refusal { problem, quotas: Vec::new() }
        }
    }
}

/// Where the configuration sets a limit.
fn key_of(window: &Window) -> &'static str {
    match window.name {
        "minute" => "api.rate_limit.requests_per_minute",
        "hour" => "api.rate_limit.requests_per_hour",
        _ => "api.rate_limit.jobs_per_minute",
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), and the older
/// `X-RateLimit-…` of the minute and the hour.
pub(crate) fn add_headers(headers: &mut HeaderMap, quotas: &[Quota]) {
    if quotas.is_empty() {
        return;
    }
    let (mut policies, mut left) = (String::with_capacity(96), String::with_capacity(96));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for (n, Quota { window, remaining, reset }) in quotas.iter().enumerate() {
        let comma = if n > 0 { ", " } else { "" };
        let name = window.name;
        // To write to a string cannot fail.
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

/// Rounded up: whoever waits that long is not refused again for a fraction.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
