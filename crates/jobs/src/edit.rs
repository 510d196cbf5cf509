//! From a request to change a waiting job to an [`Edit`], by the rules of `request.rs`.

use atode_queue::{Edit, JobView};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::due::parse_due;
use crate::invalid_request::{Errors, RequestError};
use crate::limits::check_retries;
use crate::request::{JobRules, number, raw, text};

/// A request to change a waiting job, as its caller wrote it. An absent field stays as it is.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditRequest<'a> {
    /// Replaces the whole payload.
    #[serde(borrow, default, deserialize_with = "raw")]
    #[schemars(with = "serde_json::Map<String, Value>", default)]
    pub payload: Option<&'a RawValue>,
    /// The wait from now until the next run.
    #[schemars(with = "Option<String>", example = "5m")]
    pub delay: Option<Value>,
    /// The due time, instead of `delay`.
    #[schemars(with = "Option<Timestamp>")]
    pub run_at: Option<Value>,
    /// `null` gives the job the limit of its kind.
    #[serde(borrow, default, deserialize_with = "raw")]
    #[schemars(with = "Option<u32>", range(min = 0, max = 1_000), default)]
    pub max_retries: Option<&'a RawValue>,
}

impl JobRules {
    /// The change of this job, or all errors of the request at once. `now` is Redis' clock, Unix ms.
    pub fn edit(&self, job: &JobView, request: &EditRequest<'_>, now: i64) -> Result<Edit, RequestError> {
        let kind = job.kind.as_str();
        let mut errors = Errors::default();
        if let Some(payload) = request.payload {
            self.kind(kind, payload, &mut errors)?;
        }
        let due = parse_due(request.delay.as_ref().map(text), request.run_at.as_ref().map(text), now);
        let due = errors.due(due);
        let max_retries = request.max_retries.and_then(|retries| match retries.get() {
            "null" => Some(None),
            retries => {
                let retries = serde_json::from_str(retries).unwrap_or_default();
                errors.field("max_retries", check_retries(number(&retries))).map(Some)
            }
        });
        let spent = spent_attempts(job);
        let limit = max_retries.and_then(|retries| retries.or_else(|| self.max_retries(kind)));
        if limit.is_some_and(|limit| limit < spent) {
            let detail = format!(
                "leaves no attempt, because {spent} failed already: expected {spent} or more, or cancel the job"
            );
            errors.add("max_retries", detail);
        }
        let edit = Edit { payload: request.payload.map(ToOwned::to_owned), due, max_retries };
        if errors.is_empty() && edit.is_empty() {
            errors.add_to_request("nothing to change: expected payload, delay, run_at or max_retries");
        }
        errors.into_result()?;
        Ok(edit)
    }
}

/// The failed attempts that count against the retries of the job.
fn spent_attempts(job: &JobView) -> u32 {
    let counting = job.attempts.iter().rev().take_while(|attempt| !attempt.redriven);
    let counting = counting.filter(|attempt| attempt.cause.spends_attempt());
    counting.map(|attempt| attempt.attempt).max().unwrap_or_default()
}
