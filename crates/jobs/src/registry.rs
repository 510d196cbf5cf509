//! The kinds that a process knows. A type is turned into plain data and functions here, once, so
//! that nothing downstream is generic.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::backoff::Backoff;
use crate::job::{Execution, Job, JobContext, JobError};

/// A handler's run: boxed, so that all kinds look alike.
pub type Run = Pin<Box<dyn Future<Output = Result<(), JobError>> + Send>>;

/// A kind of job with its type erased.
#[derive(Clone)]
pub struct Kind {
    pub name: Arc<str>,
    pub queue: Arc<str>,
    pub delay: Duration,
    pub max_retries: u32,
    pub backoff: Backoff,
    pub timeout: Duration,
    pub execution: Execution,
    pub retention: Duration,
    /// JSON Schema of the payload.
    pub schema: serde_json::Value,
    check: fn(&str) -> Result<(), InvalidPayload>,
    start: fn(&str, JobContext) -> Result<Run, InvalidPayload>,
}

/// A payload that is not what its kind takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} (at {pointer:?} of the payload)")]
pub struct InvalidPayload {
    /// JSON pointer (RFC 6901) within the payload.
    pub pointer: String,
    pub detail: String,
}

#[derive(Debug, thiserror::Error)]
#[error("two jobs are registered under the kind {0:?}; a kind names one type")]
pub struct DuplicateKind(String);

#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<Arc<str>, Arc<Kind>>,
}

impl Registry {
    pub fn register<J: Job>(&mut self) -> Result<(), DuplicateKind> {
        let name: Arc<str> = J::KIND.into();
        if self.kinds.contains_key(&name) {
            return Err(DuplicateKind(J::KIND.to_owned()));
        }
        self.kinds.insert(name, Arc::new(Kind::of::<J>()));
        Ok(())
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(name)
    }

    /// Kinds whose own queue is not configured: an enqueue that names no other queue is refused.
    pub fn without_queue(&self, is_configured: impl Fn(&str) -> bool) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values().filter(move |kind| !is_configured(&kind.queue))
    }

    /// In order of their names.
    #[must_use]
    pub fn kinds(&self) -> impl ExactSizeIterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }
}

impl Kind {
    fn of<J: Job>() -> Self {
        Kind {
            name: J::KIND.into(),
            queue: J::QUEUE.into(),
            delay: J::DELAY,
            max_retries: J::MAX_RETRIES,
            backoff: J::BACKOFF,
            timeout: J::TIMEOUT,
            execution: J::EXECUTION,
            retention: J::RETENTION,
            schema: schemars::schema_for!(J).to_value(),
            check: |payload| parse::<J>(payload).map(drop),
            start: |payload, ctx| Ok(Box::pin(parse::<J>(payload)?.run(ctx))),
        }
    }

    /// Whether a payload (JSON) is one of this kind.
    pub fn check(&self, payload: &str) -> Result<(), InvalidPayload> {
        (self.check)(payload)
    }

    /// The run of a payload, not yet polled.
    pub fn start(&self, payload: &str, ctx: JobContext) -> Result<Run, InvalidPayload> {
        (self.start)(payload, ctx)
    }
}

/// Only an object is a payload: it can grow fields later. (To serde an array would do as well.)
fn parse<T: DeserializeOwned>(payload: &str) -> Result<T, InvalidPayload> {
    if !payload.trim_start().starts_with('{') {
        let detail = "a payload is a JSON object".to_owned();
        return Err(InvalidPayload { pointer: String::new(), detail });
    }
    // The path costs time and is only wanted where parsing fails.
    serde_json::from_str(payload).or_else(|_| {
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(payload)).map_err(|error| {
            let pointer = json_pointer(error.path());
            InvalidPayload { pointer, detail: without_position(&error.into_inner()) }
        })
    })
}

/// What is wrong. The pointer says where; a line and column would count within the payload, and the payload may be a
/// part of something larger.
pub fn without_position(error: &serde_json::Error) -> String {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let detail = error.to_string();
    detail.strip_suffix(&position).map_or_else(|| detail.clone(), str::to_owned)
}

/// Where in a document parsing failed, as a JSON pointer (RFC 6901).
pub fn json_pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("{pointer}/{variant}"),
        Segment::Unknown => pointer,
    })
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Mail {
        to: Vec<u32>,
    }

    impl Job for Mail {
        const KIND: &'static str = "mail:send";

        async fn run(self, _: JobContext) -> Result<(), JobError> {
            Ok(())
        }
    }

    #[test]
    fn two_jobs_of_one_kind_are_an_error() {
        let mut registry = Registry::default();
        registry.register::<Mail>().unwrap();
        assert!(registry.register::<Mail>().unwrap_err().to_string().contains("mail:send"));
    }

    #[test]
    fn a_kind_without_its_queue_is_found() {
        let mut registry = Registry::default();
        registry.register::<Mail>().unwrap();
        assert_eq!(registry.without_queue(|queue| queue == "default").count(), 0);
        let unreachable: Vec<_> = registry.without_queue(|queue| queue == "mail").collect();
        assert_eq!((unreachable.len(), &*unreachable[0].name), (1, "mail:send"));
    }

    #[test]
    fn a_wrong_payload_says_where() {
        let kind = Kind::of::<Mail>();
        assert_eq!(kind.check(r#"{"to":[1]}"#), Ok(()));
        assert_eq!(kind.check(r#"{"to":[1,"x"]}"#).unwrap_err().pointer, "/to/1");
        let invalid = kind.check("{\n\"to\": [\"x\"]}").unwrap_err();
        assert_eq!(invalid.detail, "invalid type: string \"x\", expected u32");
        for no_object in ["null", "[[1]]", "7", "\"to\""] {
            assert_eq!(kind.check(no_object).unwrap_err().detail, "a payload is a JSON object");
        }
    }

    #[test]
    fn all_kinds_of_this_build_can_be_registered() {
        let registry = crate::registry().unwrap();
        let kind = registry.get("demo:delay_print").unwrap();
        assert_eq!((kind.delay, kind.max_retries), (crate::DEFAULT_DELAY, crate::DEFAULT_MAX_RETRIES));
    }
}
