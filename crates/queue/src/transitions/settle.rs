//! Settling jobs under their leases: complete, retry, bury or release.

use std::time::Duration;

use fred::types::{Key, Value};
use futures_util::future::join_all;

use crate::core::Core;
use crate::error::Error;
use crate::keys::{QueueKeys, Set};
use crate::model::settlement::{Outcome, Settled, Settlement, Verdict};
use crate::scripts::{BURY, COMPLETE, RELEASE, RETRY, Script};
use crate::wire::{self, KindPlaces};

type Answer = Result<Vec<Verdict>, Error>;

/// Settles jobs. Queues and transitions run at the same time; the calls of one transition run one after the
/// other, as many as their size requires.
pub(crate) async fn settle(core: &Core, mut settlements: Vec<Settlement>) -> Settled {
    settlements.sort_by(|a, b| (call(a), group(a)).cmp(&(call(b), group(b))));
    let alike = settlements.chunk_by(|a, b| call(a) == call(b));
    let answers = join_all(alike.map(|alike| settle_alike(core, alike))).await;
    let mut settled = Settled::default();
    let mut settlements = settlements.into_iter();
    for (n, answer) in answers.into_iter().flatten() {
        let chunk = settlements.by_ref().take(n);
        match answer {
            Ok(verdicts) => settled.answered.extend(chunk.zip(verdicts)),
            Err(error) => {
                settled.unanswered.extend(chunk);
                settled.error = Some(error);
            }
        }
    }
    settled
}

/// Settles jobs of one queue and one transition. Each answer comes with the number of jobs that it is for.
async fn settle_alike(core: &Core, mut rest: &[Settlement]) -> Vec<(usize, Answer)> {
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(core.outgoing().fitting(rest.iter().map(Settlement::weight)));
        let answer = settle_call(core, now).await;
        rest = later;
        match answer {
            Err(error) if error.is_silence() => {
                answers.push((now.len() + later.len(), Err(error)));
                break;
            }
            // A key of one kind may be broken: the other kinds are settled without it.
            Err(Error::Corrupt(_)) if now.iter().any(|other| other.lease.kind() != now[0].lease.kind()) => {
                let kinds = now.chunk_by(|a, b| a.lease.kind() == b.lease.kind());
                answers.extend(
                    join_all(kinds.map(async |kind| (kind.len(), settle_call(core, kind).await))).await,
                );
            }
            answer => answers.push((now.len(), answer)),
        }
    }
    answers
}

/// Settles jobs of one queue and one transition in one call.
async fn settle_call(core: &Core, jobs: &[Settlement]) -> Answer {
    let Some(first) = jobs.first() else { return Ok(Vec::new()) };
    let keys = core.keys().queue(first.lease.queue());
    let transition = Transition::of(first);
    let mut script_keys = wire::job_keys(&keys);
    let mut args = (transition.head)(&keys);
    wire::push_leases(&mut args, jobs.iter().map(|settlement| &settlement.lease.0));
    if let Outcome::Complete { .. } = first.outcome {
        for same in jobs.chunk_by(|a, b| group(a) == group(b)) {
            let (_, kind, retention) = group(&same[0]);
            script_keys.extend(transition.sets.iter().map(|set| Key::from(keys.set(kind, *set))));
            let kept = core.record_sizes().kept(first.lease.queue(), kind);
            args.extend([wire::count(same.len()), wire::millis(retention), wire::count(kept)]);
        }
    } else {
        let mut kinds = KindPlaces::default();
        args.extend(jobs.iter().map(|settlement| kinds.place(settlement.lease.kind())));
        script_keys.extend(kinds.keys(&keys, transition.sets));
    }
    args.extend(jobs.iter().filter_map(delay));
    args.extend(jobs.iter().filter_map(Settlement::state).cloned().map(Value::Bytes));
    let carried = jobs.iter().map(Settlement::weight).sum();
    core.call_with(carried, transition.script, script_keys, args).await?.verdicts(jobs.len())
}

/// The call of a settlement's script.
struct Transition {
    script: &'static Script,
    /// The arguments in front of the jobs.
    head: fn(&QueueKeys) -> Vec<Value>,
    /// The sets of each kind that the script changes.
    sets: &'static [Set],
}

impl Transition {
    fn of(settlement: &Settlement) -> Self {
        let finished: fn(&QueueKeys) -> Vec<Value> = |keys| vec![keys.finished_channel().into()];
        let back = &[Set::Lease, Set::Due, Set::Cancelled];
        match settlement.outcome {
            Outcome::Complete { .. } => {
                Transition { script: &COMPLETE, head: finished, sets: &[Set::Lease, Set::Done] }
            }
            Outcome::Retry { .. } => Transition { script: &RETRY, head: wire::back_or_cancelled, sets: back },
            Outcome::Bury { .. } => {
                Transition { script: &BURY, head: finished, sets: &[Set::Lease, Set::Dead] }
            }
            Outcome::Release { .. } => {
                Transition { script: &RELEASE, head: wire::back_or_cancelled, sets: back }
            }
        }
    }
}

/// Settlements with the same queue and transition share calls.
fn call(settlement: &Settlement) -> (&str, &'static str) {
    (settlement.lease.queue(), settlement.name())
}

/// Completed jobs of one group share kind and retention. Groups with a retention come first.
fn group(settlement: &Settlement) -> (bool, &str, Duration) {
    let retention = match settlement.outcome {
        Outcome::Complete { retention, .. } => retention,
        _ => Duration::ZERO,
    };
    (retention.is_zero(), settlement.lease.kind(), retention)
}

/// The delay of a job that is put back.
fn delay(settlement: &Settlement) -> Option<Value> {
    match settlement.outcome {
        Outcome::Retry { backoff, .. } => Some(wire::millis(backoff)),
        Outcome::Release { delay, .. } => Some(wire::millis_or(delay, wire::KEEP_DUE_TIME)),
        Outcome::Complete { .. } | Outcome::Bury { .. } => None,
    }
}
