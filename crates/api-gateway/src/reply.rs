//! Replies of any size, of which only one lies in memory for each connection, once.
//!
//! actix copies a whole body into its write buffer, and keeps both until the client has read them. A large body is
//! handed over in slices instead: the next one when the one before has left the process.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use serde::Serialize;

use crate::problem::{Problem, Slug};
use crate::room::Share;

/// Bytes handed over at a time; a smaller body is handed over whole.
const SLICE: usize = 32 << 10;

/// A reply in JSON whose share of the room grows to its size, or is enough already.
pub(crate) fn json(
    status: StatusCode,
    value: &impl Serialize,
    mut share: Share,
) -> Result<HttpResponse, Problem> {
    let json = to_vec(value)?;
    if json.len() > SLICE {
        share.grow(json.len())?;
    }
    Ok(body(status, json, share))
}

/// [`json`] after something was done, which the reply must not deny.
pub(crate) fn json_anyway(
    status: StatusCode,
    value: &impl Serialize,
    mut share: Share,
) -> Result<HttpResponse, Problem> {
    let json = to_vec(value)?;
    share.grow_anyway(json.len());
    Ok(body(status, json, share))
}

/// JSON that is written already.
pub(crate) fn body(status: StatusCode, json: Vec<u8>, share: Share) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.content_type(ContentType::json());
    if json.len() > SLICE {
        response.body(Slices { rest: json.into(), _share: share })
    } else {
        response.body(json)
    }
}

fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let mut json = serde_json::to_vec(value)
        .map_err(|error| Problem::new(Slug::Internal, "the reply cannot be written").inside(&error))?;
    if json.len() > SLICE {
        json.shrink_to_fit(); // it may stay for long
    }
    Ok(json)
}

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
