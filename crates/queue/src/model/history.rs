//! The history of a job: written when it fails, crashes or finishes. Its JSON is made and read here; scripts
//! move it as bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::lease::FencingToken;
use crate::model::run::Run;
use crate::model::unread::Unread;

/// The past of a job. A job that was never settled or reaped has no history in Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Attempts spent: runs that ended in an error, a panic or a timeout.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// Runs that ended with a crash of their worker's process. They spend no attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crashes: u32,
    /// The first unsuccessful run and the last ones, oldest first: [`History::KEPT`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// The last run of a job that has finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<Run>,
    /// The builds that cannot read the payload. Set while the job has the payload that they refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<Box<Unread>>,
    /// True if the job was redriven since its last failure.
    #[serde(skip)]
    pub(crate) started_over: bool,
}

/// An unsuccessful run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub cause: FailureCause,
    pub error: String,
    #[serde(flatten)]
    pub run: Run,
    /// Unix ms.
    pub finished: i64,
    /// True if the job was redriven after this run: later runs are counted from 1 again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redriven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The handler returned an error that may be retried.
    Error,
    /// The handler said that no retry can help, or the payload could not be read.
    Permanent,
    Timeout,
    Panic,
    /// The worker's process died.
    Crash,
    /// The worker lives, but it did not extend its lease in time.
    LeaseLost,
    /// The worker received a stop request, and the handler did not end in time.
    Shutdown,
    /// A cause that only a later version knows.
    #[serde(other)]
    Unknown,
}

impl FailureCause {
    /// Whether a run that ended so counts against the retries of its job.
    pub fn spends_attempt(self) -> bool {
        !matches!(self, FailureCause::Crash | FailureCause::LeaseLost | FailureCause::Shutdown)
    }
}

/// Prefix of a history whose failures no longer count, because the job was redriven.
const STARTED_OVER: char = '*';

impl History {
    /// Number of failures kept.
    pub const KEPT: usize = 10;
    /// Bytes kept of the text of the first error and of the last two.
    pub const MAX_ERROR: usize = 2_000;
    /// Bytes kept of the text of the errors in between.
    pub const MAX_OLD_ERROR: usize = 200;

    /// The number of the attempt that would start now, counted from 1.
    pub fn next_attempt(&self) -> u32 {
        self.failed.saturating_add(1)
    }

    #[must_use]
    pub fn with_failure(mut self, failure: Failure) -> Self {
        self.crashes = self.crashes.saturating_add(u32::from(failure.cause == FailureCause::Crash));
        self.failed = self.failed.saturating_add(u32::from(failure.cause.spends_attempt()));
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
        self.started_over = false;
        self
    }

    /// `build` cannot read the job, because its payload is for the build `fits` or its record for a later release.
    #[must_use]
    pub fn unread_by(mut self, build: &str, fits: Option<String>) -> Self {
        self.unread = Some(Box::new(Unread::add(self.unread.map(|unread| *unread), build, fits)));
        self
    }

    /// The text that a script stores behind the time: `token crashes json`. The number of crashes is outside of
    /// the JSON because the claim script reads it.
    pub(crate) fn encode(&self, token: FencingToken) -> String {
        format!("{token} {}", self.encode_behind_token())
    }

    /// `crashes json`
    pub(crate) fn encode_behind_token(&self) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers always serialize");
        let mark = if self.started_over { STARTED_OVER.to_string() } else { String::new() };
        format!("{} {mark}{json}", self.crashes)
    }

    /// Reads an entry of `state`, `time token crashes json`. An empty entry is the empty history.
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
}

impl Failure {
    /// Truncates the error's text to [`History::MAX_ERROR`].
    pub fn new(cause: FailureCause, error: &str, run: Run, finished: i64) -> Self {
        let error = start_of(error, History::MAX_ERROR).to_owned();
        Failure { cause, error, run, finished, redriven: false }
    }
}

/// The first `bytes` bytes at most, cut between characters.
pub(crate) fn start_of(text: &str, bytes: usize) -> &str {
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
    use std::sync::Arc;

    use atode_config::traces::TraceContext;

    use super::*;
    use crate::model::id::WorkerId;
    use crate::model::run::WorkerRef;

    fn run(attempt: u32) -> Run {
        let worker = WorkerRef { id: WorkerId::new(1), host: "h".into(), pid: 7, build: "0.1.0+abc".into() };
        Run::new(attempt, 1, 2, Arc::new(worker))
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
    fn a_redriven_job_that_a_build_cannot_read_stays_redriven() {
        let failed = History::default().with_failure(Failure::new(FailureCause::Error, "no", run(1), 3));
        let redriven = format!("1700 42 0 *{}", serde_json::to_string(&failed).unwrap());
        let history = History::decode(&redriven).unwrap().1.unread_by("1", Some("2".to_owned()));
        let entry = format!("1800 {}", history.encode(FencingToken::new(43)));
        let (_, read) = History::decode(&entry).unwrap();
        assert!(read.started_over && read.failed == 0 && read.failures[0].redriven, "{read:?}");
        assert_eq!(read.unread.as_ref().unwrap().by, ["1"]);
        let completed = read.finished_with(run(1));
        let entry = format!("1900 {}", completed.encode(FencingToken::new(44)));
        assert!(History::decode(&entry).unwrap().1.last_run.is_some());
    }

    #[test]
    fn a_cause_of_a_later_version_costs_no_history() {
        let history = History::default().with_failure(Failure::new(FailureCause::Crash, "gone", run(1), 3));
        let entry = format!("1700 {}", history.encode(FencingToken::new(42)));
        let (_, read) = History::decode(&entry.replace("\"crash\"", "\"meltdown\"")).unwrap();
        assert_eq!((read.crashes, read.failures[0].cause), (1, FailureCause::Unknown));
    }

    #[test]
    fn a_run_keeps_its_trace_and_without_one_costs_no_byte() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let plain = run(1);
        let traced = Run { trace: TraceContext::parse(parent, None), ..plain.clone() };
        let failed = |run| History::default().with_failure(Failure::new(FailureCause::Error, "no", run, 3));
        let encode = |history: &History| format!("1700 {}", history.encode(FencingToken::new(42)));
        let entry = encode(&failed(traced.clone()));
        assert!(!encode(&failed(plain.clone())).contains("trace"));
        assert_eq!(History::decode(&entry).unwrap().1.failures[0].run, traced);
        let (_, read) = History::decode(&entry.replace(parent, "another form")).unwrap();
        assert_eq!(read.failures[0].run, plain);
    }

    #[test]
    fn the_first_and_the_last_two_of_many_long_errors_are_kept_whole() {
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
