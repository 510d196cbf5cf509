//! The parts that all replies share: a request id, the headers, and a problem document for every error, also for the
//! errors that actix makes.

use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse};
use atode_config::traces::{Span, Trace};
use atode_queue::JobId;
use tracing::Instrument;

use crate::console::error_page;
use crate::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::replies::{self, PartialFailures};
use crate::http::{limit_headers, limits, traces};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds until a request may be repeated while Redis is away.
const TRY_AGAIN: HeaderValue = HeaderValue::from_static("1");

/// Marks the scopes that programs use: their errors are always problem+json.
pub(crate) struct Api;

pub(crate) async fn envelope(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, actix_web::Error> {
    let (span, trace) = traces::begin(&request);
    match trace.as_ref().and_then(Trace::context) {
        None => answer(request, next, span).await,
        // Lines of the log carry the ids. Boxed: most requests belong to no trace.
        Some(context) => {
            let ids =
                tracing::error_span!("request", trace_id = %context.trace_id(), span_id = %context.span_id());
            Box::pin(answer(request, next, span).instrument(ids)).await
        }
    }
}

async fn answer(
    request: ServiceRequest,
    next: Next<BoxBody>,
    span: Option<Span>,
) -> Result<ServiceResponse, actix_web::Error> {
    let start = Instant::now();
    let gateway = Gateway::of(request.request());
    let id = request_id(&request, gateway);
    let checked = gateway.cross_site.check(request.request());
    let response = match checked {
        Ok(()) => replies::in_slices(next.call(request).await?),
        Err(problem) => request.error_response(problem),
    };
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let has_own_document = has_own_document(&response);
    let problem = match is_error {
        // A page that shows its problem itself leaves it here.
        true if has_own_document => response.response().extensions().get::<Problem>().cloned(),
        true => Some(problem(&response)),
        false => None,
    };
    if let Some(problem) = problem.as_ref().filter(|_| status.is_server_error()) {
        let request = response.request();
        tracing::error!(
            request_id = id, method = %request.method(), path = request.path(), status = status.as_u16(),
            "{}", problem.cause()
        );
    }
    let mut response = match &problem {
        Some(problem) if !has_own_document => {
            let document = document(response.request(), problem, &id);
            response.into_response(document)
        }
        _ => response,
    };
    if let Some(PartialFailures(failures)) = response.response().extensions().get() {
        let path = response.request().path();
        for error in failures {
            tracing::warn!(request_id = id, path, "a part of the request failed: {error}");
        }
    }
    let quotas = limits::take_quotas(response.request());
    let headers = response.headers_mut();
    limit_headers::add(headers, &quotas);
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, TRY_AGAIN);
    }
    if Gateway::of(response.request()).stop.is_cancelled() {
        // The client's next connection may reach a gateway that keeps running.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    if let Some(span) = span {
        traces::end(span, response.request(), &id, status, problem.as_ref());
    }
    Gateway::of(response.request()).request_metrics.count(response.request(), status, start.elapsed());
    Ok(response)
}

/// The problem of a failed request.
fn problem(response: &ServiceResponse) -> Problem {
    let status = response.status();
    let error = response.response().error();
    if let Some(problem) = error.and_then(|error| error.as_error::<Problem>()) {
        problem.clone()
    } else if let Some(allow) = response.headers().get(ALLOW) {
        let detail = format!("this path accepts {}", allow.to_str().unwrap_or_default());
        Problem { headers: vec![(ALLOW, allow.clone())], ..Problem::new(Slug::MethodNotAllowed, detail) }
    } else {
        // An error of actix itself. No other part of the service knows its type.
        let slug = if status.is_server_error() { Slug::Internal } else { Slug::Other };
        let detail = error.map_or_else(|| status.to_string(), ToString::to_string);
        Problem { status, ..Problem::new(slug, detail) }
    }
}

/// An HTML page for a browser outside of the API, otherwise problem+json.
fn document(request: &HttpRequest, problem: &Problem, id: &str) -> HttpResponse {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_api = request.app_data::<Api>().is_some();
    // These are refused before the route is known.
    let is_early = matches!(problem.slug, Slug::CrossSite | Slug::WrongHost);
    let mut response = if accept.contains("text/html") && !is_api && !is_early {
        error_page::render(problem, id)
    } else {
        let document = serde_json::to_string(&problem.document(Some(id))).unwrap_or_default();
        HttpResponse::build(problem.status).content_type(PROBLEM_JSON).body(document)
    };
    for (name, value) in &problem.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// The client's own id if it is harmless to repeat, otherwise a new one.
fn request_id(request: &ServiceRequest, gateway: &Gateway) -> String {
    let own = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    own.filter(harmless).map_or_else(|| JobId::new(gateway.client.now()).to_string(), str::to_owned)
}

/// Whether the reply has a body of its own, such as readiness or a page.
fn has_own_document<B>(response: &ServiceResponse<B>) -> bool {
    response.response().error().is_none() && response.headers().contains_key(CONTENT_TYPE)
}
