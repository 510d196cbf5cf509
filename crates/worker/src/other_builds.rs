//! Jobs whose payload this build cannot read, because it is for another build: they go back, unspent.

use std::time::Duration;

use atode_queue::Error;

use crate::claimed_job::ClaimedJob;
use crate::handed_back::FIRST_DELAY;
use crate::worker::Worker;

/// A job to be handed back.
pub(crate) struct HandBack {
    /// The time until it is offered again.
    pub(crate) delay: Duration,
    /// The build that the payload is for; unset if the catalogue could not be read.
    pub(crate) build: Option<String>,
}

/// The way back for a job whose payload this build refuses; nothing if the payload is simply wrong. It is for another
/// build if it fits a schema that another build has published.
pub(crate) async fn hand_back(worker: &Worker, job: &ClaimedJob, payload: &str) -> Option<HandBack> {
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
            Err(_) => return Some(HandBack { delay: FIRST_DELAY, build: None }),
        }
    }
    let build = build?;
    let (delay, earlier) = worker.handed_back.count(&kind.name);
    if let Some(earlier) = earlier {
        tracing::warn!(
            kind = %kind.name, job.id = %job.id, other_build = %build, own_build = %worker.me.build, in_the_last_minute = earlier,
            "the payload of this job is for another build, and this one cannot read it; handing such jobs back. If this worker is of the older build, replace it"
        );
    }
    Some(HandBack { delay, build: Some(build) })
}
