//! Errors as the client sees them: `application/problem+json` (RFC 9457). All mapping to HTTP
//! happens in this file.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_ENCODING, ALLOW, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use atode_queue::{Error, JobId};
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
    WrongState,
    NotDurable,
    NotYetOnDisk,
    HeadTooLarge,
    CrossSite,
    WrongHost,
    RateLimited,
    LimiterAway,
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
    /// The accepted alternatives: `Allow` of a 405, `Accept-Encoding` of a 415.
    takes: Option<Box<(HeaderName, HeaderValue)>>,
    /// The limit that refused, and the seconds after which it would not.
    violated: Option<(&'static str, u64)>,
    /// The internal cause, for the log only.
    inside: Option<Arc<str>>,
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
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Slug {
    pub(crate) const ALL: [Slug; 20] = [
        Slug::Malformed,
        Slug::NotFound,
        Slug::MethodNotAllowed,
        Slug::RequestTimeout,
        Slug::TooLarge,
        Slug::UnsupportedMediaType,
        Slug::Invalid,
        Slug::IdempotencyKeyReused,
        Slug::WrongState,
        Slug::NotDurable,
        Slug::NotYetOnDisk,
        Slug::HeadTooLarge,
        Slug::CrossSite,
        Slug::WrongHost,
        Slug::RateLimited,
        Slug::LimiterAway,
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
            Slug::RequestTimeout => ("request-timeout", "The request took too long", 408,
                "The request did not arrive in time: its head has 5 seconds, and its body has to come at 4 KiB per second at least, without long pauses. Nothing was stored: send it again."),
            Slug::TooLarge => ("payload-too-large", "The body is too large", 413,
                "The body is larger than server.max_body_bytes, or for a batch server.max_batch_bytes, allows. Store large data elsewhere and put its address into the payload; split a batch."),
            Slug::UnsupportedMediaType => ("unsupported-media-type", "The body is not of the type that is taken here", 415,
                "The body has to be sent with the header Content-Type that the detail names, in general application/json, and not compressed: a Content-Encoding may only be identity."),
            Slug::Invalid => ("invalid-request", "The request is not valid", 422,
                "The request could be read, but it says something that cannot be done: an unknown kind or queue, a payload that its kind does not take, a value out of range, an unknown field. The list errors points at each. Nothing was stored. GET /v1/kinds shows every kind with the JSON Schema of its payload."),
            Slug::IdempotencyKeyReused => ("idempotency-key-reused", "The idempotency key was used for another request", 422,
                "An idempotency key stands for one request for 24 hours, unless its queue is configured otherwise (idempotency_ttl). This one came before with another body, so it was not taken for a repetition. The same body means the same bytes: a repetition is sent as it was, not written again with other spaces or another order of its fields. Use a new key for a new job."),
            Slug::WrongState => ("wrong-state", "The job is in a state that does not allow this", 409,
                "Cancel, run-now and reschedule are for jobs that wait (cancel for active ones, too), redrive is for dead ones, and an active job cannot be deleted. The detail names the state that the job is in. Nothing was changed."),
            Slug::NotDurable => ("durability-unavailable", "This Redis cannot promise that", 409,
                "The job asked for `durability: fsync`, and this Redis has no way to say when a job is on its disk; the detail says why, and what it takes. Nothing was stored. Leave durability out, or change the settings of Redis."),
            Slug::NotYetOnDisk => ("not-yet-on-disk", "Stored, not yet on disk", 503,
                "The job is stored and will run, but Redis did not say in time that it is on its disk. Send the request again with the same Idempotency-Key: it waits for the disk and stores nothing twice. The detail names the job."),
            Slug::HeadTooLarge => ("request-head-too-large", "The head of the request is too large", 431,
                "The address and the headers of the request are larger, or more, than the gateway reads. Nothing was stored. An Idempotency-Key has 255 characters at most; what belongs to the job belongs into its payload."),
            Slug::CrossSite => ("cross-site-request", "A page of another site may not do this", 403,
                "A web page of another origin made your browser send this request (the headers Sec-Fetch-Site and Origin say so), and only pages of this service may change anything here. Nothing was done. Programs that are no browsers send neither header and are not affected. If this was a page of this service, a proxy in front of it changes the header Host: let it pass Host on as it came, or let it send X-Forwarded-Host and set api.rate_limit.trusted_proxies."),
            Slug::WrongHost => ("wrong-host", "This service does not answer to that name", 421,
                "The header Host, or X-Forwarded-Host behind a trusted proxy, has a name that is not one of this service's. A gateway that listens on a loopback address answers only to loopback names, so that no web page can reach it through a name of its own. Nothing was done. Add a name that is really this service's to api.hosts."),
            Slug::RateLimited => ("rate-limited", "Too many requests", 429,
                "You have sent more than the rate limit allows. violated-policies names the limit: minute (api.rate_limit.requests_per_minute), hour (requests_per_hour) or jobs-per-minute (jobs_per_minute, to which a batch counts with all its jobs); the headers RateLimit-Policy and RateLimit tell all limits and what is left of each. Nothing was stored. Send the request again after the time in Retry-After."),
            Slug::LimiterAway => ("rate-limiter-unavailable", "The rate limiter is not available", 503,
                "The store of the rate limits is away, and this service is configured to refuse requests until it is back (api.rate_limit.on_error: deny). Nothing was stored. Send the request again after the time in Retry-After."),
            Slug::Internal => ("internal-error", "Something broke", 500,
                "This is an error of the service, or its data in Redis was changed by hand. The log of the gateway has a line with the same request_id."),
            Slug::Unavailable => ("unavailable", "The queue is not available", 503,
                "The queue cannot be reached, does not accept jobs now, or too much is waiting for it. Nothing was stored. Send the request again after the time in Retry-After."),
            Slug::OutcomeUnknown => ("outcome-unknown", "It is not known whether it was done", 503,
                "The request was sent to the queue, but no answer came in time: it may have been carried out. An enqueue: send it again with the same Idempotency-Key, and the job is stored once; without a key it might be stored twice. Anything else: look at the job or the queue, then send it again if need be; doing it twice does no harm."),
            Slug::Other => ("other", "The request failed", 400,
                "The request failed for a reason that has no page of its own; status and detail say why."),
        };
        About { slug, title, status, text }
    }
}

