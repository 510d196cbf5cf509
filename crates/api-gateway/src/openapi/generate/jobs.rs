//! Operations on jobs.

use atode_jobs::{EditRequest, JobList, JobRequest, ListRequest};
use atode_queue::{Explanation, JobView};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::api::batch::{BatchRequest, ItemResult};
use crate::api::jobs::ShowQuery;
use crate::api::old_service::{Register, Registered};
use crate::api::operations::DueRequest;
use crate::http::problem_types::Slug;
use crate::openapi::generate::document::Draft;
use crate::openapi::generate::examples::{ID, dead_job, job};

/// The reply to a batch, which the gateway writes result by result.
#[derive(Serialize, JsonSchema)]
struct BatchResult {
    /// Jobs that this request stored.
    created: u32,
    /// Jobs that an earlier request with the same key stored.
    duplicate: u32,
    rejected: u32,
    /// One per job, in the order of the request.
    results: Vec<ItemResult<'static>>,
}

pub(super) fn add(draft: &mut Draft) {
    draft.tag("jobs");
    enqueues(draft);
    reads(draft);
    changes(draft);
}

fn enqueues(draft: &mut Draft) {
    let request = json!({"kind": "demo:delay_print", "payload": {"message": "Hello"}, "delay": "2s"});
    draft.add("post /v1/jobs", "enqueueJob", "Enqueue a job", |operation| {
        operation
            .about("Answers once Redis has stored the job. With `Prefer: wait=30` it answers when the job has finished.")
            .header("IdempotencyKey")
            .header("Prefer")
            .header("Traceparent")
            .header("Tracestate")
            .body::<JobRequest<'_>>(request.clone())
            .reply_with::<JobView>(201, "The job is stored. After a `Prefer: wait` it has also finished if `Preference-Applied` is there.", &["Location", "Preference-Applied"], job())
            .reply_with::<JobView>(
                200,
                "An earlier request with the same key stored the job.",
                &["Location", "Idempotent-Replayed", "Preference-Applied"],
                job(),
            )
            .reply_with::<JobView>(
                202,
                "The job is stored, and has not finished within the wait.",
                &["Location", "Idempotent-Replayed", "Preference-Applied"],
                job(),
            )
            .errors(&[Slug::IdempotencyKeyReused, Slug::NotDurable, Slug::NotYetOnDisk])
    });
    draft.add("post /v1/jobs/batch", "enqueueBatch", "Enqueue up to 1,000 jobs", |operation| {
        let invalid = json!({
            "type": "/problems/invalid-request", "title": "The request is invalid", "status": 422,
            "detail": "/jobs/1/kind: unknown kind; known kinds: demo:delay_print",
            "errors": [{"pointer": "/jobs/1/kind", "detail": "unknown kind; known kinds: demo:delay_print"}],
        });
        operation
            .about("Each job is stored on its own, unless `atomic` is true. A repeated batch with the same key stores only the jobs that are missing.")
            .header("IdempotencyKey")
            .header("Traceparent")
            .header("Tracestate")
            .body::<BatchRequest<'_>>(json!({"jobs": [request, {"kind": "no:such"}]}))
            .reply::<BatchResult>(
                200,
                "The result of each job.",
                json!({"created": 1, "duplicate": 0, "rejected": 1, "results": [{"status": 201, "job": job()}, {"status": 422, "problem": invalid}]}),
            )
    });
    draft.add(
        "post /api/dm-jobqueue/register",
        "registerJob",
        "Enqueue a job as the old service did",
        |operation| {
            operation
                .about("For clients of the service that atode replaces. Unknown fields are ignored.")
                .header("Traceparent")
                .header("Tracestate")
                .body::<Register>(json!({"message": "Hello", "delay_seconds": 2}))
                .reply::<Registered>(201, "The job is stored.", json!({"job_id": ID, "status": "registered"}))
        },
    );
}

