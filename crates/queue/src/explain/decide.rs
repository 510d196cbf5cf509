//! Finds the reason why a job is not running in the facts about it.

use jiff::Timestamp;

use crate::explain::checks::{checks, waits_for_build, waits_for_turn};
use crate::explain::explanation::{Check, CheckName, CheckResult, Explanation, Reason};
use crate::explain::facts::{Facts, JobPlace};
use crate::explain::words;
use crate::model::crashes;
use crate::model::history::FailureCause;
use crate::model::id::WorkerId;
use crate::model::unread::Unread;

/// A retried or recovered job was last settled at most this many ms after its failure. The settlement of a snooze comes
/// a whole run later.
const SETTLED_WITH_FAILURE: i64 = 2_000;

impl Facts {
    /// The reason why the job is not running, in words, and the checks of a claim.
    pub fn explain(&self) -> Explanation {
        let (reason, checks) = decide(self);
        let (sentence, what_to_do) = words::of(self, reason, &checks);
        Explanation {
            id: self.id,
            kind: self.kind.clone(),
            queue: self.queue.clone(),
            state: self.state(),
            reason,
            sentence,
            what_to_do,
            runs_at_earliest: runs_at_earliest(self, reason),
            checks,
        }
    }

    /// True unless the worker that has the job's lease is gone, or the lease has run out.
    pub(crate) fn is_held(&self, deadline: i64, holder: Option<WorkerId>) -> bool {
        let is_alive =
            |id| id == WorkerId::UNKNOWN || self.workers.iter().any(|worker| worker.worker.id == id);
        deadline > self.now && holder.is_none_or(is_alive)
    }
}

fn decide(facts: &Facts) -> (Reason, Vec<Check>) {
    let reason = match &facts.place {
        JobPlace::Waiting { due, .. } => {
            let checks = checks(facts, *due);
            return (of_waiting(facts, *due, &checks), checks);
        }
        JobPlace::Active { cancel_requested: true, .. } => Reason::CancelRequested,
        JobPlace::Active { deadline, run, .. } => {
            let holder = run.as_ref().map(|run| run.worker.id);
            if facts.is_held(*deadline, holder) { Reason::Running } else { Reason::Settling }
        }
        JobPlace::Completed { .. } => Reason::Completed,
        JobPlace::Cancelled { .. } => Reason::Cancelled,
        JobPlace::Dead => of_dead(facts),
    };
    (reason, Vec::new())
}

/// The first check that has not passed is the reason.
fn of_waiting(facts: &Facts, due: i64, checks: &[Check]) -> Reason {
    let was_put_off = was_put_off(facts, due);
    let is_open = |check: &&Check| {
        check.result != CheckResult::Passed && !(was_put_off && check.name == CheckName::Due)
    };
    match checks.iter().find(is_open).map(|check| check.name) {
        Some(CheckName::Due) if backs_off(facts) => Reason::BackingOff,
        Some(CheckName::Due) => Reason::NotDue,
        Some(CheckName::QueueGivesOutJobs) => Reason::QueuePaused,
        Some(CheckName::WorkerKnowsKind) => Reason::NoWorkerKnowsKind,
        Some(CheckName::WorkerClaims) => Reason::WorkersQuiet,
        Some(CheckName::SlotFree) => Reason::SlotsFull,
        Some(CheckName::RedisTakesWrites) => Reason::RedisFull,
        Some(CheckName::TurnAfterCrashes) => Reason::HeldAfterCrashes,
        Some(CheckName::WorkerReadsPayload) => Reason::BuildTooOld,
        None => Reason::DueNow,
    }
}

/// True if the due time says nothing, because the job is put off again each time until something else changes: a
/// suspect until its turn comes, a job that no build can read until another build comes.
fn was_put_off(facts: &Facts, due: i64) -> bool {
    let was_handed_back = |at| due - at <= Unread::LONGEST_DELAY.as_millis() as i64 && !backs_off(facts);
    waits_for_turn(facts) && due - facts.now <= crashes::PUT_OFF.as_millis() as i64
        || waits_for_build(facts) && facts.settled_at.is_some_and(was_handed_back)
}

/// True if the due time comes from the backoff after a failure or a crash, and not from a request or a snooze.
fn backs_off(facts: &Facts) -> bool {
    let (history, settled_at) = (&facts.history, facts.settled_at.unwrap_or_default());
    let last = history.failures.last().filter(|_| !history.started_over);
    last.is_some_and(|last| settled_at - last.finished <= SETTLED_WITH_FAILURE)
}

/// The history tells how a job died: its last failure has the cause.
fn of_dead(facts: &Facts) -> Reason {
    match facts.history.failures.last().map(|last| last.cause) {
        Some(FailureCause::Permanent) => Reason::Permanent,
        Some(FailureCause::Crash) if facts.history.has_crashed_too_often() => Reason::Crashed5Times,
        _ => Reason::RetriesSpent,
    }
}

fn runs_at_earliest(facts: &Facts, reason: Reason) -> Option<Timestamp> {
    let at = match facts.place {
        JobPlace::Waiting { due, .. } => due,
        JobPlace::Active { deadline, .. } if reason == Reason::Settling => deadline,
        _ => return None,
    };
    Timestamp::from_millisecond(at).ok().filter(|_| at > facts.now)
}

#[cfg(test)]
mod tests;
