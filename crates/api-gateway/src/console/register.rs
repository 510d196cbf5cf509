//! `GET /register`, `POST /register`: the form that registers a job.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use atode_config::traces::Trace;
use atode_jobs::{FieldError, JobRequest, KeySource, KnownKind, duration_text};
use atode_queue::JobView;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::enqueue::store;
use crate::console::{page, payload_example};
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::json;
use crate::http::limits::limit_jobs;
use crate::http::problem::Problem;
use crate::http::replies::Reply;
use crate::http::traces::trace_of;

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage<'a> {
    kinds: Vec<KnownKind<'a>>,
    form: &'a Form,
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kind: String,
    payload: String,
    delay: String,
    max_retries: String,
}

/// The fields that are kept when a person asks for the example of another kind. The form sends its payload as well,
/// which the example replaces.
#[derive(Deserialize)]
pub(crate) struct FormQuery {
    kind: Option<String>,
    delay: Option<String>,
    max_retries: Option<String>,
}

/// The form with an example payload of the kind.
pub(crate) async fn form(gateway: Data<Gateway>, query: Query<FormQuery>) -> Reply {
    let FormQuery { kind, delay, max_retries } = query.into_inner();
    let named = kind.and_then(|kind| gateway.rules.find(&kind));
    let kind = named.or_else(|| gateway.rules.kinds().into_iter().next());
    let form = Form {
        kind: kind.as_ref().map_or_else(String::new, |kind| kind.name().to_string()),
        payload: kind.map_or_else(|| "{}".to_owned(), |kind| payload_example::of_schema(kind.schema())),
        delay: delay.unwrap_or_else(|| "5s".to_owned()),
        max_retries: max_retries.unwrap_or_default(),
    };
    render(&gateway, StatusCode::OK, &form, Vec::new())
}

/// Stores the job and redirects to its page, or shows the form again with its errors.
pub(crate) async fn submit(gateway: Data<Gateway>, request: HttpRequest, payload: Payload) -> Reply {
    let body = body::read(&gateway, &request, payload, body::FORM, gateway.max_body_bytes).await?;
    // A form has the same encoding as a query.
    let form = Query::<Form>::from_query(json::text(&body)?);
    let form = form.map_err(|error| Problem::malformed(format!("the form: {error}")))?;
    limit_jobs(&gateway, &request, 1).await?;
    match store_form(&gateway, &form, trace_of(&request)).await {
        Ok(job) => {
            Ok(HttpResponse::SeeOther().insert_header((LOCATION, format!("/jobs/{}", job.id))).finish())
        }
        Err(problem) => {
            let status = problem.status;
            let mut reply = render(&gateway, status, &form, problem.clone().into_errors(""))?;
            reply.extensions_mut().insert(problem);
            Ok(reply)
        }
    }
}

/// `GET /dm-jobqueue`, the address of the old service's page.
pub(crate) async fn old_page() -> HttpResponse {
    HttpResponse::Found().insert_header((LOCATION, "/register")).finish()
}

async fn store_form(gateway: &Gateway, form: &Form, trace: Option<Trace>) -> Result<JobView, Problem> {
    let payload = match form.payload.trim() {
        "" => "{}",
        payload => payload,
    };
    let payload: &RawValue = serde_json::from_str(payload)
        .map_err(|error| Problem::invalid_field("/payload", format!("not JSON: {error}")))?;
    let mut request = JobRequest::new(&form.kind, payload);
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    request.delay = filled(&form.delay).map(Value::from);
    request.max_retries =
        filled(&form.max_retries).map(|text| text.parse::<u64>().map_or(Value::from(text), Value::from));
    let prepared = gateway.rules.prepare(&request, "", KeySource::Header(None), gateway.client.now())?;
    Ok(store(gateway, prepared, trace).await?.1)
}

fn render(gateway: &Gateway, status: StatusCode, form: &Form, errors: Vec<FieldError>) -> Reply {
    page::render(status, &RegisterPage { kinds: gateway.rules.kinds(), form, errors })
}