fn reads(draft: &mut Draft) {
    draft.add("get /v1/jobs", "listJobs", "List jobs", |operation| {
        let mut item = job();
        let fields = item.as_object_mut().expect("an object");
        fields.remove("attempts");
        fields.insert("payload_bytes".to_owned(), json!(19));
        operation
            .about("Pages of jobs with filters and counts. The list is over when `next_cursor` is null.")
            .query::<ListRequest>()
            .reply::<JobList>(
                200,
                "A page.",
                json!({
                    "items": [item], "next_cursor": "eyJ0IjoxfQ", "order": "asc",
                    "facets": {"state": {"scheduled": 120, "ready": 4, "active": 3, "completed": 950, "dead": 2, "cancelled": 0},
                        "kind": {"demo:delay_print": 1079}, "queue": {"default": 1079}},
                }),
            )
            .errors(&[Slug::Invalid])
    });
    draft.add("get /v1/jobs/{id}", "getJob", "Show a job", |operation| {
        operation
            .about("With `wait` it answers when the job has finished, or when the time is over.")
            .query::<ShowQuery>()
            .reply_with::<JobView>(200, "The job.", &["ETag"], dead_job())
    });
    draft.add("get /v1/jobs/{id}/explain", "explainJob", "Explain why a job is not running", |operation| {
        operation
            .reply::<Explanation>(
                200,
                "A reason, what to do about it, and the checks of a claim.",
                json!({
                    "id": ID, "kind": "demo:delay_print", "queue": "default", "state": "scheduled", "reason": "not_due",
                    "sentence": "It is not due yet: it is due in 2 min 47 s.",
                    "what_to_do": format!("Wait, or make it due now: POST /v1/jobs/{ID}/run-now."),
                    "runs_at_earliest": "2026-11-24T00:09:11.842Z",
                    "checks": [{"name": "due", "result": "waits_for_time", "detail": "in 2 min 47 s"}],
                }),
            )
    });
}

fn changes(draft: &mut Draft) {
    draft.add("patch /v1/jobs/{id}", "editJob", "Change a waiting job", |operation| {
        operation
            .about("A field that the request leaves out stays as it is.")
            .header("IfMatch")
            .body::<EditRequest<'_>>(
                json!({"payload": {"message": "corrected"}, "delay": "5m", "max_retries": 3}),
            )
            .reply_with::<JobView>(200, "The changed job.", &["ETag"], job())
            .errors(&[Slug::WrongState, Slug::VersionMismatch])
    });
    draft.add("delete /v1/jobs/{id}", "deleteJob", "Delete a job", |operation| {
        operation.empty(204, "The job is deleted.", &[]).errors(&[Slug::WrongState])
    });
    change(
        draft,
        "post /v1/jobs/{id}/cancel",
        "cancelJob",
        "Cancel a job",
        "A waiting job is cancelled at once; the handler of an active one is cancelled.",
    );
    change(draft, "post /v1/jobs/{id}/run-now", "runJobNow", "Make a waiting job due now", "");
    draft.add(
        "post /v1/jobs/{id}/reschedule",
        "rescheduleJob",
        "Change when a waiting job is due",
        |operation| {
            operation
                .body::<DueRequest>(json!({"delay": "5m"}))
                .reply::<JobView>(200, "The job.", job())
                .errors(&[Slug::WrongState])
        },
    );
    change(
        draft,
        "post /v1/jobs/{id}/redrive",
        "redriveJob",
        "Run a dead job again",
        "Its retries start over, and its earlier errors stay visible.",
    );
}

/// An operation without a body that answers with the job.
fn change(draft: &mut Draft, endpoint: &'static str, id: &str, summary: &str, about: &str) {
    draft.add(endpoint, id, summary, |mut operation| {
        if !about.is_empty() {
            operation = operation.about(about);
        }
        operation = operation.reply::<JobView>(200, "The job.", job()).errors(&[Slug::WrongState]);
        if endpoint.ends_with("/cancel") {
            let mut active = job();
            (active["state"], active["cancel_requested"]) = (json!("active"), json!(true));
            operation = operation.reply::<JobView>(202, "The job is active; its worker will end it.", active);
        }
        operation
    });
}
