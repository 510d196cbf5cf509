//! The replies of errors: one per set of slugs with the same status.

use std::fmt::Write as _;

use serde_json::{Value, json};
use utoipa::openapi::example::Example;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::http::problem_types::Slug;
use crate::openapi::generate::examples::ID;
use crate::openapi::generate::headers::RATE_LIMITS;
use crate::openapi::generate::operation::{HTML, plain, reference};

const PROBLEM_JSON: &str = "application/problem+json";

/// Errors that no operation has: another method than the document's, and what HTTP itself refuses.
pub(super) const UNDOCUMENTED: [Slug; 3] = [Slug::MethodNotAllowed, Slug::HeadTooLarge, Slug::Other];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Programs,
    /// They get a page if they accept HTML.
    People,
}

/// The name of the reply, such as `NotFound` or `InvalidRequestOrIdempotencyKeyReused`.
pub(super) fn name(slugs: &[Slug], audience: Audience) -> String {
    let capital = |word: &str| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]);
    let words = |slug: &Slug| slug.about().slug.split('-').map(capital).collect::<String>();
    let name = slugs.iter().map(words).collect::<Vec<_>>().join("Or");
    if audience == Audience::People { name + "Page" } else { name }
}

pub(super) fn response(slugs: &[Slug], audience: Audience) -> Response {
    let titles: Vec<String> =
        slugs.iter().map(|slug| format!("{} (`{}`)", slug.about().title, slug.about().slug)).collect();
    let examples = slugs.iter().map(|slug| {
        let name = slug.about().slug;
        (name, RefOr::<Example>::Ref(Ref::new(format!("#/components/examples/{name}"))))
    });
    let content = ContentBuilder::new().schema(Some(reference("Problem"))).examples_from_iter(examples);
    let mut response =
        ResponseBuilder::new().description(titles.join(", or: ")).content(PROBLEM_JSON, content.build());
    if audience == Audience::People {
        response = response
            .content(HTML, ContentBuilder::new().schema(Some(plain(&json!({"type": "string"})))).build());
    }
    headers(slugs)
        .into_iter()
        .fold(response, |response, header| {
            response.header_ref(header, Ref::new(format!("#/components/headers/{header}")))
        })
        .build()
}

/// An example of the problem.
pub(super) fn example(slug: Slug) -> Value {
    let about = slug.about();
    let mut problem = json!({
        "type": format!("/problems/{}", about.slug),
        "title": about.title,
        "status": about.status,
        "detail": detail(slug),
        "request_id": ID,
    });
    match slug {
        Slug::Invalid => {
            problem["errors"] = json!([{"pointer": "/payload/message", "detail": "invalid type: integer `1`, expected a string"}]);
        }
        Slug::RateLimited => problem["violated-policies"] = json!(["minute"]),
        _ => {}
    }
    json!({"summary": about.title, "value": problem})
}

/// All types of problems.
pub(super) fn types() -> String {
    let mut text = "The path of a page that explains the problem:\n".to_owned();
    for about in Slug::ALL.iter().map(|slug| slug.about()) {
        let _ = write!(text, "\n- `/problems/{}` ({}): {}", about.slug, about.status, about.title);
    }
    text
}

fn headers(slugs: &[Slug]) -> Vec<&'static str> {
    let mut headers = vec!["x-request-id"];
    match slugs[0].about().status {
        // Refused before the request counts.
        403 | 421 => return headers,
        429 | 503 => headers.push("Retry-After"),
        415 => headers.push("Accept-Encoding"),
        _ => {}
    }
    headers.extend(RATE_LIMITS);
    headers
}

fn detail(slug: Slug) -> &'static str {
    match slug {
        Slug::Malformed => "an id is a UUID such as 0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b",
        Slug::NotFound => "there is no queue \"mial\"; GET /v1/queues and `atode queues` list the queues",
        Slug::MethodNotAllowed => "this path accepts GET, HEAD",
        Slug::RequestTimeout => "the body did not arrive in time",
        Slug::TooLarge => "the body is larger than 262144 bytes",
        Slug::UnsupportedMediaType => "send the body with one header `Content-Type: application/json`",
        Slug::Invalid => "/payload/message: invalid type: integer `1`, expected a string",
        Slug::IdempotencyKeyReused => {
            "this idempotency key was used for job 01a20adf-d882-71da-811d-f2af39983ab1, with another body"
        }
        Slug::WrongState => {
            "job 01a20adf-d882-71da-811d-f2af39983ab1 is active: only a waiting job can be changed"
        }
        Slug::VersionMismatch => {
            "job 01a20adf-d882-71da-811d-f2af39983ab1 was changed since it was read; nothing was changed by this request"
        }
        Slug::NotDurable => "Redis has no append-only file: set appendonly yes. Nothing was stored",
        Slug::NotYetOnDisk => "job 01a20adf-d882-71da-811d-f2af39983ab1 is stored, but not yet on disk",
        Slug::CrossSite => "a page of another site made this request, or a proxy changed its header Host",
        Slug::WrongHost => "this service does not answer to the host name of the request",
        Slug::RateLimited => {
            "the rate limit \"minute\" of 60 (api.rate_limit.requests_per_minute) is exceeded; try again in 1 s"
        }
        Slug::LimiterAway => "the rate-limit store is unavailable",
        Slug::Internal => "the reply cannot be serialized",
        Slug::Unavailable => "Redis is not reachable. Nothing was stored: send the request again",
        Slug::OutcomeUnknown => {
            "Redis did not answer in time, so the job may be stored or not. Send the request again with the same \
             Idempotency-Key; without one the job might be stored twice"
        }
        Slug::HeadTooLarge | Slug::Other => "",
    }
}
