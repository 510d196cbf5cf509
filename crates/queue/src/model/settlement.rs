//! The results of runs, to be written under their leases.

use std::time::Duration;

use bytes::Bytes;

use crate::error::Error;
use crate::model::death::Death;
use crate::model::history::History;
use crate::model::lease::Lease;

/// Approximate bytes of an id and a token in a call.
pub(crate) const LEASE_WEIGHT: usize = 64;

/// The result of a run, to be written under its lease.
#[derive(Debug)]
#[must_use = "written by `Client::settle`"]
pub struct Settlement {
    pub(crate) lease: Lease,
    pub(crate) outcome: Outcome,
    /// The job's history as stored; empty when the job was not started. Unset when the job is removed at once. A
    /// released job keeps the one that it has, unless it is cancelled, or this one begins with `!`.
    pub(crate) state: Option<Bytes>,
}

/// The transition of a settled job.
#[derive(Debug)]
pub(crate) enum Outcome {
    Complete {
        retention: Duration,
    },
    Retry {
        backoff: Duration,
    },
    /// The death's cause, by which dead jobs are grouped.
    Bury(Option<Death>),
    /// The job keeps its due time if there is no delay.
    Release {
        delay: Option<Duration>,
    },
}

impl Outcome {
    pub(crate) fn death(&self) -> Option<&Death> {
        if let Outcome::Bury(death) = self { death.as_ref() } else { None }
    }
}

/// The answer of Redis to a settlement or an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// Done, and a cancellation was requested. After `extend` the job is still leased and should be cancelled;
    /// after `retry` or `release` it is now `cancelled`.
    CancelRequested,
    /// The same settlement was written before, and its answer was lost.
    Already,
    /// The lease ran out and the job went on without its holder. Nothing was changed.
    Stale,
}

/// The result of [`Client::settle`](crate::Client::settle).
#[derive(Debug, Default)]
pub struct Settled {
    pub answered: Vec<(Settlement, Verdict)>,
    /// Settlements without an answer: safe to send again.
    pub unanswered: Vec<Settlement>,
    /// The last error, where some have no answer.
    pub error: Option<Error>,
}

#[expect(clippy::needless_pass_by_value, reason = "a settlement uses its job's history up")]
impl Lease {
    pub fn complete(self, retention: Duration, history: History) -> Settlement {
        let state = (!retention.is_zero()).then(|| self.state(&history));
        Settlement { lease: self, outcome: Outcome::Complete { retention }, state }
    }

    pub fn retry(self, backoff: Duration, history: History) -> Settlement {
        let state = Some(self.state(&history));
        Settlement { lease: self, outcome: Outcome::Retry { backoff }, state }
    }

    pub fn bury(self, history: History) -> Settlement {
        let death = Death::of(self.kind(), &history);
        let state = Some(Death::encode(death.as_ref(), &history, self.token()).into());
        Settlement { lease: self, outcome: Outcome::Bury(death), state }
    }

    /// Hands back a job that was not started, without spending an attempt. It is due after `delay`.
    pub fn release(self, delay: Duration) -> Settlement {
        Settlement {
            lease: self,
            outcome: Outcome::Release { delay: Some(delay) },
            state: Some(Bytes::new()),
        }
    }

    /// Hands back a job whose run was interrupted, without spending an attempt. It is due after `delay`. If a
    /// cancellation was requested, the job ends here, and `history` names its last run
    /// ([`History::finished_with`]).
    pub fn release_run(self, delay: Duration, history: History) -> Settlement {
        let state = Some(self.state(&history));
        Settlement { lease: self, outcome: Outcome::Release { delay: Some(delay) }, state }
    }

    /// Hands back a job that this build cannot read, without spending an attempt. It is due after `delay`. `history`
    /// says so ([`History::unread_by`]).
    pub fn release_unread(self, delay: Duration, history: History) -> Settlement {
        let state = [b"!", &*self.state(&history)].concat().into();
        Settlement { lease: self, outcome: Outcome::Release { delay: Some(delay) }, state: Some(state) }
    }

    /// Hands back a job that was not started, without spending an attempt. It keeps its due time, and so its
    /// place in the backlog.
    pub fn hand_back(self) -> Settlement {
        Settlement { lease: self, outcome: Outcome::Release { delay: None }, state: Some(Bytes::new()) }
    }

    /// The job's history as stored. Cheap to clone: a settlement may be sent more than once.
    fn state(&self, history: &History) -> Bytes {
        history.encode(self.token()).into()
    }
}

impl Settlement {
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The name of the transition, for logs and counters.
    pub fn name(&self) -> &'static str {
        match self.outcome {
            Outcome::Complete { .. } => "complete",
            Outcome::Retry { .. } => "retry",
            Outcome::Bury(_) => "bury",
            Outcome::Release { .. } => "release",
        }
    }

    /// Approximate bytes of the settlement in a call.
    pub(crate) fn weight(&self) -> usize {
        let cause = self.outcome.death().map_or(0, Death::weight);
        self.state.as_ref().map_or(0, Bytes::len) + cause + LEASE_WEIGHT
    }
}
