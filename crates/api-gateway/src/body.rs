//! From bytes to typed JSON, strictly: what is not understood is refused, and the refusal says
//! where.

use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpMessage, HttpRequest};
use atode_jobs::json_pointer;
use serde::Deserialize;

use crate::problem::{FieldError, Problem, Slug};

/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Reads a body of this type and at most `limit` bytes.
pub(crate) async fn read(
    request: &HttpRequest,
    payload: Payload,
    content_type: &str,
    limit: usize,
) -> Result<Bytes, Problem> {
    if !request.content_type().eq_ignore_ascii_case(content_type)
        || request.headers().get_all(CONTENT_TYPE).count() > 1
    {
        let detail = format!("send the body with one header `Content-Type: {content_type}`");
        return Err(Problem::new(Slug::UnsupportedMediaType, detail));
    }
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::new(Slug::UnsupportedMediaType, "send the body without Content-Encoding"));
    }
    let too_large = || Problem::new(Slug::TooLarge, format!("the body may have {limit} bytes at most"));
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let body = tokio::time::timeout(TIMEOUT, payload.to_bytes_limited(limit));
    match body.await {
        Err(_) => Err(Problem::new(
            Slug::RequestTimeout,
            format!("the body did not arrive within {} s", TIMEOUT.as_secs()),
        )),
        Ok(Err(_)) => Err(too_large()),
        Ok(Ok(Err(_))) => {
            Err(Problem::malformed("the body broke off before its end, or its chunks are no chunks"))
        }
        Ok(Ok(Ok(bytes))) => Ok(bytes),
    }
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
