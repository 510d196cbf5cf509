//! From bytes to typed JSON, strictly: what is not understood is refused, and the refusal says
//! where.

use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use atode_jobs::json_pointer;
use futures_util::StreamExt;
use serde::Deserialize;

use crate::gateway::Gateway;
use crate::problem::{FieldError, Problem, Slug};
use crate::room::Share;

/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Bytes that a body takes while it is worked on, for each of its own: as it came, as the records that are made of
/// it, as the reply.
pub(crate) const COPIES: usize = 3;

/// A body, and its share of the gateway's memory.
pub(crate) struct Body {
    bytes: Bytes,
    share: Share,
}

impl Body {
    /// For the reply, which takes the place of what came.
    pub(crate) fn into_share(self) -> Share {
        self.share
    }
}

impl std::ops::Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of this type and at most `limit` bytes.
pub(crate) async fn read(
    gateway: &Gateway,
    request: &HttpRequest,
    payload: Payload,
    content_type: &str,
    limit: usize,
) -> Result<Body, Problem> {
    if !request.content_type().eq_ignore_ascii_case(content_type)
        || request.headers().get_all(CONTENT_TYPE).count() > 1
    {
        let detail = format!("send the body with one header `Content-Type: {content_type}`");
        return Err(Problem::new(Slug::UnsupportedMediaType, detail));
    }
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::new(Slug::UnsupportedMediaType, "send the body without Content-Encoding"));
    }
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    // Refused before it is read, where it says how large it is.
    let mut share = gateway.room.share();
    share.grow(announced.unwrap_or(0) * COPIES)?;
    let body = tokio::time::timeout(TIMEOUT, receive(payload, announced.unwrap_or(0), limit, &mut share));
    let bytes = body.await.map_err(|_| {
        Problem::new(Slug::RequestTimeout, format!("the body did not arrive within {} s", TIMEOUT.as_secs()))
    })??;
    Ok(Body { bytes, share })
}

async fn receive(
    mut payload: Payload,
    announced: usize,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, Problem> {
    let mut body = BytesMut::with_capacity(announced);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            Problem::malformed("the body broke off before its end, or its chunks are no chunks")
        })?;
        let length = body.len() + chunk.len();
        if length > limit {
            return Err(too_large(limit));
        }
        share.grow(length * COPIES)?;
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Slug::TooLarge, format!("the body may have {limit} bytes at most"))
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| Problem::malformed(format!("the body is not UTF-8: {error}")))
}

/// Parses a JSON object. (To serde an array would do for a struct as well; not to us.)
pub(crate) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Problem> {
    let start = json.trim_start_matches([' ', '\t', '\r', '\n']);
    if start.is_empty() {
        return Err(Problem::malformed("a JSON object is expected, but there is nothing"));
    }
    if !start.starts_with('{') {
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(json) {
            Ok(_) => Problem::malformed("a JSON object is expected, as in `{\"kind\": …}`"),
            Err(error) => Problem::malformed(format!("not JSON: {error}")),
        });
    }
    // The path costs time and is only wanted where parsing fails.
    serde_json::from_str(json).or_else(|_| {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| {
                let pointer = json_pointer(error.path());
                let error = error.into_inner();
                if error.is_data() {
                    Problem::invalid(vec![FieldError { pointer, detail: without_position(&error) }])
                } else {
                    Problem::malformed(format!("not JSON: {error}"))
                }
            })
            .and_then(|value| match deserializer.end() {
                Ok(()) => Ok(value),
                Err(error) => Err(Problem::malformed(format!("not JSON: {error}"))),
            })
    })
}

/// The pointer says where.
fn without_position(error: &serde_json::Error) -> String {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let detail = error.to_string();
    detail.strip_suffix(&position).map_or_else(|| detail.clone(), str::to_owned)
}
