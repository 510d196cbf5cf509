//! Operations that change many jobs.

use atode_jobs::{BulkPreview, BulkRequest};
use atode_queue::{BulkView, Items};
use serde_json::{Value, json};

use crate::api::bulk::BulkQuery;
use crate::http::problem_types::Slug;
use crate::openapi::generate::document::Draft;
use crate::openapi::generate::examples::{ID, job};

pub(super) fn add(draft: &mut Draft) {
    draft.tag("jobs");
    draft.add("post /v1/bulk", "startBulk", "Change all jobs that a filter selects", |operation| {
        let filter = json!({"kind": "demo:delay_print", "state": "scheduled"});
        let mut example = job();
        let fields = example.as_object_mut().expect("an object");
        fields.remove("attempts");
        fields.insert("payload_bytes".to_owned(), json!(19));
        let states = json!({"scheduled": 1, "ready": 0, "active": 0, "completed": 9, "dead": 0, "cancelled": 0});
        let facets = json!({"state": states, "kind": {"demo:delay_print": 1}, "queue": {"default": 1}});
        operation
            .about(
                "With `dry_run` it counts the jobs, shows the first ones and changes nothing. Otherwise the operation is \
                 stored, and goes on after its gateway is killed. Jobs that enter their state later are left alone.",
            )
            .header("IdempotencyKey")
            .body::<BulkRequest>(json!({"action": "cancel", "filter": filter, "dry_run": true}))
            .reply::<BulkPreview>(
                200,
                "A dry run: the jobs that would be changed.",
                json!({"action": "cancel", "filter": filter, "matched": 1, "facets": facets, "examples": [example]}),
            )
            .reply_with::<BulkView>(
                202,
                "The operation is stored, by this request or by an earlier one with the same key.",
                &["Location", "Idempotent-Replayed"],
                bulk("waiting"),
            )
            .errors(&[Slug::IdempotencyKeyReused, Slug::WrongState])
    });
    draft.add("get /v1/bulk", "listBulk", "List bulk operations", |operation| {
        operation
            .about("Those that wait or run, and those that ended in the last 7 days; the latest first.")
            .query::<BulkQuery>()
            .reply::<Items<BulkView>>(200, "The bulk operations.", json!({"items": [bulk("running")]}))
            .errors(&[Slug::Invalid])
    });
    draft.add("get /v1/bulk/{id}", "getBulk", "Show a bulk operation", |operation| {
        operation.reply::<BulkView>(200, "Its progress, and its report.", bulk("running"))
    });
    draft.add("post /v1/bulk/{id}/abort", "abortBulk", "Stop a bulk operation", |operation| {
        operation
            .about("Jobs that it has changed stay changed.")
            .reply::<BulkView>(200, "It has stopped.", bulk("aborted"))
            .reply::<BulkView>(202, "Its runner will stop within moments.", bulk("aborting"))
            .errors(&[Slug::WrongState])
    });
}

fn bulk(state: &str) -> Value {
    json!({
        "id": ID, "action": "cancel", "state": state, "filter": {"kind": "demo:delay_print", "state": "scheduled"},
        "created_at": "2026-11-24T00:06:11.842Z", "started_at": "2026-11-24T00:06:11.843Z", "ended_at": null,
        "done": 120, "total": 283, "matched": 120, "changed": 119, "skipped": 1, "failed": 0,
        "examples": [{"id": ID, "queue": "default", "kind": "demo:delay_print", "outcome": "skipped",
            "reason": "it changed since it was found, and is active"}],
        "runner": {"program": "api-gateway", "pid": 4711, "build": "0.1.0+1a2b3c4d5e6f"}, "error": null,
    })
}
