//! A kind as a worker publishes it: its constants, the schema of its payload, and who says so.

use std::sync::Arc;
use std::time::Duration;

use atode_queue::WorkerId;
use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::job::Execution;
use crate::kind::Kind;
use crate::published::payload_schema::PayloadSchema;

/// The constants of a kind, and the schema of its payload. Later releases may add fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    pub kind: Arc<str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Arc<str>>,
    pub queue: Arc<str>,
    #[serde(rename = "delay_ms", with = "millis")]
    pub delay: Duration,
    pub max_retries: u32,
    pub backoff: PublishedBackoff,
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
    #[serde(rename = "retention_ms", with = "millis")]
    pub retention: Duration,
    pub execution: Execution,
    pub schema: Arc<PayloadSchema>,
}

/// [`Backoff`] in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PublishedBackoff {
    #[serde(rename = "first_ms", with = "millis")]
    pub first: Duration,
    pub factor: f64,
    #[serde(rename = "ceiling_ms", with = "millis")]
    pub ceiling: Duration,
    pub jitter: f64,
}

/// A definition, and the worker that published it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedKind {
    #[serde(flatten)]
    pub definition: Definition,
    pub build: String,
    pub worker: WorkerId,
    /// When the worker started, by Redis' clock, Unix ms.
    pub started_at: i64,
}

impl Definition {
    /// In whole milliseconds, as the catalogue has it.
    pub fn of(kind: &Kind) -> Self {
        Definition {
            kind: kind.name.clone(),
            aliases: kind.aliases.iter().map(|alias| Arc::from(*alias)).collect(),
            queue: kind.queue.clone(),
            delay: millis::whole(kind.delay),
            max_retries: kind.max_retries,
            backoff: PublishedBackoff::of(kind.backoff),
            timeout: millis::whole(kind.timeout),
            retention: millis::whole(kind.retention),
            execution: kind.execution,
            schema: Arc::new(kind.schema.clone().into()),
        }
    }
}

impl PublishedBackoff {
    fn of(backoff: Backoff) -> Self {
        PublishedBackoff {
            first: millis::whole(backoff.first),
            factor: backoff.factor,
            ceiling: millis::whole(backoff.ceiling),
            jitter: backoff.jitter,
        }
    }
}

impl PublishedKind {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always serialize")
    }

    pub(crate) fn decode(entry: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(entry)
    }

    /// Orders definitions by the start of their workers. The id makes the order total.
    pub(crate) fn start(&self) -> (i64, WorkerId) {
        (self.started_at, self.worker)
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn whole(duration: Duration) -> Duration {
        Duration::from_millis(count(&duration))
    }

    fn count(duration: &Duration) -> u64 {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(count(duration))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_read_as_it_was_written() {
        for kind in crate::registry().unwrap().kinds() {
            let published = PublishedKind {
                definition: Definition::of(kind),
                build: "0.1.0+abc".to_owned(),
                worker: WorkerId::new(1),
                started_at: 1_800_000_000_000,
            };
            assert_eq!(PublishedKind::decode(&published.encode()).unwrap(), published);
            assert_eq!(published.definition.schema.obstacle(), None);
            let mut later: serde_json::Value = serde_json::from_slice(&published.encode()).unwrap();
            later["limits"] = serde_json::json!({"new": "in a later release"});
            assert_eq!(PublishedKind::decode(later.to_string().as_bytes()).unwrap(), published);
        }
    }
}
