//! What the gateway counts, for Prometheus (docs/decisions/0016-metrics.md).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use atode_config::Build;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use crate::gateway::Gateway;

const REQUESTS: &str = "atode_http_requests_total";
const DURATION: &str = "atode_http_request_duration_seconds";
const BUCKETS: [f64; 13] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The pattern of a resource, such as `/v1/jobs/{id}`: a label must not grow with what clients ask for.
pub(crate) struct Pattern(pub(crate) &'static str);

pub(crate) struct Metrics {
    redis_up: Gauge,
    body_bytes: Gauge,
    waits: Gauge,
    /// Resolved once: a request makes no labels.
    replies: RwLock<HashMap<Reply, Handles>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Reply {
    method: &'static str,
    route: Cow<'static, str>,
    status: StatusCode,
}

struct Handles {
    requests: Counter,
    duration: Histogram,
}

impl Metrics {
    /// Once a process, before anything resolves a metric.
    pub(crate) fn install(build: Build) -> anyhow::Result<Self> {
        atode_config::metrics::install(build.version, &[(DURATION, &BUCKETS)])?;
        describe_counter!(
            REQUESTS,
            "Requests answered, by route; what never became a request is not counted."
        );
        describe_histogram!(DURATION, Unit::Seconds, "From a request's head to its reply's head.");
        describe_gauge!(
            "atode_http_body_bytes",
            Unit::Bytes,
            "Memory taken by the bodies of requests and replies; beyond a limit requests are refused."
        );
        describe_gauge!(
            "atode_http_waits",
            "Requests that wait for a job to finish (`?wait=`), at most 1,000."
        );
        Ok(Metrics {
            redis_up: gauge!("atode_redis_up"),
            body_bytes: gauge!("atode_http_body_bytes"),
            waits: gauge!("atode_http_waits"),
            replies: RwLock::default(),
        })
    }

    fn count(&self, reply: Reply, took: Duration) {
        if let Some(handles) = self.replies.read().unwrap_or_else(PoisonError::into_inner).get(&reply) {
            return handles.count(took);
        }
        let handles = Handles::resolve(&reply);
        handles.count(took);
        self.replies.write().unwrap_or_else(PoisonError::into_inner).insert(reply, handles);
    }
}

impl Handles {
    fn resolve(Reply { method, route, status }: &Reply) -> Self {
        let (method, route) = (*method, route.to_string());
        Handles {
            requests: counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status.as_str().to_owned()),
            duration: histogram!(DURATION, "method" => method, "route" => route),
        }
    }

    fn count(&self, took: Duration) {
        self.requests.increment(1);
        self.duration.record(took);
    }
}

/// Counts a request that has its reply.
pub(crate) fn count(request: &HttpRequest, status: StatusCode, took: Duration) {
    let Some(metrics) = request.app_data::<Data<Metrics>>() else { return };
    let route = match request.app_data::<Pattern>() {
        Some(Pattern(pattern)) => Cow::Borrowed(*pattern),
        // Refused before it was led anywhere.
        None => request.match_pattern().map_or(Cow::Borrowed("unmatched"), Cow::Owned),
    };
    metrics.count(Reply { method: name(request.method()), route, status }, took);
}

/// `GET /metrics`
pub(crate) async fn scrape(metrics: Data<Metrics>, gateway: Data<Gateway>) -> HttpResponse {
    metrics.redis_up.set(f64::from(u8::from(gateway.client.connection().is_up())));
    metrics.body_bytes.set(gateway.room.taken() as f64);
    metrics.waits.set(gateway.waiting() as f64);
    gateway.sampler.look();
    HttpResponse::Ok().content_type(atode_config::metrics::CONTENT_TYPE).body(atode_config::metrics::render())
}

/// Clients can make up methods without end.
fn name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
