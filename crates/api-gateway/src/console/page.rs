//! Rendering of a template as a reply, and the formats that pages share.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use askama::Template;
use jiff::Timestamp;

use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::replies::Reply;

/// Pages have no scripts, and load nothing from other sites.
const POLICY: (&str, &str) = (
    "content-security-policy",
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

pub(super) fn render(status: StatusCode, template: &impl Template) -> Reply {
    let html = template.render().map_err(|error| Problem::new(Slug::Internal, format!("a page: {error}")))?;
    Ok(HttpResponse::build(status).content_type(ContentType::html()).insert_header(POLICY).body(html))
}

pub(super) fn time(instant: &Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}
