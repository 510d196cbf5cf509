//! Recovering jobs whose lease ran out.

use std::time::Duration;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::history::History;
use crate::model::lease::{ExpiredLease, FencingToken};
use crate::model::settlement::{LEASE_WEIGHT, Verdict};
use crate::scripts::REAP;
use crate::wire::{self, KindPlaces};

/// An expired job and its next state.
#[derive(Debug)]
pub struct Reaped {
    pub lease: ExpiredLease,
    pub history: History,
    /// The delay of the next run; unset to bury the job.
    pub due_after: Option<Duration>,
}

/// Recovers expired jobs of a queue, unless their holder has extended or settled them meanwhile.
pub(crate) async fn reap(core: &Core, queue: &str, jobs: &[Reaped]) -> Result<Vec<Verdict>, Error> {
    let keys = core.keys().queue(queue);
    let mut verdicts = Vec::with_capacity(jobs.len());
    let states: Vec<String> = jobs.iter().map(|job| job.history.encode(FencingToken::REAPED)).collect();
    let (mut jobs, mut states) = (jobs, &*states);
    while !jobs.is_empty() {
        let weights = states.iter().map(|state| state.len() + LEASE_WEIGHT);
        let fitting = core.outgoing().fitting(weights.clone());
        let carried = weights.take(fitting).sum();
        let (chunk, chunk_states) = (&jobs[..fitting], &states[..fitting]);
        (jobs, states) = (&jobs[fitting..], &states[fitting..]);
        let mut kinds = KindPlaces::default();
        let mut args = wire::back_or_cancelled(&keys);
        wire::push_leases(&mut args, chunk.iter().map(|job| &job.lease.0));
        args.extend(chunk.iter().map(|job| kinds.place(job.lease.kind())));
        args.extend(chunk.iter().map(|job| wire::millis_or(job.due_after, wire::BURY)));
        args.extend(chunk_states.iter().map(Into::into));
        let mut script_keys = wire::job_keys(&keys);
        script_keys.extend(kinds.keys(&keys, &[Set::Lease, Set::Due, Set::Dead, Set::Cancelled]));
        let reply = core.call_with(carried, &REAP, script_keys, args).await?;
        verdicts.extend(reply.verdicts(chunk.len())?);
    }
    Ok(verdicts)
}
