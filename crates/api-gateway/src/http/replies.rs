//! JSON replies, and the slicing of large ones, so that a connection keeps one copy of one reply in memory.
//!
//! actix copies a whole body into its write buffer, and keeps both until the client has read them. A large body is
//! handed over in slices instead: the next slice after the previous one has left the process.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use serde::Serialize;

use crate::gateway::Gateway;
use crate::http::body_budget::Share;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;

/// Bytes per slice. A smaller body is handed over whole.
const SLICE: usize = 32 << 10;

/// The reply of a handler.
pub(crate) type Reply = Result<HttpResponse, Problem>;

/// A JSON reply of any size.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let mut json = serde_json::to_vec(value)
        .map_err(|error| Problem::new(Slug::Internal, "the reply cannot be serialized").caused_by(error))?;
    if json.len() > SLICE {
        json.shrink_to_fit(); // a slow client may keep it for long
    }
    Ok(HttpResponse::build(status).content_type(ContentType::json()).body(json))
}

/// Hands a large body over in slices, and counts it in the room for bodies until then. Without room, a read is refused.
/// A change was already made, so its reply is sent regardless.
pub(crate) fn in_slices(response: ServiceResponse) -> ServiceResponse {
    let is_large =
        matches!(response.response().body().size(), BodySize::Sized(bytes) if bytes > SLICE as u64);
    if !is_large {
        return response;
    }
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return ServiceResponse::new(request, response.set_body(body)),
    };
    let mut share = Gateway::of(&request).body_budget.share();
    if !request.method().is_safe() {
        share.grow_unbounded(bytes.len());
    } else if let Err(problem) = share.grow(bytes.len()) {
        return ServiceResponse::new(request, HttpResponse::from_error(problem));
    }
    let slices = BoxBody::new(Slices { rest: bytes, _share: share });
    ServiceResponse::new(request, response.set_body(slices))
}

/// Failures in parts of a request that succeeds as a whole: an extension of its reply, which the envelope logs.
pub(crate) struct PartialFailures(pub(crate) Vec<String>);

struct Slices {
    rest: Bytes,
    _share: Share,
}

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let slice = self.rest.len().min(SLICE);
        Poll::Ready(if slice == 0 { None } else { Some(Ok(self.rest.split_to(slice))) })
    }
}
