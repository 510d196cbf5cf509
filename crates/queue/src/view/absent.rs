//! Texts about names that lead nowhere. The API and the command line use the same words.

use jiff::Timestamp;

use crate::bulk::store::MAX_ENDED_BULKS;
use crate::model::id::{BulkId, JobId, WorkerId};
use crate::retention::MAX_FINISHED;

/// How far, in ms, the clock that made an id may be ahead of ours.
const CLOCK_TOLERANCE: i64 = 60_000;

/// No queue has this job. The text says what the id itself reveals; `now` is Redis' clock, Unix ms.
pub fn job(id: JobId, now: i64) -> String {
    let made = id.made_at().filter(|at| *at <= now + CLOCK_TOLERANCE);
    match made.and_then(|at| Timestamp::from_millisecond(at).ok()) {
        Some(made) => format!(
            "there is no job {id}. The id was made at {made:.3}; a finished job is kept for its kind's retention \
             (1 hour unless the kind sets another), at most {MAX_FINISHED} jobs per kind"
        ),
        None => {
            format!("there is no job {id}; the id was not made here, or Redis' clock has been set back")
        }
    }
}

/// The job was there at the start of the operation.
pub fn removed_job(id: JobId) -> String {
    format!("there is no job {id} anymore")
}

pub fn queue(name: &str) -> String {
    format!("there is no queue {name:?}; GET /v1/queues and `atode queues` list the queues")
}

pub fn worker(id: WorkerId) -> String {
    format!("there is no live worker {id}; GET /v1/workers and `atode workers` list the live ones")
}

pub fn bulk(id: BulkId) -> String {
    format!(
        "there is no bulk operation {id}; those that have ended are kept for 7 days, {MAX_ENDED_BULKS} at most. GET \
         /v1/bulk and `atode bulk list` list them"
    )
}