impl Problem {
    pub(crate) fn new(slug: Slug, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(slug.about().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem {
            slug,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            takes: None,
            violated: None,
            inside: None,
        }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Problem::new(Slug::Malformed, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(Slug::NotFound, detail)
    }

    pub(crate) fn method_not_allowed(allow: &str) -> Self {
        let problem = Problem::new(Slug::MethodNotAllowed, format!("this address takes {allow}"));
        Problem { takes: HeaderValue::from_str(allow).ok().map(|allow| Box::new((ALLOW, allow))), ..problem }
    }

    /// RFC 9110, 12.5.3: the header tells this from a wrong `Content-Type`.
    pub(crate) fn unsupported_encoding() -> Self {
        let detail =
            "the header Content-Encoding may only be identity: send the body as it is, not compressed";
        let takes = Some(Box::new((ACCEPT_ENCODING, HeaderValue::from_static("identity"))));
        Problem { takes, ..Problem::new(Slug::UnsupportedMediaType, detail) }
    }

    /// `policy`, set by the configuration's `key`, refuses for `retry_after` seconds more.
    pub(crate) fn rate_limited(policy: &'static str, limit: u32, key: &str, retry_after: u64) -> Self {
        let detail =
            format!("the limit {policy:?} of {limit} ({key}) is reached; try again in {retry_after} s");
        Problem { violated: Some((policy, retry_after)), ..Problem::new(Slug::RateLimited, detail) }
    }

    /// 422 with its fields; there is at least one.
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

    /// For an error that did not come from here: actix' own.
    pub(crate) fn of_status(status: StatusCode, detail: String) -> Self {
        let slug = match status.as_u16() {
            404 => Slug::NotFound,
            405 => Slug::MethodNotAllowed,
            408 => Slug::RequestTimeout,
            409 => Slug::WrongState,
            413 => Slug::TooLarge,
            415 => Slug::UnsupportedMediaType,
            431 => Slug::HeadTooLarge,
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

    /// Whether the same request may succeed a little later.
    pub(crate) fn may_pass(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Seconds after which to try again, where that makes sense.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.violated.map(|(_, seconds)| seconds)
    }

    /// The header that says what is taken instead.
    pub(crate) fn takes(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.takes.as_deref()
    }

    pub(crate) fn document<'a>(&'a self, request_id: Option<&'a str>) -> ProblemDocument<'a> {
        let about = self.slug.about();
        ProblemDocument {
            r#type: format!("/problems/{}", about.slug),
            title: about.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            violated_policies: self.violated.map(|(policy, _)| [policy]),
            request_id,
        }
    }

    pub(crate) fn json(&self, request_id: &str) -> String {
        serde_json::to_string(&self.document(Some(request_id))).unwrap_or_default()
    }

    /// Adds what the log says of it, and the client does not hear.
    #[must_use]
    pub(crate) fn inside(self, error: &impl ToString) -> Self {
        Problem { inside: Some(error.to_string().into()), ..self }
    }

    /// For the log.
    pub(crate) fn what_happened(&self) -> &str {
        self.inside.as_deref().unwrap_or(&self.detail)
    }
}

/// From errors of the queue. The client hears what it can do; what happened inside is for the log.
impl Problem {
    /// Of an enqueue that failed: its client has to know whether it may send the job again.
    pub(crate) fn of_enqueue(error: &Error) -> Self {
        let what = error.outline();
        let problem = match error {
            Error::NotSent(_) | Error::Refused { .. } | Error::Overloaded => {
                Problem::new(Slug::Unavailable, format!("{what}. Nothing was stored: send the request again"))
            }
            Error::Unknown(_) => Problem::new(
                Slug::OutcomeUnknown,
                format!(
                    "{what}, so the job may be stored or not. Send the request again with the same Idempotency-Key; \
                     without one the job might be stored twice"
                ),
            ),
            Error::NotDurable(_) => Problem::new(Slug::NotDurable, what),
            Error::NotYetOnDisk(_) => Problem::new(Slug::NotYetOnDisk, what),
            Error::Corrupt(_) => Problem::broken(&what),
        };
        problem.inside(error)
    }

    /// The job was stored before under the same idempotency key and cannot be shown now.
    pub(crate) fn of_duplicate(id: JobId, error: Option<&Error>) -> Self {
        let detail = format!(
            "this idempotency key has stored job {id} before, and the queue does not say now what became of it. \
             Nothing was stored twice: send the request again, or GET /v1/jobs/{id}"
        );
        let problem = Problem::new(Slug::Unavailable, detail);
        match error {
            Some(error) => problem.inside(error),
            None => problem,
        }
    }

    /// Of a change to what is stored, by something that may be sent again.
    pub(crate) fn of_change(error: Error) -> Self {
        match error {
            Error::Unknown(_) => Problem::new(
                Slug::OutcomeUnknown,
                format!("{}. It may have been done; to send it again does no harm", error.outline()),
            )
            .inside(&error),
            other => other.into(),
        }
    }

    fn broken(what: &str) -> Self {
        Problem::new(
            Slug::Internal,
            format!("{what}. The service's operator finds the reason in its log, under this request_id"),
        )
    }
}

/// Of a look at what is stored: to look again does no harm.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let what = error.outline();
        let problem = match error {
            Error::NotSent(_) | Error::Refused { .. } | Error::Overloaded | Error::Unknown(_) => {
                Problem::new(Slug::Unavailable, what)
            }
            Error::NotDurable(_) | Error::NotYetOnDisk(_) | Error::Corrupt(_) => Problem::broken(&what),
        };
        problem.inside(&error)
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.detail),
            pointer => write!(f, "{pointer}: {}", self.detail),
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
