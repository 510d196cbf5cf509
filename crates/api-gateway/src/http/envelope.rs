//! What every reply has in common: a request id, and a problem document where it is an error,
//! whoever made the error.

use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use atode_queue::JobId;

use crate::api::metrics;
use crate::console::pages;
use crate::gateway::Gateway;
use crate::http::limits;
use crate::http::problem::{Problem, Slug};
use crate::http::replies;
use crate::routes::Api;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which to try again when Redis is away.
const TRY_AGAIN: HeaderValue = HeaderValue::from_static("1");

pub(crate) async fn envelope(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, actix_web::Error> {
    let start = Instant::now();
    let id = request_id(&request);
    let checked =
        gateway(request.request()).map_or(Ok(()), |gateway| gateway.cross_site.check(request.request()));
    let response = match checked {
        Ok(()) => replies::in_slices(next.call(request).await?),
        Err(problem) => request.error_response(problem),
    };
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let mut response = if is_error && !has_own_document(&response) {
        let problem = match response.response().error() {
            Some(error) => error
                .as_error::<Problem>()
                .cloned()
                .unwrap_or_else(|| Problem::of_status(status, error.to_string())),
            None => {
                let reason = status.canonical_reason().unwrap_or("the request failed").to_lowercase();
                Problem::of_status(status, reason)
            }
        };
        if status.is_server_error() {
            let request = response.request();
            tracing::error!(
                request_id = id, method = %request.method(), path = request.path(), status = status.as_u16(),
                "{}", problem.what_happened()
            );
        }
        let document = document(response.request(), &problem, &id);
        response.into_response(document)
    } else {
        response
    };
    if let Some(Inside(errors)) = response.response().extensions().get() {
        let route = response.request().path();
        for error in errors {
            tracing::warn!(request_id = id, path = route, "a part of the request failed: {error}");
        }
    }
    let quotas = limits::quotas(response.request());
    let headers = response.headers_mut();
    limits::add_headers(headers, &quotas);
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, TRY_AGAIN);
    }
    if gateway(response.request()).is_some_and(Gateway::is_leaving) {
        // The client's next connection may lead to a gateway that stays.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    metrics::count(response.request(), status, start.elapsed());
    Ok(response)
}

/// A failure in a part of a request that is answered nevertheless: an extension of its reply, for the log.
#[derive(Default)]
pub(crate) struct Inside(Vec<String>);

impl Inside {
    pub(crate) fn add(&mut self, error: String) {
        self.0.push(error);
    }

    pub(crate) fn add_to(self, response: &mut HttpResponse) {
        if !self.0.is_empty() {
            response.extensions_mut().insert(self);
        }
    }
}

fn gateway(request: &HttpRequest) -> Option<&Gateway> {
    request.app_data::<Data<Gateway>>().map(|gateway| &***gateway)
}

/// A page for a browser, else problem+json. A browser that calls the API gets problem+json.
fn document(request: &HttpRequest, problem: &Problem, id: &str) -> HttpResponse {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_api = request.app_data::<Api>().is_some();
    // These come before the route is known.
    let is_early = matches!(problem.slug, Slug::CrossSite | Slug::WrongHost);
    let mut response = if accept.contains("text/html") && !is_api && !is_early {
        pages::of_problem(problem, id)
    } else {
        HttpResponse::build(problem.status()).content_type(PROBLEM_JSON).body(problem.json(id))
    };
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if let Some((name, value)) = problem.takes() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// The client's own id where it is harmless to repeat, else a fresh one.
fn request_id(request: &ServiceRequest) -> String {
    let own = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    own.filter(harmless).map_or_else(
        || {
            let now = gateway(request.request()).map_or(0, |gateway| gateway.client.now());
            JobId::new(now).to_string()
        },
        str::to_owned,
    )
}

/// Readiness and pages have a body of their own.
fn has_own_document<B>(response: &ServiceResponse<B>) -> bool {
    response.response().error().is_none() && response.headers().contains_key(CONTENT_TYPE)
}
