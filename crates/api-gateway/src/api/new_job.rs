//! The rules of the jobs crate, as the API applies them: an invalid request becomes a problem.

use atode_jobs::{FieldError, JobRequest, KeySource, Prepared, parse_due};
use atode_queue::Due;
use serde::Deserialize;
use serde_json::Value;

use crate::gateway::Gateway;
use crate::http::problem::Problem;

/// The job of a request. `body` are the bytes that the idempotency key identifies. The pointers of errors start with
/// `at`.
pub(crate) fn prepare<'a>(
    gateway: &Gateway,
    request: &JobRequest<'a>,
    body: &str,
    key: KeySource<'_>,
    at: &str,
) -> Result<Prepared<'a>, Problem> {
    let prepared = gateway.rules.prepare(request, body, key, gateway.client.now());
    prepared.map_err(|invalid| {
        let below = |error: FieldError| FieldError { pointer: format!("{at}{}", error.pointer), ..error };
        Problem::invalid(invalid.errors.into_iter().map(below).collect())
    })
}

/// The body of a request to reschedule. It has exactly one of the two fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DueRequest {
    delay: Option<Value>,
    run_at: Option<Value>,
}

impl DueRequest {
    pub(crate) fn due(&self, now: i64) -> Result<Due, Problem> {
        let text = |value| Value::as_str(value).unwrap_or_default();
        match parse_due(self.delay.as_ref().map(text), self.run_at.as_ref().map(text), now) {
            Ok(Some(due)) => Ok(due),
            Ok(None) => Err(Problem::invalid_field("", "delay or run_at is missing")),
            Err((field, detail)) => Err(Problem::invalid_field(&format!("/{field}"), detail)),
        }
    }
}
