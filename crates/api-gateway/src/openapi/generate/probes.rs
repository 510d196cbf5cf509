//! Probes.

use serde_json::json;

use crate::api::health::{Alive, Ready};
use crate::http::problem_types::Slug;
use crate::openapi::generate::document::Draft;
use crate::openapi::generate::operation::{JSON, TEXT};

pub(super) fn add(draft: &mut Draft) {
    draft.tag("probes");
    draft.add("get /healthz", "getHealth", "Is this gateway alive?", |operation| {
        operation.reply::<Alive>(200, "It is alive.", json!({"status": "ok"}))
    });
    draft.add(
        "get /health",
        "getOldHealth",
        "Is this gateway alive? As the old service answered",
        |operation| operation.text(TEXT, "It is alive.", "OK"),
    );
    draft.add("get /readyz", "getReadiness", "Can this gateway store jobs?", |operation| {
        operation
            .about("It says `degraded` if jobs can be stored but something endangers them, such as a Redis without an append-only file.")
            .reply::<Ready>(200, "It can.", json!({"status": "ready", "redis": "7.0.15", "warnings": []}))
            .errors(&[Slug::Unavailable])
    });
    draft.add("get /openapi.json", "getOpenapi", "This document", |operation| {
        operation
            .about("With the schemas of the kinds that this gateway knows now.")
            .object(JSON, "The document.")
    });
}
