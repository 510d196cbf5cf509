//! From a request to a job ready to be stored: every rule about what may be enqueued, for all callers who write their
//! requests as text (HTTP, the console, the command line). Rust programs use `enqueue.rs`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use atode_queue::{Durability, Idempotency, JobId, JobView, NewJob, Record};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::due::parse_due;
use crate::invalid_request::{Errors, RequestError};
use crate::job::DEFAULT_RETENTION;
use crate::known_kind::KnownKind;
use crate::limits::{check_key, check_retries};
use crate::new_job::new_job;
use crate::prepared::Prepared;
use crate::published::catalogue::Catalogue;
use crate::registry::Registry;

/// Kinds that the error about an unknown one names.
const MAX_NAMED: usize = 50;

/// A request for a job, as its caller wrote it.
//
// Fields that callers often send with a wrong type accept any `Value` here, so that the error can say what is expected.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequest<'a> {
    /// A kind of `GET /v1/kinds`, or one of its aliases.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// An object that fits the kind; `{}` if absent.
    #[serde(borrow, default, deserialize_with = "raw")]
    #[schemars(with = "serde_json::Map<String, Value>", default)]
    pub payload: Option<&'a RawValue>,
    /// The wait before the first run: `250ms`, `10s`, `3m` or ISO 8601, up to 365 days. The kind has a default.
    #[schemars(with = "Option<String>", example = "10s")]
    pub delay: Option<Value>,
    /// The due time, instead of `delay`.
    #[schemars(with = "Option<Timestamp>", example = "2026-11-24T00:06:13.845Z")]
    pub run_at: Option<Value>,
    /// The kind has a default.
    #[schemars(with = "Option<u32>", range(min = 0, max = 1_000), example = 3)]
    pub max_retries: Option<Value>,
    /// A configured queue. The kind has a default.
    #[schemars(pattern("^[a-z0-9_-]{1,64}$"))]
    pub queue: Option<String>,
    /// `fsync`: answer only once Redis has the job on its disk.
    #[schemars(with = "Option<Durability>")]
    pub durability: Option<String>,
    /// Printable ASCII. An item without one gets the key of the header, if there is one, and its place in the batch.
    #[schemars(length(min = 1, max = 255))]
    pub idempotency_key: Option<String>,
}

