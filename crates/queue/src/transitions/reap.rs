//! Recovering jobs whose lease ran out.

use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::history::History;
use crate::model::lease::{ExpiredLease, FencingToken};
use crate::model::settlement::{LEASE_WEIGHT, Verdict};
use crate::scripts::REAP;
use crate::wire;

/// An expired job and its next state.
#[derive(Debug)]
pub struct Reaped {
    pub lease: ExpiredLease,
    pub history: History,
    /// The delay of the next run; unset to bury the job.
    pub due_after: Option<Duration>,
}

impl Client {
    /// Recovers expired jobs of a queue, unless their holder has extended or settled them meanwhile.
    pub async fn reap(&self, queue: &str, jobs: &[Reaped]) -> Result<Vec<Verdict>, Error> {
        let core = &self.0.core;
        let keys = core.keys.queue(queue);
        let state = |job: &Reaped| job.history.encode(FencingToken::REAPED);
        let jobs: Vec<(&Reaped, String)> = jobs.iter().map(|job| (job, state(job))).collect();
        let weight = |(_, state): &(&Reaped, String)| state.len() + LEASE_WEIGHT;
        let mut verdicts = Vec::with_capacity(jobs.len());
        for call in core.outgoing.calls(&jobs, weight) {
            let (kinds, places) = wire::numbered(call.iter().map(|(job, _)| job.lease.kind()));
            let mut args = wire::back_or_cancelled(&keys);
            wire::push_leases(&mut args, call.iter().map(|(job, _)| &job.lease.0));
            args.extend(places);
            args.extend(call.iter().map(|(job, _)| wire::millis_or(job.due_after, wire::BURY)));
            args.extend(call.iter().map(|(_, state)| state.into()));
            let sets = [Set::Lease, Set::Due, Set::Dead, Set::Cancelled];
            let script_keys = wire::keys(&keys, wire::job_keys(&keys), kinds, &sets);
            let carried = call.iter().map(weight).sum();
            let reply = core.call_with(carried, &REAP, script_keys, args).await?;
            verdicts.extend(reply.verdicts(call.len())?);
        }
        Ok(verdicts)
    }
}
