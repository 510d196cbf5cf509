//! What is stored of a job: the record, written once, and the history, written when it fails,
//! crashes or finishes. All JSON is made and read here; scripts move it as bytes.

use std::borrow::Cow;
use std::sync::Arc;

use fred::types::Value;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::model::id::{JobId, WorkerId};
use crate::model::lease::FencingToken;

/// The job as it was enqueued. What the kind decides anyway is left out: it costs memory for each
/// waiting job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// Byte for byte what the client sent.
    #[serde(borrow)]
    pub payload: &'a RawValue,
    /// The request's own delay in ms, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<u64>,
    /// The request's own due time in Unix ms, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<i64>,
    /// The request's own limit, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// What the request asked for, where it asked for more than the server's settings give.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
}

/// When an enqueue may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Once this Redis has the job on its disk.
    Fsync,
}

/// A value of a later version is none here: its job can be run all the same.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Durability>, D::Error> {
    let value = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    Ok(value.filter(|value| value == "fsync").map(|_| Durability::Fsync))
}

impl<'a> Record<'a> {
    pub fn decode(json: &'a [u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(|error| Error::corrupt(format!("a job's record: {error}")))
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and raw JSON always serialise")
    }
}

/// Who ran a job. Written by one version and read by another: fields that are missing, or not what they
/// should be, are as if they were unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Nobody knows who.
impl Default for WorkerRef {
    fn default() -> Self {
        WorkerRef { id: WorkerId::UNKNOWN, host: "unknown".to_owned(), pid: 0, build: "unknown".to_owned() }
    }
}

fn or_unknown<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(json: D) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(json)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// What is known of a job's past. A job that was never settled or reaped has none in Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Attempts spent: runs that ended in an error, a panic or a timeout.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// Runs that took their worker's process with them. They spend no attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crashes: u32,
    /// The first run that did not succeed and the last ones, oldest first: [`History::KEPT`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// The last run of a job that has finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<Run>,
    /// It was redriven since its last failure.
    #[serde(skip)]
    pub(crate) started_over: bool,
}

/// A run that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub cause: FailureCause,
    pub error: String,
    #[serde(flatten)]
    pub run: Run,
    /// Unix ms.
    pub finished: i64,
    /// The job was redriven after this run: the runs that follow are counted from 1 again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redriven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The handler returned an error that may be retried.
    Error,
    /// The handler said that no retry can help, or the payload could not be read.
    Permanent,
    Timeout,
    Panic,
    /// The worker's process is gone.
    Crash,
    /// The worker lives, but it could not prolong its lease in time.
    LeaseLost,
    /// The worker was told to stop, and the handler did not end in time.
    Shutdown,
    /// A cause that a later version writes.
    #[serde(other)]
    Unknown,
}

/// One run of a job; instants in Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub attempt: u32,
    pub due: i64,
    pub started: i64,
    /// Shared: all runs of a worker name it.
    pub worker: Arc<WorkerRef>,
}

/// Stands in front of a history whose failures no longer count: the job was redriven.
const STARTED_OVER: char = '*';

impl History {
    /// Failures kept of a job.
    pub const KEPT: usize = 10;
    /// Bytes kept of the text of an error: of the first one and of the last two.
    pub const MAX_ERROR: usize = 2_000;
    /// Bytes kept of the text of the errors between these.
    pub const MAX_OLD_ERROR: usize = 200;

    /// The attempt that a run starting now is, counted from 1.
    pub fn next_attempt(&self) -> u32 {
        self.failed.saturating_add(1)
    }

    #[must_use]
    pub fn with_failure(mut self, failure: Failure) -> Self {
        match failure.cause {
            FailureCause::Crash => self.crashes = self.crashes.saturating_add(1),
            FailureCause::LeaseLost | FailureCause::Shutdown => {}
            _ => self.failed = self.failed.saturating_add(1),
        }
        self.failures.push(failure);
        self.started_over = false;
        let excess = self.failures.len().saturating_sub(Self::KEPT);
        self.failures.drain(1..=excess);
        let last_two = self.failures.len().saturating_sub(2).max(1);
        for old in &mut self.failures[1..last_two] {
            old.error.truncate(start_of(&old.error, Self::MAX_OLD_ERROR).len());
        }
        self
    }

    #[must_use]
    pub fn finished_with(mut self, run: Run) -> Self {
        self.last_run = Some(run);
        self
    }

