//! Turns a request into a job that is ready to be stored, or into the list of its errors.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use atode_jobs::{Kind, MAX_DELAY, MAX_RETRIES, parse_delay};
use atode_queue::{Due, Durability, Idempotency, JobView, NewJob, Record, State};
use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::gateway::Gateway;
use crate::http::problem::{FieldError, Problem};

/// The maximum age of a `run_at`. A job that is a little late runs now; a typing error is refused.
const MAX_PAST: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_KEY: usize = 255;

/// The body of `POST /v1/jobs`, or an item of a batch. Fields that clients often send with a wrong type accept any JSON
/// value, because [`prepare`] reports them better than serde does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobRequest<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "raw")]
    payload: Option<&'a RawValue>,
    pub(crate) delay: Option<Value>,
    run_at: Option<Value>,
    pub(crate) max_retries: Option<Value>,
    queue: Option<String>,
    durability: Option<String>,
    idempotency_key: Option<String>,
}

/// A job that is ready to be stored, with the data for the reply.
pub(crate) struct Prepared<'a> {
    pub(crate) job: NewJob,
    kind: Arc<Kind>,
    payload: &'a RawValue,
    max_retries: u32,
}

/// The source of the idempotency key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySource<'a> {
    Header(Option<&'a str>),
    /// The item's own key, or else this one.
    Item(Option<&'a str>),
}

impl<'a> JobRequest<'a> {
    /// A request from the console or from the old service's call.
    pub(crate) fn new(kind: &'a str, payload: &'a RawValue) -> Self {
        JobRequest {
            kind: kind.into(),
            payload: Some(payload),
            delay: None,
            run_at: None,
            max_retries: None,
            queue: None,
            durability: None,
            idempotency_key: None,
        }
    }
}

/// `body` are the bytes that the idempotency key identifies. All errors are collected, so that a client can fix them at
/// once. Their pointers start with `at`.
pub(crate) fn prepare<'a>(
    gateway: &Gateway,
    request: &JobRequest<'a>,
    body: &str,
    key: KeySource<'_>,
    at: &str,
) -> Result<Prepared<'a>, Problem> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, detail: String| {
        errors.push(FieldError { pointer: format!("{at}/{field}"), detail });
    };

    let payload = request.payload.unwrap_or_else(|| empty_payload());
    let kind = gateway.registry.get(&request.kind);
    match kind {
        None => {
            let known: Vec<&str> = gateway.registry.kinds().map(|kind| &*kind.name).collect();
            wrong("kind", format!("unknown kind; known kinds: {}", known.join(", ")));
        }
        Some(kind) => {
            if let Err(invalid) = kind.check(payload.get()) {
                wrong(&format!("payload{}", invalid.pointer), invalid.detail);
            }
        }
    }
    let default_queue = kind.map(|kind| kind.queue.clone());
    let queue = request.queue.as_deref().map(Arc::from).or(default_queue).unwrap_or_default();
    let queue = gateway.queues.iter().find(|known| **known == queue);
    if queue.is_none() && (kind.is_some() || request.queue.is_some()) {
        let which = match (&request.queue, kind) {
            (None, Some(kind)) => format!("the queue {:?} of this kind is not configured", kind.queue),
            _ => "unknown queue".to_owned(),
        };
        wrong("queue", format!("{which}; configured queues: {}", gateway.queues.join(", ")));
    }
    let due = due(request.delay.as_ref().map(text), request.run_at.as_ref().map(text), gateway.client.now());
    let own_due = due.unwrap_or_else(|(field, detail)| {
        wrong(field, detail);
        None
    });
    let own_retries = request.max_retries.as_ref().and_then(|retries| {
        let retries = retries.as_u64().and_then(|retries| u32::try_from(retries).ok());
        let retries = retries.filter(|retries| *retries <= MAX_RETRIES);
        if retries.is_none() {
            wrong("max_retries", format!("expected a whole number from 0 to {MAX_RETRIES}"));
        }
        retries
    });
    let durability = match request.durability.as_deref() {
        None => None,
        Some("fsync") if matches!(key, KeySource::Header(_)) => Some(Durability::Fsync),
        Some("fsync") => {
            wrong("durability", "durability applies to single jobs only: POST /v1/jobs".to_owned());
            None
        }
        Some(_) => {
            wrong("durability", "expected \"fsync\", or nothing".to_owned());
            None
        }
    };
    let own_key = request.idempotency_key.as_deref();
    let key = match key {
        KeySource::Header(key) => {
            if own_key.is_some() {
                wrong("idempotency_key", "send it as the header Idempotency-Key".to_owned());
            }
            key
        }
        KeySource::Item(key) => own_key.or(key),
    };
    if let Some(Err(detail)) = own_key.map(check_key) {
        wrong("idempotency_key", detail);
    }

    let (Some(kind), Some(queue), true) = (kind, queue, errors.is_empty()) else {
        return Err(Problem::invalid(errors));
    };
    let record = Record {
        kind: Cow::Borrowed(&*kind.name),
        payload,
        delay: match own_due {
            Some(Due::After(delay)) => Some(delay.as_millis() as u64),
            _ => None,
        },
        run_at: match own_due {
            Some(Due::At(at)) => Some(at),
            _ => None,
        },
        max_retries: own_retries,
        durability,
    };
    let due = own_due.unwrap_or(Due::After(kind.delay));
    let mut job = NewJob::new(gateway.client.new_id(), queue, &kind.name, &record, due);
    job.idempotency = key.map(|key| {
        let idempotency = Idempotency::new("", key, body.as_bytes());
        match gateway.idempotency_ttls.get(queue) {
            Some(ttl) => idempotency.remembered_for(*ttl),
            None => idempotency,
        }
    });
    Ok(Prepared { job, payload, max_retries: own_retries.unwrap_or(kind.max_retries), kind: kind.clone() })
}

