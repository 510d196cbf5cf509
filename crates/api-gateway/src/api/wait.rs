//! `GET /v1/jobs/{id}?wait=30s`, and `Prefer: wait=30` of `POST /v1/jobs`: answer when the job has finished.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use atode_queue::{JobView, State};
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::api::lookup::unknown_job;
use crate::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;

/// Longer waits are cut to this, because proxies give up after 60 s.
const MAX_WAIT: Duration = Duration::from_secs(55);

/// Interval at which a job is polled in case a message was lost. With many waits, each polls less often.
const SAFETY_POLL: Duration = Duration::from_secs(2);

/// Number of waits by which the poll interval grows by one [`SAFETY_POLL`].
const WAITS_PER_POLL: usize = 250;

pub(crate) fn parse_wait(text: &str) -> Result<Duration, Problem> {
    let wait = text.parse::<SignedDuration>().ok().and_then(|wait| Duration::try_from(wait).ok());
    wait.map(|wait| wait.min(MAX_WAIT)).ok_or_else(|| {
        Problem::malformed("wait is a duration such as `?wait=30s`; a longer wait than 55s is cut to 55s")
    })
}

/// The seconds of `Prefer: wait=30` (RFC 7240). A preference that cannot be read is ignored, as all preferences are that
/// a server does not know.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    let seconds = preferences.find_map(|preference| {
        let (name, seconds) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| seconds.trim().trim_matches('"'))
    })?;
    Some(Duration::from_secs(seconds.parse().ok()?).min(MAX_WAIT))
}

/// The job when it has finished, or its current state when the time is over or the gateway stops. The future is dropped
/// if the client disconnects.
pub(crate) async fn until_finished(
    gateway: &Gateway,
    mut job: JobView,
    wait: Duration,
) -> Result<JobView, Problem> {
    let _permit = gateway.waits.try_acquire().map_err(|_| {
        let detail = "too many requests are waiting for jobs: ask without ?wait=, or try again later";
        Problem::new(Slug::Unavailable, detail)
    })?;
    let end = Instant::now() + wait;
    let watch = gateway.client.watch_finish(&job.queue, job.id);
    while !job.is_finished() && Instant::now() < end && !gateway.stopping.is_cancelled() {
        let poll = SAFETY_POLL * (1 + gateway.waiting() / WAITS_PER_POLL) as u32;
        tokio::select! {
            () = watch.changed() => {}
            () = tokio::time::sleep_until(end.min(Instant::now() + poll)) => {}
            () = gateway.stopping.cancelled() => {}
        }
        match gateway.client.reread(&job).await? {
            Some(found) => job = found,
            // Completed and removed at once, because its kind has no retention. An active job cannot be deleted.
            None if job.state == Some(State::Active) || has_no_retention(gateway, &job.kind) => {
                return Ok(JobView { state: None, ..job });
            }
            None => return Err(unknown_job(gateway, job.id)),
        }
    }
    Ok(job)
}

fn has_no_retention(gateway: &Gateway, kind: &str) -> bool {
    gateway.rules.find(kind).is_some_and(|kind| kind.retention().is_zero())
}
