//! What every reply has in common: a request id, and a problem document where it is an error,
//! whoever made the error.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use atode_queue::JobId;

use crate::gateway::Gateway;
use crate::problem::Problem;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) async fn envelope<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let id = request_id(&request);
    let response = next.call(request).await?;
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
                "{}", problem.detail()
            );
        }
        response.into_response(problem.response(&id)).map_into_right_body()
    } else {
        response.map_into_left_body()
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    Ok(response)
}

/// The client's own id where it is harmless to repeat, else a fresh one.
fn request_id(request: &ServiceRequest) -> String {
    let own = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    own.filter(harmless).map_or_else(
        || {
            let now = request.app_data::<actix_web::web::Data<Gateway>>().map_or(0, |gateway| gateway.client.now());
            JobId::new(now).to_string()
        },
        str::to_owned,
    )
}

/// Readiness and pages have a body of their own.
fn has_own_document<B>(response: &ServiceResponse<B>) -> bool {
    response.response().error().is_none() && response.headers().contains_key(CONTENT_TYPE)
}
