//! The span of a request, and the trace that it belongs to (docs/traces.md).

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpMessage, HttpRequest};
use atode_config::traces::{self, KeyValue, NewSpan, Span, SpanKind, Trace, TraceContext};

use crate::http::problem::Problem;
use crate::http::request_metrics::{label, route};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Requests of probes and scrapers, which come every few seconds and cause nothing.
const UNRECORDED: [&str; 4] = ["/healthz", "/readyz", "/health", "/metrics"];

/// Bytes kept of a path.
const MAX_PATH: usize = 500;

/// An extension of each request that belongs to a trace.
struct Cause(Trace);

/// The span that a request begins with, if it is recorded, and the trace of everything that it causes.
pub(crate) fn begin(request: &ServiceRequest) -> (Option<Span>, Option<Trace>) {
    let cause = context(request.headers()).map(Trace::Span);
    if UNRECORDED.contains(&request.path()) {
        return (None, cause);
    }
    let span = traces::records(cause.as_ref()).then(|| start(request, cause.as_ref())).flatten();
    let trace = traces::trace_of(span.as_ref(), cause);
    if let Some(trace) = &trace {
        request.extensions_mut().insert(Cause(trace.clone()));
    }
    (span, trace)
}

/// Ends the span of a request with its reply.
pub(crate) fn end(
    mut span: Span,
    request: &HttpRequest,
    id: &str,
    status: StatusCode,
    problem: Option<&Problem>,
) {
    let route = route(request);
    span.rename(format!("{} {route}", label(request.method())));
    span.set("http.route", route);
    span.set("atode.request_id", id.to_owned());
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if let Some(problem) = problem {
        span.set("atode.problem", problem.slug.about().slug);
    }
    if status.is_server_error() {
        let error = problem.map_or_else(String::new, Problem::cause);
        span.fail(status.as_str().to_owned(), &error);
    }
}

/// The trace that the request belongs to, if any.
pub(crate) fn trace_of(request: &HttpRequest) -> Option<Trace> {
    request.extensions().get::<Cause>().map(|cause| cause.0.clone())
}

fn context(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT);
    let parent = parents.next()?;
    // Several values belong to several traces, so to none.
    if parents.next().is_some() {
        return None;
    }
    let state: Vec<&str> = headers.get_all(TRACESTATE).filter_map(|value| value.to_str().ok()).collect();
    TraceContext::parse(parent.to_str().ok()?, Some(&state.join(",")))
}

fn start(request: &ServiceRequest, cause: Option<&Trace>) -> Option<Span> {
    let method = label(request.method());
    let path = request.path();
    Span::start(NewSpan {
        name: method.into(),
        kind: SpanKind::Server,
        parent: cause.and_then(Trace::context),
        links: Vec::new(),
        attributes: vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("url.path", path.get(..MAX_PATH).unwrap_or(path).to_owned()),
        ],
    })
}