    /// What a script stores behind the time: `token crashes json`. The number of crashes stands
    /// in front because claim decides by it.
    pub(crate) fn encode(&self, token: FencingToken) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers always serialise");
        format!("{token} {} {json}", self.crashes)
    }

    /// Of an entry of state, `time token crashes json`; an empty one is the empty history.
    pub(crate) fn decode(entry: &str) -> Result<(Option<i64>, Self), Error> {
        if entry.is_empty() {
            return Ok((None, History::default()));
        }
        let corrupt = || Error::corrupt(format!("a job's state: {entry:.100}"));
        let mut parts = entry.splitn(4, ' ');
        let at = parts.next().and_then(|at| at.parse().ok()).ok_or_else(corrupt)?;
        let json = parts.nth(2).ok_or_else(corrupt)?;
        let started_over = json.strip_prefix(STARTED_OVER);
        let mut history: History =
            serde_json::from_str(started_over.unwrap_or(json)).map_err(|_| corrupt())?;
        if started_over.is_some() {
            (history.failed, history.crashes, history.last_run) = (0, 0, None);
            history.started_over = true;
            if let Some(last) = history.failures.last_mut() {
                last.redriven = true;
            }
        }
        Ok((Some(at), history))
    }

    /// [`History::decode`] of a reply (nothing: there is none), for whoever has to go on with the job
    /// whatever it says.
    pub(crate) fn decode_or_start_anew(id: JobId, entry: &Value) -> Self {
        if entry.is_null() {
            return History::default();
        }
        let text = entry.as_str().ok_or_else(|| Error::corrupt("a job's state is no text"));
        match text.and_then(|text| Self::decode(&text)) {
            Ok((_, history)) => history,
            Err(error) => {
                tracing::error!(job.id = %id, %error, "the job's history cannot be read; it starts a new one");
                History::default()
            }
        }
    }
}

impl Failure {
    /// Cuts the error's text to what is kept.
    pub fn new(cause: FailureCause, error: &str, run: Run, finished: i64) -> Self {
        let error = start_of(error, History::MAX_ERROR).to_owned();
        Failure { cause, error, run, finished, redriven: false }
    }
}

/// At most so many bytes, and whole characters.
fn start_of(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(attempt: u32) -> Run {
        let worker = WorkerRef { id: WorkerId::new(1), host: "h".into(), pid: 7, build: "0.1.0+abc".into() };
        Run { attempt, due: 1, started: 2, worker: Arc::new(worker) }
    }

    #[test]
    fn a_payload_comes_back_byte_for_byte() {
        let payload = r#"{"n": 9007199254740993, "d": 0.1000000000000000055511151231257827, "é": "é"}"#;
        let record = Record {
            kind: "demo:delay_print".into(),
            payload: serde_json::from_str(payload).unwrap(),
            delay: None,
            run_at: None,
            max_retries: Some(3),
            durability: None,
        };
        let stored = record.encode();
        assert_eq!(Record::decode(&stored).unwrap().payload.get(), payload);
    }

    #[test]
    fn a_crash_spends_no_attempt_and_only_the_first_failure_and_the_last_are_kept() {
        let mut history = History::default();
        for n in 1..=12 {
            history = history.with_failure(Failure::new(FailureCause::Error, "no", run(n), 3));
        }
        history = history.with_failure(Failure::new(FailureCause::Crash, "gone", run(13), 3));
        assert_eq!((history.failed, history.crashes, history.failures.len()), (12, 1, History::KEPT));
        let kept: Vec<u32> = history.failures.iter().map(|failure| failure.run.attempt).collect();
        assert_eq!(kept, [1, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        let entry = format!("1700 {}", history.encode(FencingToken::new(42)));
        assert!(entry.starts_with("1700 42 1 {"));
        assert_eq!(History::decode(&entry).unwrap(), (Some(1700), history));
    }

    #[test]
    fn a_worker_of_another_version_is_read_as_far_as_it_is_known() {
        let known = run(1).worker;
        let json = serde_json::to_string(&*known).unwrap();
        let later = json.replace('}', r#","zone":{"name":"b"}}"#);
        assert_eq!(serde_json::from_str::<WorkerRef>(&later).unwrap(), *known);
        let earlier = format!(r#"{{"id":"{}","pid":"seven"}}"#, known.id);
        let expected = WorkerRef { id: known.id, ..WorkerRef::default() };
        assert_eq!(serde_json::from_str::<WorkerRef>(&earlier).unwrap(), expected);
        assert_eq!(serde_json::from_str::<WorkerRef>(r#"{"id":7}"#).unwrap(), WorkerRef::default());
    }

    #[test]
    fn a_cause_of_a_later_version_costs_no_history() {
        let history = History::default().with_failure(Failure::new(FailureCause::Crash, "gone", run(1), 3));
        let entry = format!("1700 {}", history.encode(FencingToken::new(42)));
        let (_, read) = History::decode(&entry.replace("\"crash\"", "\"meltdown\"")).unwrap();
        assert_eq!((read.crashes, read.failures[0].cause), (1, FailureCause::Unknown));
    }

    #[test]
    fn of_many_long_errors_the_first_and_the_last_two_are_kept_whole() {
        let mut history = History::default();
        for n in 1..=30 {
            history = history.with_failure(Failure::new(FailureCause::Error, &"x".repeat(20_000), run(n), 3));
            let lengths: Vec<usize> = history.failures.iter().map(|failure| failure.error.len()).collect();
            for (place, length) in lengths.iter().enumerate() {
                let is_whole = place == 0 || place + 2 >= lengths.len();
                let expected = if is_whole { History::MAX_ERROR } else { History::MAX_OLD_ERROR };
                assert_eq!(*length, expected, "{lengths:?}");
            }
        }
        assert!(history.encode(FencingToken::new(42)).len() < 10_000);
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let failure = Failure::new(FailureCause::Error, &"é".repeat(3_000), run(1), 0);
        assert_eq!(failure.error.len(), History::MAX_ERROR);
    }
}
