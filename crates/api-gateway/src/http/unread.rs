//! Refuses the parts of a request that its handler would not read. Somebody who sends `?dry_run=true` to an operation
//! without that parameter must not learn from its effect that it was ignored.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, IF_MATCH, TRANSFER_ENCODING};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::http::problem::Problem;

/// Some clients always send an empty object, which has room in this.
const MAX_BODY: usize = 16;
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Refuses parameters in the query.
pub(crate) struct NoQuery;

/// Refuses a body, unless it is an empty JSON object.
pub(crate) struct NoBody;

/// Refuses an `If-Match` that names a version.
pub(crate) struct NoVersion;

/// Refuses everything but the path.
pub(crate) type PathOnly = (NoQuery, NoBody, NoVersion);

impl FromRequest for NoQuery {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.query_string() {
            "" => Ok(NoQuery),
            _ => Err(Problem::malformed("the query: this request takes no parameters; nothing was done")),
        })
    }
}

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let is_empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
        if is_empty && !headers.contains_key(TRANSFER_ENCODING) {
            return Box::pin(ready(Ok(NoBody)));
        }
        let mut payload = payload.take();
        Box::pin(async move {
            let mut body = Vec::new();
            while let Ok(Some(Ok(part))) = timeout(MAX_PAUSE, payload.next()).await
                && body.len() <= MAX_BODY
            {
                body.extend_from_slice(&part);
            }
            match body.trim_ascii() {
                b"" | b"{}" if body.len() <= MAX_BODY => Ok(NoBody),
                _ => Err(Problem::malformed("this request takes no body; nothing was done")),
            }
        })
    }
}

impl FromRequest for NoVersion {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.headers().get(IF_MATCH) {
            Some(version) if version != "*" => {
                Err(Problem::malformed("only PATCH compares a version with If-Match; nothing was done"))
            }
            _ => Ok(NoVersion),
        })
    }
}
