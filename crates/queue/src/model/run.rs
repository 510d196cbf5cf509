//! One run of a job, and the worker that it ran on.

use std::sync::Arc;

use atode_config::traces::TraceContext;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::id::WorkerId;

/// The worker that runs a job or ran it. One version writes it and another reads it: a missing or malformed
/// field reads as unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkerRef {
    #[serde(deserialize_with = "or_unknown")]
    pub id: WorkerId,
    #[serde(deserialize_with = "or_unknown")]
    pub host: String,
    #[serde(deserialize_with = "or_unknown")]
    pub pid: u32,
    #[serde(deserialize_with = "or_unknown")]
    pub build: String,
}

/// An unknown worker.
impl Default for WorkerRef {
    fn default() -> Self {
        WorkerRef { id: WorkerId::UNKNOWN, host: "unknown".to_owned(), pid: 0, build: "unknown".to_owned() }
    }
}

/// One run of a job; instants in Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub attempt: u32,
    pub due: i64,
    pub started: i64,
    /// Shared by all runs of a worker.
    pub worker: Arc<WorkerRef>,
    /// The span of the run, if it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "span")]
    pub trace: Option<TraceContext>,
}

impl Run {
    /// A run that is not recorded in a trace.
    pub fn new(attempt: u32, due: i64, started: i64, worker: Arc<WorkerRef>) -> Self {
        Run { attempt, due, started, worker, trace: None }
    }
}

fn or_unknown<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(json: D) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(json)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A text that names no span reads as none.
fn span<'de, D: Deserializer<'de>>(json: D) -> Result<Option<TraceContext>, D::Error> {
    let value = serde_json::Value::deserialize(json)?;
    Ok(value.as_str().and_then(|text| TraceContext::parse(text, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_another_version_is_read_as_far_as_it_is_known() {
        let known = WorkerRef { id: WorkerId::new(1), host: "h".into(), pid: 7, build: "0.1.0+abc".into() };
        let json = serde_json::to_string(&known).unwrap();
        let later = json.replace('}', r#","zone":{"name":"b"}}"#);
        assert_eq!(serde_json::from_str::<WorkerRef>(&later).unwrap(), known);
        let earlier = format!(r#"{{"id":"{}","pid":"seven"}}"#, known.id);
        let expected = WorkerRef { id: known.id, ..WorkerRef::default() };
        assert_eq!(serde_json::from_str::<WorkerRef>(&earlier).unwrap(), expected);
        assert_eq!(serde_json::from_str::<WorkerRef>(r#"{"id":7}"#).unwrap(), WorkerRef::default());
    }
}
