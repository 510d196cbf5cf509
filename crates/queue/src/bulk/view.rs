//! A bulk operation as the API and the command line show it.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bulk::action::BulkAction;
use crate::model::id::{BulkId, JobId};
use crate::model::instant;

/// The state of a bulk operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkState {
    /// It has not begun: others come before it, or no runner has looked yet.
    Waiting,
    Running,
    /// It was asked to stop, and its runner has not stopped yet.
    Aborting,
    Aborted,
    /// Each job was looked at.
    Finished,
    /// It could not go on; `error` says why.
    Failed,
}

impl BulkState {
    pub fn has_ended(self) -> bool {
        matches!(self, BulkState::Aborted | BulkState::Finished | BulkState::Failed)
    }

    /// Its name in the API.
    pub fn word(self) -> &'static str {
        match self {
            BulkState::Waiting => "waiting",
            BulkState::Running => "running",
            BulkState::Aborting => "aborting",
            BulkState::Aborted => "aborted",
            BulkState::Finished => "finished",
            BulkState::Failed => "failed",
        }
    }
}

impl fmt::Display for BulkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A bulk operation in the API's JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BulkView {
    pub id: BulkId,
    pub action: BulkAction,
    pub state: BulkState,
    /// The filter in the words of the request.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub filter: Box<RawValue>,
    /// Jobs that entered their state later are left alone.
    #[serde(serialize_with = "instant::serialize_option")]
    pub created_at: Option<Timestamp>,
    #[serde(serialize_with = "instant::serialize_option")]
    pub started_at: Option<Timestamp>,
    #[serde(serialize_with = "instant::serialize_option")]
    pub ended_at: Option<Timestamp>,
    /// Jobs looked at.
    pub done: u64,
    /// Jobs to look at, as counted at the creation. Unset if there were too many sets to count.
    pub total: Option<u64>,
    /// Jobs that the filter selects, among those looked at: the sum of the next three.
    pub matched: u64,
    pub changed: u64,
    /// Jobs that changed between the look and the operation.
    pub skipped: u64,
    pub failed: u64,
    /// The first jobs that were skipped or failed.
    pub examples: Vec<BulkExample>,
    /// The process that runs it, or ran it last.
    pub runner: Option<BulkRunner>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A job that a bulk operation did not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkExample {
    pub id: JobId,
    pub queue: String,
    pub kind: String,
    pub outcome: BulkOutcome,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkOutcome {
    Skipped,
    Failed,
}

/// A process that runs bulk operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkRunner {
    pub program: String,
    pub pid: u32,
    pub build: String,
}
