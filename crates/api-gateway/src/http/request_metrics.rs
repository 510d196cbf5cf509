//! The count and the duration of requests, for Prometheus (docs/decisions/0016-metrics.md).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

const REQUESTS: &str = "atode_http_requests_total";
pub(crate) const DURATION: &str = "atode_http_request_duration_seconds";
pub(crate) const BUCKETS: [f64; 13] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The pattern of an endpoint, such as `/v1/jobs/{id}`. A label must not have as many values as clients can invent.
pub(crate) struct Pattern(pub(crate) &'static str);

/// Handles to the metrics, resolved once per label set, so that a request allocates no labels.
#[derive(Default)]
pub(crate) struct RequestMetrics {
    handles: RwLock<HashMap<Labels, Handles>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Labels {
    method: &'static str,
    route: Cow<'static, str>,
    status: StatusCode,
}

struct Handles {
    requests: Counter,
    duration: Histogram,
}

/// Describes the metrics to the recorder, which has to be installed.
pub(crate) fn describe() {
    describe_counter!(
        REQUESTS,
        "Answered requests by route. Input that is not an HTTP request is not counted."
    );
    describe_histogram!(DURATION, Unit::Seconds, "Time from the head of a request to the head of its reply.");
}

impl RequestMetrics {
    /// Counts a request that has its reply.
    pub(crate) fn count(&self, request: &HttpRequest, status: StatusCode, took: Duration) {
        let labels = Labels { method: label(request.method()), route: route(request), status };
        if let Some(handles) = self.handles.read().unwrap_or_else(PoisonError::into_inner).get(&labels) {
            return handles.count(took);
        }
        let handles = Handles::resolve(&labels);
        handles.count(took);
        self.handles.write().unwrap_or_else(PoisonError::into_inner).insert(labels, handles);
    }
}

impl Handles {
    fn resolve(Labels { method, route, status }: &Labels) -> Self {
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

/// The pattern of the endpoint that served the request.
pub(crate) fn route(request: &HttpRequest) -> Cow<'static, str> {
    match request.app_data::<Pattern>() {
        Some(Pattern(pattern)) => Cow::Borrowed(*pattern),
        // Refused before it was routed.
        None => request.match_pattern().map_or(Cow::Borrowed("unmatched"), Cow::Owned),
    }
}

/// The label of a method. Clients can invent any number of methods.
pub(crate) fn label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