/// How a request came, and the idempotency key that came beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource<'a> {
    /// A single request; its key is in the header.
    Header(Option<&'a str>),
    /// An item of a batch. Its own key wins over this one.
    Item(Option<&'a str>),
}

/// The kinds and queues that jobs may be enqueued for.
#[derive(Clone)]
pub struct JobRules {
    registry: Registry,
    /// For kinds that are not compiled in. Unset in a program that does without them.
    catalogue: Option<Catalogue>,
    /// How long each queue remembers an idempotency key.
    queues: BTreeMap<Arc<str>, Duration>,
}

impl<'a> JobRequest<'a> {
    pub fn new(kind: &'a str, payload: &'a RawValue) -> Self {
        JobRequest { kind: kind.into(), payload: Some(payload), ..JobRequest::default() }
    }
}

impl JobRules {
    /// `queues`: each configured queue and how long it remembers an idempotency key.
    pub fn new<'q>(registry: Registry, queues: impl Iterator<Item = (&'q str, Duration)>) -> Self {
        JobRules { registry, catalogue: None, queues: queues.map(|(name, ttl)| (name.into(), ttl)).collect() }
    }

    /// Accepts the kinds of the catalogue as well. A kind that is compiled in keeps the check of its type.
    #[must_use]
    pub fn with_catalogue(self, catalogue: Catalogue) -> Self {
        JobRules { catalogue: Some(catalogue), ..self }
    }

    /// The job, or all errors of the request at once. An idempotency key stands for the bytes of `body`. `now` is
    /// Redis' clock, Unix ms.
    pub fn prepare<'a>(
        &self,
        request: &JobRequest<'a>,
        body: &str,
        key: KeySource<'_>,
        now: i64,
    ) -> Result<Prepared<'a>, RequestError> {
        let mut errors = Errors::default();
        // An absent payload is an empty object. `null` is refused like any other value that is no object.
        let empty = || serde_json::from_str("{}").expect("an empty object is JSON");
        let payload = request.payload.unwrap_or_else(empty);
        let kind = self.kind(&request.kind, payload, &mut errors)?;
        let queue = self.queue(request.queue.as_deref(), kind.as_ref(), &mut errors);
        let due = parse_due(request.delay.as_ref().map(text), request.run_at.as_ref().map(text), now);
        let due = errors.due(due);
        let max_retries = request.max_retries.as_ref();
        let max_retries =
            max_retries.and_then(|retries| errors.field("max_retries", check_retries(number(retries))));
        let durability = durability(request.durability.as_deref(), key, &mut errors);
        let key = idempotency_key(request.idempotency_key.as_deref(), key, &mut errors);
        errors.into_result()?;

        let (kind, (queue, ttl)) = kind.zip(queue).expect("without errors there are both");
        let idempotency = key.map(|key| Idempotency::new("", key, body.as_bytes()).remembered_for(*ttl));
        let record = Record { max_retries, durability, ..Record::new(payload) };
        let job = new_job(JobId::new(now), queue, kind.name(), kind.delay(), due, record);
        Ok(Prepared {
            job: NewJob { idempotency, ..job },
            payload,
            max_retries: max_retries.unwrap_or(kind.max_retries()),
        })
    }

    /// The kind, if there is one. Adds what is wrong with it or with the payload.
    pub(crate) fn kind(
        &self,
        name: &str,
        payload: &RawValue,
        errors: &mut Errors,
    ) -> Result<Option<KnownKind<'_>>, RequestError> {
        let kind = self.find(name);
        match &kind {
            Some(kind) => kind.check(payload.get(), errors),
            None if self.catalogue.as_ref().is_some_and(|catalogue| catalogue.read_at().is_none()) => {
                return Err(RequestError::CatalogueUnread(name.to_owned()));
            }
            None => errors.add("kind", self.unknown_kind()),
        }
        Ok(kind)
    }

    /// All kinds that may be enqueued, in order of their names.
    pub fn kinds(&self) -> Vec<KnownKind<'_>> {
        let compiled = self.registry.kinds().map(|kind| (kind.name.clone(), KnownKind::Compiled(kind)));
        let mut kinds: BTreeMap<Arc<str>, KnownKind<'_>> = compiled.collect();
        for (name, published) in self.catalogue.iter().flat_map(Catalogue::all) {
            if published.current.is_some() {
                kinds.entry(name).or_insert(KnownKind::Published(published));
            }
        }
        kinds.into_values().collect()
    }

    /// The kind of this name or alias, compiled in or else of the catalogue.
    pub fn find(&self, name: &str) -> Option<KnownKind<'_>> {
        if let Some(kind) = self.registry.get(name) {
            return Some(KnownKind::Compiled(kind));
        }
        let published = self.catalogue.as_ref()?.get(name)?;
        published.current.is_some().then_some(KnownKind::Published(published))
    }

    /// Fills in the values that a job leaves to its kind.
    #[must_use]
    pub fn with_defaults(&self, mut job: JobView) -> JobView {
        job.max_retries = job.max_retries.or_else(|| self.max_retries(&job.kind));
        job
    }

    /// The retries of a job of this kind that does not set them, if the kind is known.
    pub fn max_retries(&self, kind: &str) -> Option<u32> {
        self.find(kind).map(|kind| kind.max_retries())
    }

    /// The retention of completed jobs of this kind, or the default if the kind is not known.
    pub fn retention(&self, kind: &str) -> Duration {
        self.find(kind).map_or(DEFAULT_RETENTION, |kind| kind.retention())
    }

    /// The catalogue, if this program uses it.
    pub fn catalogue(&self) -> Option<&Catalogue> {
        self.catalogue.as_ref()
    }

    fn unknown_kind(&self) -> String {
        let kinds = self.kinds();
        let known: Vec<&str> = kinds.iter().take(MAX_NAMED).map(|kind| &**kind.name()).collect();
        let more = match kinds.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(", and {more} more: GET /v1/kinds lists all"),
        };
        format!("unknown kind; known kinds: {}{more}", known.join(", "))
    }

    fn queue(
        &self,
        own: Option<&str>,
        kind: Option<&KnownKind<'_>>,
        errors: &mut Errors,
    ) -> Option<(&Arc<str>, &Duration)> {
        let name = own.or(kind.map(|kind| &**kind.queue()))?;
        let queue = self.queues.get_key_value(name);
        if queue.is_none() {
            let which = match own {
                None => format!("the queue {name:?} of this kind is not configured"),
                Some(_) => "unknown queue".to_owned(),
            };
            let known: Vec<&str> = self.queues.keys().map(|queue| &**queue).collect();
            errors.add("queue", format!("{which}; configured queues: {}", known.join(", ")));
        }
        queue
    }
}

