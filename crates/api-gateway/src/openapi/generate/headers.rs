//! The headers of requests and replies, each described once.

use serde_json::{Value, json};
use utoipa::openapi::Required;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use crate::openapi::generate::operation::plain;

/// The headers of each reply whose request counts against a rate limit.
pub(super) const RATE_LIMITS: [&str; 8] = [
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Hour-Limit",
    "X-RateLimit-Hour-Remaining",
    "X-RateLimit-Hour-Reset",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
];

/// The headers of replies, by name.
pub(super) fn of_replies() -> Vec<(&'static str, Header)> {
    let text = || json!({"type": "string"});
    let number = || json!({"type": "integer", "minimum": 0});
    [
        ("x-request-id", text(), "The id of the request: the client's own one, if it has 1 to 64 letters, digits, `-`, `_` or `.`, or a new one. The gateway's log has it for a 5xx.", json!("01a20adf-d882-71da-811d-f2af39983ab1")),
        ("Location", text(), "The path of the job or bulk operation.", json!("/v1/jobs/01a20adf-d882-71da-811d-f2af39983ab1")),
        ("ETag", text(), "The version of a waiting job, for `If-Match`. Only scheduled and ready jobs have one.", json!("\"0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33\"")),
        ("Idempotent-Replayed", json!({"type": "string", "enum": ["true"]}), "An earlier request with the same key stored the job or bulk operation.", json!("true")),
        ("Preference-Applied", text(), "The wait that was applied, in seconds.", json!("wait=30")),
        ("Retry-After", number(), "Seconds after which the request may be sent again.", json!(1)),
        ("Accept-Encoding", text(), "The encodings that a body may have.", json!("identity")),
        ("Cache-Control", text(), "Streams are not stored.", json!("no-store")),
        ("RateLimit", text(), "What is left of each limit (draft-ietf-httpapi-ratelimit-headers): requests or jobs `r`, and seconds `t` until it is full again.", json!("\"minute\";r=59;t=1, \"hour\";r=999;t=4")),
        ("RateLimit-Policy", text(), "Each limit: its quota `q` per window of `w` seconds.", json!("\"minute\";q=60;w=60, \"hour\";q=1000;w=3600")),
        ("X-RateLimit-Limit", number(), "Requests per minute.", json!(60)),
        ("X-RateLimit-Remaining", number(), "Requests that are left of the minute's.", json!(59)),
        ("X-RateLimit-Reset", number(), "When the limit of the minute is full again, Unix seconds.", json!(1_795_478_772)),
        ("X-RateLimit-Hour-Limit", number(), "Requests per hour.", json!(1_000)),
        ("X-RateLimit-Hour-Remaining", number(), "Requests that are left of the hour's.", json!(999)),
        ("X-RateLimit-Hour-Reset", number(), "When the limit of the hour is full again, Unix seconds.", json!(1_795_478_775)),
    ]
    .map(|(name, schema, about, example)| {
        let header = HeaderBuilder::new().schema(Some(plain(&schema))).description(Some(about));
        (name, header.example(Some(example)).build())
    })
    .into()
}

/// The headers of requests, by their names among the document's parameters.
pub(super) fn of_requests() -> Vec<(&'static str, Parameter)> {
    let parameter = |id, name: &str, about: &str, schema: Value, example: Value| {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
        let parameter =
            parameter.required(Required::False).description(Some(about)).schema(Some(plain(&schema)));
        (id, parameter.example(Some(example)).build())
    };
    vec![
        parameter(
            "IdempotencyKey",
            "Idempotency-Key",
            "Makes it safe to repeat the request: it is carried out once per key, queue and body, for 24 hours. \
             Printable ASCII; `\"k\"` and `k` are the same key.",
            json!({"type": "string", "minLength": 1, "maxLength": 255}),
            json!("order-42"),
        ),
        parameter(
            "IfMatch",
            "If-Match",
            "The `ETag` of an earlier reply with its quotes, or `*`. If somebody changed the job meanwhile, nothing \
             is changed and the reply is 412.",
            json!({"type": "string"}),
            json!("\"0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33\""),
        ),
        parameter(
            "Prefer",
            "Prefer",
            "`wait=30` (RFC 7240): answer when the job has finished, or after so many seconds, at most 55.",
            json!({"type": "string"}),
            json!("wait=30"),
        ),
        parameter(
            "Traceparent",
            "traceparent",
            "The span that the job comes from (W3C Trace Context). It travels with the job.",
            json!({"type": "string"}),
            json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ),
        parameter(
            "Tracestate",
            "tracestate",
            "What tracing systems add to `traceparent`; 512 bytes travel with the job.",
            json!({"type": "string"}),
            json!("vendor=value"),
        ),
    ]
}
