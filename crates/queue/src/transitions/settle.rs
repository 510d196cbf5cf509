//! Settling jobs under their leases: complete, retry, bury or release.

use std::sync::Arc;
use std::time::Duration;

use fred::types::{Key, Value};
use futures_util::future::join_all;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::settlement::{Outcome, Settled, Settlement, Verdict};
use crate::model::state::State;
use crate::scripts::{BURY, COMPLETE, RELEASE, RETRY, Script};
use crate::wire;

type Answer = Result<Vec<Verdict>, Error>;

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
async fn settle_alike(core: &Core, alike: &[Settlement]) -> Vec<(usize, Answer)> {
    let mut answers = Vec::new();
    let mut left = alike.len();
    for now in core.outgoing.calls(alike, Settlement::weight) {
        match settle_call(core, now).await {
            Err(error) if error.is_silence() => {
                answers.push((left, Err(error)));
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
        left -= now.len();
    }
    answers
}

/// Settles jobs of one queue and one transition in one call.
async fn settle_call(core: &Core, jobs: &[Settlement]) -> Answer {
    let Some(first) = jobs.first() else { return Ok(Vec::new()) };
    let (queue, leases) = (first.lease.queue(), jobs.iter().map(|settlement| &settlement.lease));
    let keys = core.keys.queue(queue);
    let (script, sets): (&Script, &[Set]) = match first.outcome {
        Outcome::Complete { .. } => (&COMPLETE, &[Set::Lease, Set::Done]),
        Outcome::Retry { .. } => (&RETRY, &BACK_OR_CANCELLED),
        Outcome::Bury(_) => (&BURY, &[Set::Lease, Set::Dead]),
        Outcome::Release { .. } => (&RELEASE, &BACK_OR_CANCELLED),
    };
    let mut args = match first.outcome {
        Outcome::Complete { .. } | Outcome::Bury(_) => vec![keys.finished_channel().into()],
        Outcome::Retry { .. } | Outcome::Release { .. } => wire::back_or_cancelled(&keys),
    };
    wire::push_leases(&mut args, leases.clone().map(|lease| &**lease));
    let mut kinds = Vec::new();
    if let Outcome::Complete { .. } = first.outcome {
        for same in jobs.chunk_by(|a, b| group(a) == group(b)) {
            let (_, kind, retention) = group(&same[0]);
            let kept = core.record_sizes.kept(queue, kind);
            args.extend([wire::count(same.len()), wire::millis(retention), wire::count(kept)]);
            kinds.push(kind);
        }
    } else {
        let (distinct, places) = wire::numbered(leases.map(|lease| lease.kind()));
        args.extend(places);
        kinds = distinct;
    }
    args.extend(jobs.iter().filter_map(delay));
    args.extend(jobs.iter().filter_map(|settlement| settlement.state.clone()).map(Value::Bytes));
    let mut script_keys = wire::keys(&keys, wire::job_keys(&keys), &kinds, sets);
    if let Outcome::Bury(_) = first.outcome {
        script_keys.extend(kinds.iter().map(|kind| Key::from(keys.failures(kind))));
        wire::push_causes(&mut args, jobs.iter().map(|settlement| settlement.outcome.death()));
    }
    let carried = jobs.iter().map(Settlement::weight).sum();
    let reply = core.call_with(&core.connection, carried, script, script_keys, args).await?;
    let verdicts = reply.verdicts(jobs.len())?;
    count_ended(core, queue, jobs, &verdicts);
    Ok(verdicts)
}

fn count_ended(core: &Core, queue: &str, jobs: &[Settlement], mut verdicts: &[Verdict]) {
    for same in jobs.chunk_by(|a, b| a.lease.kind() == b.lease.kind()) {
        let (answers, later) = verdicts.split_at(same.len());
        verdicts = later;
        for state in [State::Completed, State::Dead, State::Cancelled] {
            let ended =
                same.iter().zip(answers).filter(|(job, verdict)| final_state(job, **verdict) == Some(state));
            core.counters.finished(queue, same[0].lease.kind(), state, ended.count());
        }
        let failed = same.iter().zip(answers).filter(|(job, verdict)| is_failed(job, **verdict));
        core.counters.failed(queue, same[0].lease.kind(), failed.count());
    }
}

/// The final state that a settlement led to. `Already` answers a repeated call, whose first answer was lost.
fn final_state(settlement: &Settlement, verdict: Verdict) -> Option<State> {
    match (&settlement.outcome, verdict) {
        (_, Verdict::Stale) => None,
        (Outcome::Complete { .. }, _) => Some(State::Completed),
        (Outcome::Bury(_), _) => Some(State::Dead),
        (Outcome::Retry { .. } | Outcome::Release { .. }, Verdict::CancelRequested) => Some(State::Cancelled),
        (Outcome::Retry { .. } | Outcome::Release { .. }, _) => None,
    }
}

/// True if the attempt failed and the job will be retried.
fn is_failed(settlement: &Settlement, verdict: Verdict) -> bool {
    matches!((&settlement.outcome, verdict), (Outcome::Retry { .. }, Verdict::Done | Verdict::Already))
}

/// The sets of a kind that retry and release change.
const BACK_OR_CANCELLED: [Set; 3] = [Set::Lease, Set::Due, Set::Cancelled];

/// Settlements with the same queue and transition share calls.
fn call(settlement: &Settlement) -> (&str, &'static str) {
    (settlement.lease.queue(), settlement.name())
}

/// Completed jobs of one group share kind and retention. Groups with a retention come first.
fn group(settlement: &Settlement) -> (bool, &Arc<str>, Duration) {
    let retention = match settlement.outcome {
        Outcome::Complete { retention } => retention,
        _ => Duration::ZERO,
    };
    (retention.is_zero(), settlement.lease.kind(), retention)
}

/// The delay of a job that is put back.
fn delay(settlement: &Settlement) -> Option<Value> {
    match settlement.outcome {
        Outcome::Retry { backoff } => Some(wire::millis(backoff)),
        Outcome::Release { delay } => Some(wire::millis_or(delay, wire::KEEP_DUE_TIME)),
        Outcome::Complete { .. } | Outcome::Bury(_) => None,
    }
}
