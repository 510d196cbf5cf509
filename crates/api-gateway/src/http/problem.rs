//! Errors as the client sees them: `application/problem+json` (RFC 9457).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_ENCODING, ALLOW, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use atode_jobs::{FieldError, InvalidRequest};
use serde::Serialize;

use crate::http::slug::Slug;

#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) slug: Slug,
    /// Differs from the slug's own status only for [`Slug::Other`].
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    /// Headers of the reply: `Allow`, `Accept-Encoding` or `Retry-After`.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The rate limit that refused the request.
    violated: Option<&'static str>,
    /// The internal cause. It is logged and never sent.
    cause: Option<Arc<str>>,
}

/// The body of an error.
#[derive(Serialize)]
pub(crate) struct ProblemDocument<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'static str; 1]>,
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
            cause: None,
        }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Problem::new(Slug::Malformed, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(Slug::NotFound, detail)
    }

    pub(crate) fn method_not_allowed(allow: &HeaderValue) -> Self {
        let detail = format!("this path accepts {}", allow.to_str().unwrap_or_default());
        Problem { headers: vec![(ALLOW, allow.clone())], ..Problem::new(Slug::MethodNotAllowed, detail) }
    }

    /// The header tells this apart from a wrong `Content-Type` (RFC 9110, 12.5.3).
    pub(crate) fn unsupported_encoding() -> Self {
        let detail = "send the body uncompressed: the only accepted Content-Encoding is identity";
        let headers = vec![(ACCEPT_ENCODING, HeaderValue::from_static("identity"))];
        Problem { headers, ..Problem::new(Slug::UnsupportedMediaType, detail) }
    }

    /// `policy`, set by the configuration's `key`, refuses for another `retry_after` seconds.
    pub(crate) fn rate_limited(policy: &'static str, limit: u32, key: &str, retry_after: u64) -> Self {
        let detail =
            format!("the rate limit {policy:?} of {limit} ({key}) is exceeded; try again in {retry_after} s");
        let headers = vec![(RETRY_AFTER, retry_after.into())];
        Problem { headers, violated: Some(policy), ..Problem::new(Slug::RateLimited, detail) }
    }

    /// A 422 with its fields, of which there is at least one.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let first = errors.first().map_or_else(String::new, ToString::to_string);
        let detail = match errors.len() {
            0 | 1 => first,
            n => format!("{first} (and {} more)", n - 1),
        };
        Problem { errors, ..Problem::new(Slug::Invalid, detail) }
    }

    pub(crate) fn invalid_field(pointer: &str, detail: impl Into<String>) -> Self {
        Problem::invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.into() }])
    }

    /// Bad data in Redis or a bug.
    pub(crate) fn internal(detail: &str) -> Self {
        let hint = "The operator can find the cause in the gateway's log under this request_id";
        Problem::new(Slug::Internal, format!("{detail}. {hint}"))
    }

    /// An error of actix itself. No other part of the service knows its type.
    pub(crate) fn from_status(status: StatusCode, detail: String) -> Self {
        let slug = if status.is_server_error() { Slug::Internal } else { Slug::Other };
        Problem { status, ..Problem::new(slug, detail) }
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
    pub(crate) fn caused_by(self, error: &impl ToString) -> Self {
        Problem { cause: Some(error.to_string().into()), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The text for the log.
    pub(crate) fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.detail)
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_temporary(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
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
            request_id,
        }
    }

    pub(crate) fn json(&self, request_id: &str) -> String {
        serde_json::to_string(&self.document(Some(request_id))).unwrap_or_default()
    }
}

impl From<InvalidRequest> for Problem {
    fn from(invalid: InvalidRequest) -> Self {
        Problem::invalid(invalid.errors)
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
