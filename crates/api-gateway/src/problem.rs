//! Errors as the client sees them: `application/problem+json` (RFC 9457). All mapping to HTTP
//! happens in this file.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use atode_queue::Error;
use serde::Serialize;

/// Every `type` that a problem may have; `/problems/<slug>` explains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slug {
    Malformed,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
    Invalid,
    IdempotencyKeyReused,
    Internal,
    Unavailable,
    OutcomeUnknown,
    Other,
}

/// What is known of a slug.
pub(crate) struct About {
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    pub(crate) status: u16,
    /// What happened and what to do, for the page behind `type`.
    pub(crate) text: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) slug: Slug,
    /// Differs from the slug's own only for [`Slug::Other`].
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    /// Methods for the `Allow` header of a 405.
    allow: Option<&'static str>,
}

/// The body.
#[derive(Serialize)]
pub(crate) struct ProblemDocument<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// Seconds after which to try again when Redis is away.
const RETRY_AFTER: &str = "1";

impl Slug {
    pub(crate) const ALL: [Slug; 12] = [
        Slug::Malformed,
        Slug::NotFound,
        Slug::MethodNotAllowed,
        Slug::RequestTimeout,
        Slug::TooLarge,
        Slug::UnsupportedMediaType,
        Slug::Invalid,
        Slug::IdempotencyKeyReused,
        Slug::Internal,
        Slug::Unavailable,
        Slug::OutcomeUnknown,
        Slug::Other,
    ];

    #[rustfmt::skip]
    pub(crate) fn about(self) -> About {
        let (slug, title, status, text) = match self {
            Slug::Malformed => ("malformed-request", "The request is malformed", 400,
                "The request could not be read: its body is not a JSON object, or a header, the path or the query is not of the form that it has to be. The detail says where. Nothing was stored."),
            Slug::NotFound => ("not-found", "There is no such thing", 404,
                "Nothing is at this address. A job that has finished is kept for the retention of its kind and then removed; a job whose id is unknown was never stored here, or is gone."),
            Slug::MethodNotAllowed => ("method-not-allowed", "The method is not allowed here", 405,
                "The address exists, but not for this method. The header Allow lists the methods that it takes."),
            Slug::RequestTimeout => ("request-timeout", "The body took too long", 408,
                "The body did not arrive in time. Nothing was stored: send it again."),
            Slug::TooLarge => ("payload-too-large", "The body is too large", 413,
                "The body is larger than server.max_body_bytes, or for a batch server.max_batch_bytes, allows. Store large data elsewhere and put its address into the payload; split a batch."),
            Slug::UnsupportedMediaType => ("unsupported-media-type", "The body has to be JSON", 415,
                "The body has to be sent with the header Content-Type: application/json, without a Content-Encoding."),
            Slug::Invalid => ("invalid-request", "The request is not valid", 422,
                "The request could be read, but it says something that cannot be done: an unknown kind or queue, a payload that its kind does not take, a value out of range, an unknown field. The list errors points at each. Nothing was stored. GET /v1/kinds shows every kind with the JSON Schema of its payload."),
            Slug::IdempotencyKeyReused => ("idempotency-key-reused", "The idempotency key was used for another request", 422,
                "An idempotency key stands for one request for 24 hours. This one came before with another body, so it was not taken for a repetition. Use a new key for a new job."),
            Slug::Internal => ("internal-error", "Something broke", 500,
                "This is an error of the service, or its data in Redis was changed by hand. The log of the gateway has a line with the same request_id."),
            Slug::Unavailable => ("unavailable", "The queue is not available", 503,
                "Redis cannot be reached, does not accept jobs now, or too much is waiting for it. Nothing was stored. Send the request again after the time in Retry-After."),
            Slug::OutcomeUnknown => ("outcome-unknown", "It is not known whether the job was stored", 503,
                "The job was sent to Redis, but no answer came in time: it may have been stored. Send the request again with the same Idempotency-Key, so that it is stored once."),
            Slug::Other => ("other", "The request failed", 400,
                "The request failed for a reason that has no page of its own; status and detail say why."),
        };
        About { slug, title, status, text }
    }
}

impl Problem {
    pub(crate) fn new(slug: Slug, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(slug.about().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem { slug, status, detail: detail.into(), errors: Vec::new(), allow: None }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Problem::new(Slug::Malformed, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(Slug::NotFound, detail)
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Problem::new(Slug::MethodNotAllowed, format!("this address takes {allow}"));
        Problem { allow: Some(allow), ..problem }
    }

    /// 422 with its fields; there is at least one.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let first = errors.first().map_or_else(String::new, |first| format!("{}: {}", first.pointer, first.detail));
        let detail = match errors.len() {
            0 | 1 => first,
            n => format!("{first} (and {} more)", n - 1),
        };
        Problem { errors, ..Problem::new(Slug::Invalid, detail) }
    }

    pub(crate) fn invalid_field(pointer: &str, detail: impl Into<String>) -> Self {
        Problem::invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.into() }])
    }

    /// For an error that did not come from here: actix' own.
    pub(crate) fn of_status(status: StatusCode, detail: String) -> Self {
        let slug = match status.as_u16() {
            404 => Slug::NotFound,
            405 => Slug::MethodNotAllowed,
            408 => Slug::RequestTimeout,
            413 => Slug::TooLarge,
            415 => Slug::UnsupportedMediaType,
            500 => Slug::Internal,
            503 => Slug::Unavailable,
            400 => Slug::Malformed,
            _ => Slug::Other,
        };
        Problem { status, ..Problem::new(slug, detail) }
    }

    /// The same problem of an item of a batch: its pointers start with the item's.
    #[must_use]
    pub(crate) fn below(mut self, at: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, at);
        }
        self
    }

    /// Its fields, or itself as the only one.
    pub(crate) fn into_errors(self, at: &str) -> Vec<FieldError> {
        if self.errors.is_empty() {
            vec![FieldError { pointer: at.to_owned(), detail: self.detail }]
        } else {
            self.errors
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn document<'a>(&'a self, request_id: Option<&'a str>) -> ProblemDocument<'a> {
        let about = self.slug.about();
        ProblemDocument {
            r#type: format!("/problems/{}", about.slug),
            title: about.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            request_id,
        }
    }

    pub(crate) fn response(&self, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type("application/problem+json");
        if let Some(allow) = self.allow {
            response.insert_header(("allow", allow));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(("retry-after", RETRY_AFTER));
        }
        response.body(serde_json::to_string(&self.document(Some(request_id))).unwrap_or_default())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::NotSent(_) | Error::Refused { .. } | Error::Overloaded => {
                Problem::new(Slug::Unavailable, format!("{error}; nothing was stored"))
            }
            Error::Unknown(_) => Problem::new(
                Slug::OutcomeUnknown,
                format!("{error}. Send the request again with the same Idempotency-Key"),
            ),
            Error::Corrupt(_) => Problem::new(Slug::Internal, error.to_string()),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.slug.about().title, self.detail)
    }
}

/// The body is made by the middleware in `envelope.rs`, which knows the request's id.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status)
    }
}
