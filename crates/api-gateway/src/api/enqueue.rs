//! Stores one job and answers with it: the step that the API, the old service's call and the console share.

use actix_web::http::StatusCode;
use atode_config::traces::Trace;
use atode_jobs::{Prepared, end_enqueue_span, enqueue_span};
use atode_queue::{Enqueued, Error, JobId, JobView};

use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::queue_errors;

/// Stores the job, which carries `trace` or its own span in it. The status is 201, or 200 if an earlier request with
/// the same idempotency key stored it.
pub(crate) async fn store(
    gateway: &Gateway,
    prepared: Prepared<'_>,
    trace: Option<Trace>,
) -> Result<(StatusCode, JobView), Problem> {
    let (job, span) = enqueue_span(prepared.job, trace);
    let prepared = Prepared { job, ..prepared };
    let waits_for_the_disk = prepared.job.durability.is_some();
    let stored = async {
        let enqueued = gateway.client.enqueue(prepared.job.clone()).await;
        end_enqueue_span(span, &enqueued);
        let duplicate = match enqueued {
            Ok(Enqueued::Duplicate(id)) => find_duplicate(gateway, &prepared, id).await,
            _ => Ok(None),
        };
        answer(gateway, prepared, enqueued, duplicate)
    };
    if waits_for_the_disk { Box::pin(stored).await } else { in_time(stored, queue_errors::of_enqueue).await }
}

/// The job that an earlier request with the same idempotency key stored, if it is still kept.
pub(crate) async fn find_duplicate(
    gateway: &Gateway,
    prepared: &Prepared<'_>,
    id: JobId,
) -> Result<Option<JobView>, Problem> {
    let found = gateway.client.job(std::slice::from_ref(&prepared.job.queue), id).await;
    found.map_err(|error| queue_errors::of_duplicate(id, error))
}

/// The answer for a job, given the answer of Redis and, for a duplicate, the result of [`find_duplicate`].
pub(crate) fn answer(
    gateway: &Gateway,
    prepared: Prepared<'_>,
    enqueued: Result<Enqueued, Error>,
    duplicate: Result<Option<JobView>, Problem>,
) -> Result<(StatusCode, JobView), Problem> {
    match enqueued.map_err(queue_errors::of_enqueue)? {
        Enqueued::Created { at } => {
            gateway.live_workers.check(&gateway.client, &prepared.job.queue, &prepared.job.kind);
            Ok((StatusCode::CREATED, prepared.stored(at)))
        }
        Enqueued::Duplicate(id) => {
            let job = duplicate?.map_or_else(|| prepared.removed(id), |job| gateway.rules.with_defaults(job));
            Ok((StatusCode::OK, job))
        }
        Enqueued::Conflict(id) => Err(key_reused(id)),
    }
}

/// The refusal of a job whose idempotency key belongs to job `id`.
pub(crate) fn key_reused(id: JobId) -> Problem {
    Problem::new(Slug::IdempotencyKeyReused, atode_jobs::key_reused(id))
}
