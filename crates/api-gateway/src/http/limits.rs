//! Rate limits of requests and of jobs.

use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::RETRY_AFTER;
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};
use atode_config::Config;
use atode_ratelimit::{Decision, Quota, RateLimiter, Subject, Window};

use crate::gateway::Gateway;
use crate::http::identity::Caller;
use crate::http::limit_headers::seconds;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;

/// The quotas that the reply reports: an extension of each limited request.
struct Quotas(Vec<Quota>);

/// The configured limiter, or `None` if limits are switched off.
pub(crate) async fn start(config: &Config) -> anyhow::Result<Option<Arc<RateLimiter>>> {
    let limits = &config.api.rate_limit;
    if !limits.enabled {
        return Ok(None);
    }
    let limiter = RateLimiter::start(limits, &config.cache_server.redis.default).await?;
    tracing::info!(backend = limiter.backend(), ?limits, "requests are limited");
    Ok(Some(limiter))
}

/// Counts a request against its caller's limits, and refuses it beyond them.
pub(crate) async fn limit_requests(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, actix_web::Error> {
    let limiter = &Gateway::of(request.request()).limiter;
    let (Some(limiter), Some(caller)) = (limiter, caller(request.request())) else {
        return next.call(request).await;
    };
    let (quotas, result) = outcome(limiter.check_request(&caller).await);
    request.extensions_mut().insert(Quotas(quotas));
    match result {
        Ok(()) => next.call(request).await,
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// Counts the jobs of a limited request against its caller's limit of jobs.
pub(crate) async fn limit_jobs(gateway: &Gateway, request: &HttpRequest, jobs: usize) -> Result<(), Problem> {
    let jobs = u32::try_from(jobs).ok().and_then(NonZeroU32::new);
    let (Some(limiter), Some(caller), Some(jobs)) = (&gateway.limiter, caller(request), jobs) else {
        return Ok(());
    };
    let (quotas, result) = outcome(limiter.check_jobs(&caller, jobs).await);
    if let Some(Quotas(all)) = request.extensions_mut().get_mut() {
        all.extend(quotas);
    }
    result
}

/// Takes the quotas that the reply to this request reports.
pub(crate) fn take_quotas(request: &HttpRequest) -> Vec<Quota> {
    request.extensions_mut().remove::<Quotas>().map(|Quotas(quotas)| quotas).unwrap_or_default()
}

fn caller(request: &HttpRequest) -> Option<Subject> {
    request.extensions().get::<Caller>().map(|caller| caller.subject.clone())
}

fn outcome(decision: Decision) -> (Vec<Quota>, Result<(), Problem>) {
    match decision {
        Decision::Allowed(quotas) => (quotas, Ok(())),
        Decision::Denied(denial) => {
            let window = &denial.violated;
            let retry_after = seconds(denial.retry_after).max(1);
            let detail = format!(
                "the rate limit {:?} of {} ({}) is exceeded; try again in {retry_after} s",
                window.name,
                window.limit,
                config_key(window)
            );
            let headers = vec![(RETRY_AFTER, retry_after.into())];
            let violated = Some(window.name);
            (denial.quotas, Err(Problem { headers, violated, ..Problem::new(Slug::RateLimited, detail) }))
        }
        Decision::TooLarge { most } => {
            let detail = format!(
                "too many jobs in one request: send {most} jobs at most (api.rate_limit.jobs_per_minute)"
            );
            (Vec::new(), Err(Problem::invalid_field("/jobs", detail)))
        }
        Decision::Unavailable => {
            (Vec::new(), Err(Problem::new(Slug::LimiterAway, "the rate-limit store is unavailable")))
        }
    }
}

/// The configuration key that sets a limit.
fn config_key(window: &Window) -> &'static str {
    match window.name {
        "minute" => "api.rate_limit.requests_per_minute",
        "hour" => "api.rate_limit.requests_per_hour",
        _ => "api.rate_limit.jobs_per_minute",
    }
}
