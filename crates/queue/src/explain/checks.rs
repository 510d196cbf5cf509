//! The checks that a waiting job has to pass before it runs, in the order in which a claim makes them.
//!
//! A claim loop of a worker sleeps until the due time, and a paused queue wakes no worker. Then each worker looks at
//! itself: the kinds that it names, whether it is quiet, its free slots. Redis has to take the call, the script of the
//! claim puts suspects off, and a worker hands back a payload that only another build can read. A new check belongs
//! here, with its name in `explanation.rs` and its reason in `decide.rs`.

use crate::explain::explanation::{Check, CheckName, CheckResult};
use crate::explain::facts::Facts;
use crate::explain::time_span::time_span;
use crate::explain::words::{count, refusal};

/// All checks of a waiting job that is due at `due`, Unix ms.
pub(crate) fn checks(facts: &Facts, due: i64) -> Vec<Check> {
    CheckName::ALL.iter().map(|name| check(facts, due, *name)).collect()
}

/// True if the job is a suspect, and each worker that would take it runs another one.
pub(crate) fn waits_for_turn(facts: &Facts) -> bool {
    let runs_suspect = |worker| facts.leased_to(worker).any(|leased| leased.suspects > 0);
    facts.history.is_suspect() && facts.claiming().count() > 0 && facts.claiming().all(runs_suspect)
}

/// True if each worker that would take the job is of a build that has handed it back, because it cannot read it.
pub(crate) fn waits_for_build(facts: &Facts) -> bool {
    facts.claiming().count() > 0 && facts.claiming().all(|worker| facts.is_unread_by(worker))
}

fn check(facts: &Facts, due: i64, name: CheckName) -> Check {
    let (now, live) = (facts.now, facts.workers.len());
    let (serving, claiming) = (facts.serving().count(), facts.claiming().count());
    let no_worker = || "there is no such worker".to_owned();
    let (result, detail) = match name {
        CheckName::Due if due > now => (CheckResult::WaitsForTime, format!("in {}", time_span(due - now))),
        CheckName::Due => (CheckResult::Passed, format!("for {}", time_span(now - due))),
        CheckName::QueueGivesOutJobs => match facts.paused_since {
            Some(since) => (CheckResult::Failed, format!("paused for {}", time_span(now - since))),
            None => (CheckResult::Passed, facts.queue.clone()),
        },
        CheckName::WorkerKnowsKind => {
            (passed(serving > 0), format!("{serving} of {}", count(live, "live worker")))
        }
        CheckName::WorkerClaims if serving == 0 => (CheckResult::Failed, no_worker()),
        CheckName::WorkerClaims => (passed(claiming > 0), format!("{claiming} of {serving}")),
        CheckName::SlotFree if claiming == 0 => (CheckResult::Failed, no_worker()),
        CheckName::SlotFree => {
            let (free, all) = facts.slots();
            (passed(free > 0), format!("{free} of {all}"))
        }
        CheckName::RedisTakesWrites => match facts.refusal {
            Some(code) => (CheckResult::Failed, refusal(code).0.to_owned()),
            None => (CheckResult::Passed, "it accepts claims".to_owned()),
        },
        CheckName::TurnAfterCrashes => {
            let crashes = count(facts.history.crashes as usize, "crash");
            let waits = waits_for_turn(facts);
            let turn = if waits { ", and each worker runs another such job" } else { "" };
            (passed(!waits), format!("{crashes}{turn}"))
        }
        CheckName::WorkerReadsPayload => {
            let unread = facts.claiming().filter(|worker| facts.is_unread_by(worker)).count();
            let detail = match &facts.history.unread {
                Some(_) => format!("{} of {claiming}", claiming - unread),
                None => "no build has handed it back".to_owned(),
            };
            (passed(!waits_for_build(facts)), detail)
        }
    };
    Check { name, result, detail }
}

fn passed(is_passed: bool) -> CheckResult {
    if is_passed { CheckResult::Passed } else { CheckResult::Failed }
}