fn durability(own: Option<&str>, key: KeySource<'_>, errors: &mut Errors) -> Option<Durability> {
    let detail = match (own?, key) {
        ("fsync", KeySource::Header(_)) => return Some(Durability::Fsync),
        ("fsync", KeySource::Item(_)) => "durability applies to single jobs only: POST /v1/jobs",
        _ => "expected \"fsync\", or nothing",
    };
    errors.add("durability", detail);
    None
}

fn idempotency_key<'a>(own: Option<&'a str>, key: KeySource<'a>, errors: &mut Errors) -> Option<&'a str> {
    if let Some(own) = own {
        if matches!(key, KeySource::Header(_)) {
            errors.add("idempotency_key", "send it as the header Idempotency-Key");
        }
        errors.field("idempotency_key", check_key(own));
    }
    match key {
        KeySource::Header(key) => key,
        KeySource::Item(key) => own.or(key),
    }
}

/// A value that is not a string is refused as an empty one is: the error says what is expected.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A value that is not a whole number is refused as one that is too large is.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(u64::MAX)
}

/// `Some` for `null` too.
pub(crate) fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use atode_queue::Due;

    use super::*;
    use crate::invalid_request::InvalidRequest;

    const NOW: i64 = 1_800_000_000_000;

    fn prepare(request: &str, key: KeySource<'_>) -> Result<(u32, Due, String), InvalidRequest> {
        let queues = [("default", Duration::from_secs(60))];
        let rules = JobRules::new(crate::registry().unwrap(), queues.into_iter());
        let request: JobRequest<'_> = serde_json::from_str(request).unwrap();
        let prepared = rules.prepare(&request, "", key, NOW).map_err(|error| match error {
            RequestError::Invalid(invalid) => invalid,
            RequestError::CatalogueUnread(kind) => panic!("{kind} is compiled in"),
        })?;
        Ok((prepared.max_retries, prepared.job.due, prepared.job.queue.to_string()))
    }

    #[test]
    fn the_kind_decides_what_the_request_leaves_out() {
        let minutes = Due::After(Duration::from_secs(180));
        let prepared = prepare(r#"{"kind":"demo:delay_print"}"#, KeySource::Header(None));
        assert_eq!(prepared, Ok((10, minutes, "default".to_owned())));
        let own = r#"{"kind":"demo:delay_print","delay":"1s","max_retries":3}"#;
        let prepared = prepare(own, KeySource::Header(None));
        assert_eq!(prepared, Ok((3, Due::After(Duration::from_secs(1)), "default".to_owned())));
    }

    #[test]
    fn every_wrong_field_is_reported_with_its_pointer() {
        let request = r#"{"kind":"demo:delay_print","payload":{"message":1},"delay":5,"max_retries":-1,
            "queue":"nowhere","durability":"fsync","idempotency_key":""}"#;
        let errors = prepare(request, KeySource::Item(None)).unwrap_err().errors;
        let pointers: Vec<&str> = errors.iter().map(|error| &*error.pointer).collect();
        let expected =
            ["/payload/message", "/queue", "/delay", "/max_retries", "/durability", "/idempotency_key"];
        assert_eq!(pointers, expected);
    }
}
