//! Operations on the catalogue of kinds.

use atode_jobs::{DecidedKind, KindPage, KindView};
use serde_json::json;

use crate::api::kinds::ListQuery;
use crate::http::problem_types::Slug;
use crate::openapi::generate::document::Draft;
use crate::openapi::generate::examples::kind;

pub(super) fn add(draft: &mut Draft) {
    draft.tag("kinds");
    draft.add("get /v1/kinds", "listKinds", "List kinds", |operation| {
        operation
            .about("The kinds that can be enqueued: compiled into this gateway, or published by a worker.")
            .query::<ListQuery>()
            .reply::<KindPage>(200, "A page, in the order of the names.", json!({"items": [kind()]}))
            .errors(&[Slug::Invalid])
    });
    draft.add("get /v1/kinds/{kind}", "getKind", "Show a kind", |operation| {
        operation.reply::<KindView>(200, "The kind.", kind())
    });
    draft.add("delete /v1/kinds/{kind}", "removeKind", "Remove a kind from the catalogue", |operation| {
        operation
            .about("Only a kind that no live worker and no job has.")
            .empty(204, "The kind is removed.", &[])
            .errors(&[Slug::WrongState])
    });
    decide(
        draft,
        "post /v1/kinds/{kind}/accept",
        "acceptKind",
        "Bring the held definition of a kind into force",
        "accepted",
    );
    decide(
        draft,
        "post /v1/kinds/{kind}/reject",
        "rejectKind",
        "Drop the held definition of a kind",
        "rejected",
    );
}

fn decide(draft: &mut Draft, endpoint: &'static str, id: &str, summary: &str, decision: &str) {
    let before = json!({"build": "0.1.0+1a2b3c4d5e6f", "started_at": "2026-11-23T22:00:00Z"});
    let later = json!({"build": "0.2.0+0f1e2d3c4b5a", "started_at": "2026-11-24T00:00:00Z"});
    let after = if decision == "accepted" { &later } else { &before };
    let example = json!({"kind": "mail:send", "decision": decision, "before": before, "after": after,
        "difference": "/properties/to: the type changed"});
    draft.add(endpoint, id, summary, |operation| {
        operation.reply::<DecidedKind>(200, "The decision.", example).errors(&[Slug::WrongState])
    });
}
