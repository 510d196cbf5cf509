//! Errors as the client sees them: `application/problem+json` (RFC 9457).

use std::error::Error;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use atode_jobs::{FieldError, InvalidRequest, ListError, RequestError};
use atode_queue::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::problem_types::Slug;

#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) slug: Slug,
    /// Differs from the slug's own status only for [`Slug::Other`].
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    /// Headers of the reply: `Allow`, `Accept-Encoding` or `Retry-After`.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The rate limit that refused the request.
    pub(crate) violated: Option<&'static str>,
    /// The reason of `explain` that the problem stands for.
    pub(crate) reason: Option<Reason>,
    /// The internal cause. It is logged and never sent.
    pub(crate) cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The body of an error (RFC 9457).
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProblemDocument<'a> {
    /// The path of a page that explains the problem.
    #[schemars(extend("format" = "uri-reference"))]
    r#type: String,
    title: &'a str,
    status: u16,
    /// The event in this request, and the remedy.
    detail: &'a str,
    /// The invalid fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// The rate limit that refused the request.
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'static str; 1]>,
    /// The reason of `explain` that the problem stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// The id of the request in the gateway's log. Left out in the results of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    pub(crate) fn new(slug: Slug, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(slug.about().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem {
            slug,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            violated: None,
            reason: None,
            cause: None,
        }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Problem::new(Slug::Malformed, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(Slug::NotFound, detail)
    }

    /// A 422 with its fields, of which there is at least one.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let first = errors.first().map_or_else(String::new, ToString::to_string);
        let detail = match errors.len() {
            0 | 1 => first,
            2 => format!("{first} (and 1 more error)"),
            n => format!("{first} (and {} more errors)", n - 1),
        };
        Problem { errors, ..Problem::new(Slug::Invalid, detail) }
    }

    pub(crate) fn invalid_field(pointer: &str, detail: impl Into<String>) -> Self {
        Problem::invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.into() }])
    }

    /// The same problem for an item of a batch: its pointers start with the item's.
    #[must_use]
    pub(crate) fn below(mut self, pointer: &str) -> Self {
        if self.errors.is_empty() {
            return self;
        }
        for error in &mut self.errors {
            error.pointer.insert_str(0, pointer);
        }
        Problem::invalid(self.errors)
    }

    /// The fields of the problem, or the problem itself as the only one.
    pub(crate) fn into_errors(self, pointer: &str) -> Vec<FieldError> {
        if self.errors.is_empty() {
            vec![FieldError { pointer: pointer.to_owned(), detail: self.detail }]
        } else {
            self.errors
        }
    }

    /// Adds the internal cause, which is logged and never sent.
    #[must_use]
    pub(crate) fn caused_by(self, error: impl Error + Send + Sync + 'static) -> Self {
        Problem { cause: Some(Arc::new(error)), ..self }
    }

    /// The text for the log.
    pub(crate) fn cause(&self) -> String {
        self.cause.as_ref().map_or_else(|| self.detail.clone(), ToString::to_string)
    }

    pub(crate) fn document<'a>(&'a self, request_id: Option<&'a str>) -> ProblemDocument<'a> {
        let about = self.slug.about();
        ProblemDocument {
            r#type: format!("/problems/{}", about.slug),
            title: about.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            violated_policies: self.violated.map(|policy| [policy]),
            reason: self.reason,
            request_id,
        }
    }
}

impl From<InvalidRequest> for Problem {
    fn from(invalid: InvalidRequest) -> Self {
        Problem::invalid(invalid.errors)
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Invalid(invalid) => Problem::from(invalid),
            ListError::Queue(error) => Problem::from(error),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Invalid(invalid) => Problem::from(invalid),
            unread @ RequestError::CatalogueUnread(_) => Problem::new(
                Slug::Unavailable,
                format!("{unread}. Nothing was stored: send the request again"),
            ),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.slug.about().title, self.detail)
    }
}

/// The middleware in `envelope.rs` writes the body, because it knows the request's id.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_invalid_fields_counts_the_other_errors() {
        let summary = |errors: usize| {
            let error = FieldError { pointer: "/kind".to_owned(), detail: "known kinds: a, b".to_owned() };
            Problem::invalid(vec![error; errors]).detail
        };
        assert_eq!(summary(1), "/kind: known kinds: a, b");
        assert_eq!(summary(2), "/kind: known kinds: a, b (and 1 more error)");
        assert_eq!(summary(3), "/kind: known kinds: a, b (and 2 more errors)");
    }
}
