//! Jobs whose payload this build cannot read, because it is for another build: they go back, unspent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use atode_queue::Error;

use crate::claimed_job::ClaimedJob;
use crate::worker::Worker;

/// Time between two lines about the same kind.
const WINDOW: Duration = Duration::from_secs(60);
/// The shortest time until such a job is offered again.
const FIRST_DELAY: Duration = Duration::from_secs(5);
/// Each further job of a minute waits this much longer, so that many of them do not keep Redis and workers busy.
const DELAY_PER_JOB: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5 * 60);

/// Jobs handed back since the last line about their kind.
#[derive(Default)]
pub(crate) struct OtherBuilds(Mutex<HashMap<Arc<str>, (Instant, u32)>>);

/// The time until a job is offered again whose payload this build refuses; nothing if the payload is simply wrong. It is
/// for another build if it fits a schema that another build has published.
pub(crate) async fn delay(worker: &Worker, job: &ClaimedJob, payload: &str) -> Option<Duration> {
    let kind = &job.kind;
    let other_build = || {
        let entry = worker.catalogue.entry(&kind.name)?;
        entry.other_build_for(kind, payload).map(ToOwned::to_owned)
    };
    let mut build = other_build();
    // A schema that was published before this job was stored may not have been read yet.
    if build.is_none() && worker.catalogue.read_at().is_none_or(|at| at < job.run.started) {
        match worker.catalogue.look_at(&worker.client, std::slice::from_ref(&kind.name)).await {
            Ok(()) => build = other_build(),
            // The catalogue is damaged, which must not keep wrong payloads waiting.
            Err(Error::Corrupt(_)) => {}
            Err(_) => return Some(FIRST_DELAY),
        }
    }
    let build = build?;
    let (delay, earlier) = worker.other_builds.count(&kind.name);
    if let Some(earlier) = earlier {
        tracing::warn!(
            kind = %kind.name, job.id = %job.id, other_build = %build, own_build = %worker.me.build, in_the_last_minute = earlier,
            "the payload of this job is for another build, and this one cannot read it; handing such jobs back. If this worker is of the older build, replace it"
        );
    }
    Some(delay)
}

impl OtherBuilds {
    /// Counts a job, and returns its delay. If a line about its kind is due, also the number of jobs in the minute before.
    fn count(&self, kind: &Arc<str>) -> (Duration, Option<u32>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.get(kind).copied();
        let (since, jobs, earlier) = match known {
            Some((since, jobs)) if since.elapsed() < WINDOW => (since, jobs, None),
            earlier => (Instant::now(), 0, Some(earlier.map_or(0, |(_, jobs)| jobs))),
        };
        counts.insert(kind.clone(), (since, jobs + 1));
        ((FIRST_DELAY + DELAY_PER_JOB * jobs).min(LONGEST_DELAY), earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_jobs_wait_longer_and_one_line_per_minute_counts_them() {
        let (counts, kind) = (OtherBuilds::default(), Arc::from("mail:send"));
        assert_eq!(counts.count(&kind), (FIRST_DELAY, Some(0)));
        assert_eq!(counts.count(&kind), (FIRST_DELAY + DELAY_PER_JOB, None));
        for _ in 0..10_000 {
            assert_eq!(counts.count(&kind).1, None);
        }
        assert_eq!(counts.count(&kind), (LONGEST_DELAY, None));
        assert_eq!(counts.count(&"mail:receive".into()), (FIRST_DELAY, Some(0)));
    }
}
