//! From bytes to typed JSON, strictly: what is not understood is refused, and the refusal says
//! where.

use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use atode_jobs::{json_pointer, without_position};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::gateway::Gateway;
use crate::http::body_room::Share;
use crate::http::problem::{FieldError, Problem, Slug};

/// How long nothing of a body may arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes per second that a body has to come at, pauses included. A large one may take minutes over a slow line.
const SLOWEST: u32 = 4 << 10;

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Bytes that a body takes while it is worked on, for each of its own: as it came, as the records that are made of
/// it, as the reply.
pub(crate) const COPIES: usize = 3;

/// A body, and its share of the gateway's memory.
pub(crate) struct Body {
    bytes: Bytes,
    _share: Share,
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
    if !is_unencoded(request) {
        return Err(Problem::unsupported_encoding());
    }
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    // Refused before it is read, where it says how large it is.
    let mut share = gateway.room.share();
    share.grow(announced.unwrap_or(0) * COPIES)?;
    let bytes = receive(payload, announced.unwrap_or(0), limit, &mut share).await?;
    Ok(Body { bytes, _share: share })
}

/// Whether the body comes as it is: `identity` says just that.
fn is_unencoded(request: &HttpRequest) -> bool {
    request.headers().get_all(CONTENT_ENCODING).all(|encodings| {
        let mut encodings = encodings.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        encodings.all(|encoding| encoding.eq_ignore_ascii_case(b"identity") || encoding.is_empty())
    })
}

async fn receive(
    mut payload: Payload,
    announced: usize,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, Problem> {
    let mut body = BytesMut::with_capacity(announced);
    let mut pace = Pace::new();
    while let Some(chunk) = pace.next(&mut payload).await? {
        let length = body.len() + chunk.len();
        if length > limit {
            return Err(too_large(limit));
        }
        if pace.is_slow() {
            // It may take minutes, and must not keep what is not there yet from others.
            share.shrink(length);
        }
        share.grow(if pace.is_slow() { length } else { length * COPIES })?;
        body.extend_from_slice(&chunk);
    }
    share.grow(body.len() * COPIES)?;
    Ok(body.freeze())
}

/// How fast a body comes, against [`SLOWEST`] and [`PATIENCE`].
struct Pace {
    start: Instant,
    /// The next bytes have to be there by then.
    until: Instant,
}

impl Pace {
    fn new() -> Self {
        let start = Instant::now();
        Pace { start, until: start + PATIENCE }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self, payload: &mut Payload) -> Result<Option<Bytes>, Problem> {
        let next = timeout_at(self.until, payload.next()).await.map_err(|_| {
            let detail = format!(
                "the body came too slowly: it has to come at {SLOWEST} bytes per second at least, and to pause for \
                 {} s at most",
                PATIENCE.as_secs()
            );
            Problem::new(Slug::RequestTimeout, detail)
        })?;
        let broken_off = "the body broke off before its end, or its chunks are no chunks";
        let chunk = next.transpose().map_err(|_| Problem::malformed(broken_off))?;
        if let Some(chunk) = &chunk {
            self.received(chunk.len(), Instant::now());
        }
        Ok(chunk)
    }

    /// Bytes that come faster than they have to buy time, but never more than the patience.
    fn received(&mut self, bytes: usize, now: Instant) {
        let bought = Duration::from_secs_f64(bytes as f64 / f64::from(SLOWEST));
        self.until = (self.until + bought).min(now + PATIENCE);
    }

    fn is_slow(&self) -> bool {
        self.start.elapsed() > PATIENCE
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Slug::TooLarge, format!("the body may have {limit} bytes at most"))
}

/// Without the byte order mark that some editors and shells put in front (RFC 8259, 8.1, allows to skip it).
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::malformed(format!("the body is not UTF-8: {error}")))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends so many bytes in each interval; the time after which that is too slow.
    fn gives_up(bytes: usize, interval: Duration, of: usize) -> Option<Duration> {
        let mut pace = Pace::new();
        let (mut sent, mut now) = (0, pace.start);
        while sent < of {
            now += interval;
            if now > pace.until {
                return Some(pace.until - pace.start);
            }
            pace.received(bytes, now);
            sent += bytes;
        }
        None
    }

    #[test]
    fn a_large_body_may_come_slowly_and_a_trickle_may_not() {
        let (batch, second) = (8 << 20, Duration::from_secs(1));
        assert_eq!(gives_up(64 << 10, second, batch), None, "512 kbit/s, two minutes");
        assert_eq!(gives_up(SLOWEST as usize, second, batch), None);
        assert_eq!(gives_up(9 * SLOWEST as usize, Duration::from_secs(9), batch), None, "with pauses");
        let trickle = gives_up(1, second, batch).expect("too slow");
        assert!(trickle < Duration::from_secs(11), "{trickle:?}");
        let half = gives_up(SLOWEST as usize / 2, second, batch).expect("too slow");
        assert!((Duration::from_secs(15)..Duration::from_secs(25)).contains(&half), "{half:?}");
        // Nor does a fast start buy more than the patience.
        let mut pace = Pace::new();
        pace.received(batch - 1, pace.start);
        assert_eq!(pace.until, pace.start + PATIENCE);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(text(b"\xef\xbb\xbf{}").unwrap(), "{}");
        assert_eq!(text(b"{\xef\xbb\xbf}").unwrap(), "{\u{feff}}");
    }
}
