//! Pages for people. Their errors are pages too, for a client that accepts HTML.

use serde_json::json;

use crate::http::problem_types::Slug;
use crate::openapi::generate::document::Draft;
use crate::openapi::generate::operation::HTML;

const PAGE: &str = "<!doctype html><html lang=\"en\">…</html>";

pub(super) fn add(draft: &mut Draft) {
    draft.tag("pages");
    draft.schemas.add(
        "RegisterForm",
        json!({
            "type": "object",
            "description": "The fields of the form.",
            "properties": {
                "kind": {"type": "string"},
                "payload": {"type": "string", "description": "JSON; empty for an empty object."},
                "delay": {"type": "string", "description": "Empty for the kind's default."},
                "max_retries": {"type": "string", "description": "Empty for the kind's default."},
            },
            "required": ["kind", "payload", "delay", "max_retries"],
        }),
    );
    draft.add("get /", "showHome", "The queues and the workers", |operation| {
        operation.text(HTML, "The page.", PAGE)
    });
    draft.add("get /docs", "showDocs", "This document for people", |operation| {
        operation.text(HTML, "The page.", PAGE)
    });
    draft.add("get /register", "showRegisterForm", "The form that registers a job", |operation| {
        operation
            .text_query("kind", "The kind whose example payload is shown.")
            .text_query("delay", "The delay to begin with.")
            .text_query("max_retries", "The retries to begin with.")
            .text(HTML, "The page.", PAGE)
    });
    draft.add("post /register", "submitRegisterForm", "Register a job of the form", |operation| {
        operation
            .body_of(
                "application/x-www-form-urlencoded",
                "RegisterForm",
                json!({"kind": "demo:delay_print", "payload": "{\"message\":\"Hello\"}", "delay": "5s", "max_retries": ""}),
            )
            .empty(303, "The job is stored; `Location` is its page.", &["Location"])
            .errors(&[Slug::Unavailable, Slug::OutcomeUnknown])
    });
    draft.add("get /dm-jobqueue", "showOldForm", "The address of the old service's page", |operation| {
        operation.empty(302, "The form is at `Location`.", &["Location"])
    });
    draft.add("get /jobs/{id}", "showJobPage", "One job", |operation| {
        operation
            .about("The page reloads itself until the job has finished.")
            .text(HTML, "The page.", PAGE)
            .errors(&[Slug::Unavailable])
    });
    draft.add("get /problems/{slug}", "showProblem", "What a problem means", |operation| {
        operation.text(HTML, "The page.", PAGE)
    });
}