impl Prepared<'_> {
    /// The job, stored at `now` (Redis' clock).
    pub(crate) fn stored(self, now: i64) -> JobView {
        let due = match self.job.due {
            Due::After(delay) => now + delay.as_millis() as i64,
            Due::At(at) => at,
        };
        let state = if due <= now { State::Ready } else { State::Scheduled };
        JobView { due_at: Timestamp::from_millisecond(due).ok(), ..self.view(self.job.id, Some(state)) }
    }

    /// The job that was stored before under the same key and has been removed since.
    pub(crate) fn removed(self, id: atode_queue::JobId) -> JobView {
        self.view(id, None)
    }

    fn view(&self, id: atode_queue::JobId, state: Option<State>) -> JobView {
        JobView {
            id,
            kind: self.kind.name.to_string(),
            queue: self.job.queue.to_string(),
            state,
            payload: self.payload.to_owned(),
            attempt: 0,
            max_retries: Some(self.max_retries),
            enqueued_at: id.made_at().and_then(|at| Timestamp::from_millisecond(at).ok()),
            due_at: None,
            started_at: None,
            finished_at: None,
            last_error: None,
            attempts: Vec::new(),
            worker: None,
            cancel_requested: false,
            durability: self.job.durability,
            enqueued_by: None,
        }
    }
}

/// The body of a request to reschedule. It has exactly one of the two fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DueRequest {
    delay: Option<Value>,
    run_at: Option<Value>,
}

impl DueRequest {
    pub(crate) fn due(&self, now: i64) -> Result<Due, Problem> {
        match due(self.delay.as_ref().map(text), self.run_at.as_ref().map(text), now) {
            Ok(Some(due)) => Ok(due),
            Ok(None) => Err(Problem::invalid_field("", "delay or run_at is missing")),
            Err((field, detail)) => Err(Problem::invalid_field(&format!("/{field}"), detail)),
        }
    }
}

/// The text of a value. Any other type is treated as an empty text, which is refused with the expected format.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The due time of the request, or the invalid field and the reason.
fn due(delay: Option<&str>, run_at: Option<&str>, now: i64) -> Result<Option<Due>, (&'static str, String)> {
    match (delay, run_at) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(("run_at", "delay and run_at exclude each other".to_owned())),
        (Some(delay), None) => {
            parse_delay(delay).map(|delay| Some(Due::After(delay))).map_err(|why| ("delay", why))
        }
        (None, Some(run_at)) => {
            let at = parse_instant(run_at).ok_or_else(|| {
                ("run_at", "expected an RFC 3339 time with its zone, such as 2030-01-31T09:30:00Z".to_owned())
            })?;
            if at > now.saturating_add(MAX_DELAY.as_millis() as i64) {
                Err(("run_at", "365 days ahead at most".to_owned()))
            } else if at < now.saturating_sub(MAX_PAST.as_millis() as i64) {
                Err(("run_at", "more than a day ago".to_owned()))
            } else {
                Ok(Some(Due::At(at)))
            }
        }
    }
}

/// Unix ms. The last hours of the year 9999 are beyond the range of `Timestamp`.
fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let pieces = Pieces::parse(text).ok()?;
    let is_whole = pieces.time().is_some() && pieces.offset().is_some();
    match pieces.date().year() {
        9_999 if is_whole => Some(Timestamp::MAX.as_millisecond()),
        -9_999 if is_whole => Some(Timestamp::MIN.as_millisecond()),
        _ => None,
    }
}

/// Checks that a key has 1 to 255 printable ASCII characters.
pub(crate) fn check_key(key: &str) -> Result<(), String> {
    if (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Ok(())
    } else {
        Err(format!("expected 1 to {MAX_KEY} printable ASCII characters"))
    }
}

/// The payload of a request without one. `null` is not an absent payload: it is refused like any other non-object.
fn empty_payload() -> &'static RawValue {
    static EMPTY: std::sync::LazyLock<Box<RawValue>> =
        std::sync::LazyLock::new(|| serde_json::from_str("{}").expect("an empty object is JSON"));
    &EMPTY
}

/// `Some` for `null` as well.
fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_time_is_a_duration_or_an_instant_within_a_year() {
        let now = 1_800_000_000_000;
        assert_eq!(due(None, None, now), Ok(None));
        assert_eq!(due(Some("250ms"), None, now), Ok(Some(Due::After(Duration::from_millis(250)))));
        assert_eq!(due(Some("-1s"), None, now).unwrap_err().0, "delay");
        let at = Timestamp::from_millisecond(now + 5).unwrap();
        assert_eq!(due(None, Some(&at.to_string()), now), Ok(Some(Due::At(now + 5))));
        for late in ["9999-12-31T23:59:59Z", "9999-12-30T22:00:00Z", "9999-12-31T23:59:59.999+09:00"] {
            assert_eq!(
                due(None, Some(late), now).unwrap_err(),
                ("run_at", "365 days ahead at most".to_owned())
            );
        }
        let early = due(None, Some("0001-01-01T00:00:00Z"), now);
        assert_eq!(early.unwrap_err(), ("run_at", "more than a day ago".to_owned()));
        for wrong in [
            "9999-12-31",
            "9999-12-31T23:59:59",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2027-01-16T08:00:00",
            "tomorrow",
            "",
        ] {
            assert_eq!(due(None, Some(wrong), now).unwrap_err().0, "run_at", "{wrong}");
        }
        assert_eq!(due(Some("1s"), Some("2027-01-16T08:00:00Z"), now).unwrap_err().0, "run_at");
    }
}
