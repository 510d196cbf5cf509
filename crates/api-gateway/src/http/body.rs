//! Receives the bodies of requests, at a minimum rate and within limits of size and memory.

use std::time::Duration;

use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::gateway::Gateway;
use crate::http::body_budget::{COPIES, Share};
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;

/// The longest pause within a body.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Bytes per second at which a body has to arrive, pauses included. A large body may take minutes over a slow network.
const MIN_RATE: u32 = 4 << 10;

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// A body and its share of the room for bodies.
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

/// Receives a body of this content type and of at most `limit` bytes.
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
        let detail = "send the body uncompressed: the only accepted Content-Encoding is identity";
        // The header tells this apart from a wrong `Content-Type` (RFC 9110, 12.5.3).
        let headers = vec![(ACCEPT_ENCODING, HeaderValue::from_static("identity"))];
        return Err(Problem { headers, ..Problem::new(Slug::UnsupportedMediaType, detail) });
    }
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    // A body that announces its length is refused before it is read.
    let mut share = gateway.body_budget.share();
    share.grow(announced.unwrap_or(0) * COPIES)?;
    let bytes = receive(payload, announced.unwrap_or(0), limit, &mut share).await?;
    Ok(Body { bytes, _share: share })
}

/// Whether the body is sent without an encoding, which `identity` also means.
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
            // It may take minutes, so it reserves memory only for the bytes that have arrived.
            share.shrink(length);
        }
        share.grow(if pace.is_slow() { length } else { length * COPIES })?;
        body.extend_from_slice(&chunk);
    }
    share.grow(body.len() * COPIES)?;
    Ok(body.freeze())
}

/// The pace at which a body arrives, measured against [`MIN_RATE`] and [`MAX_PAUSE`].
struct Pace {
    start: Instant,
    /// When the next bytes are due.
    until: Instant,
}

impl Pace {
    fn new() -> Self {
        let start = Instant::now();
        Pace { start, until: start + MAX_PAUSE }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self, payload: &mut Payload) -> Result<Option<Bytes>, Problem> {
        let next = timeout_at(self.until, payload.next()).await.map_err(|_| {
            let detail = format!(
                "the body arrived too slowly: it has to arrive at {MIN_RATE} bytes per second or faster, with pauses of \
                 at most {} s",
                MAX_PAUSE.as_secs()
            );
            Problem::new(Slug::RequestTimeout, detail)
        })?;
        let truncated = "the body ended early, or its chunked encoding is invalid";
        let chunk = next.transpose().map_err(|_| Problem::malformed(truncated))?;
        if let Some(chunk) = &chunk {
            self.received(chunk.len(), Instant::now());
        }
        Ok(chunk)
    }

    /// Bytes that arrive faster than necessary earn time, but never more than [`MAX_PAUSE`].
    fn received(&mut self, bytes: usize, now: Instant) {
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(MIN_RATE));
        self.until = (self.until + earned).min(now + MAX_PAUSE);
    }

    fn is_slow(&self) -> bool {
        self.start.elapsed() > MAX_PAUSE
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Slug::TooLarge, format!("the body is larger than {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Receives `bytes` per interval, `total` in all. Returns the time at which that is too slow.
    fn gives_up(bytes: usize, interval: Duration, total: usize) -> Option<Duration> {
        let mut pace = Pace::new();
        let (mut sent, mut now) = (0, pace.start);
        while sent < total {
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
    fn a_large_body_may_arrive_slowly_but_a_trickle_may_not() {
        let (batch, second) = (8 << 20, Duration::from_secs(1));
        assert_eq!(gives_up(64 << 10, second, batch), None, "512 kbit/s, two minutes");
        assert_eq!(gives_up(MIN_RATE as usize, second, batch), None);
        assert_eq!(gives_up(9 * MIN_RATE as usize, Duration::from_secs(9), batch), None, "with pauses");
        let trickle = gives_up(1, second, batch).expect("too slow");
        assert!(trickle < Duration::from_secs(11), "{trickle:?}");
        let half = gives_up(MIN_RATE as usize / 2, second, batch).expect("too slow");
        assert!((Duration::from_secs(15)..Duration::from_secs(25)).contains(&half), "{half:?}");
        // A fast start earns no more than one pause.
        let mut pace = Pace::new();
        pace.received(batch - 1, pace.start);
        assert_eq!(pace.until, pace.start + MAX_PAUSE);
    }
}
