//! Pages for people: start, register a job, watch a job, what a problem means. Plain HTML made on
//! the server.

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, LOCATION};
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;
use atode_queue::{JobId, JobView, QueueView, Registration, State};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::kinds;
use crate::api::new_job::{JobRequest, KeySource};
use crate::console::example;
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::problem::{About, FieldError, Problem, Slug};

/// Pages have no scripts, and nothing from elsewhere.
const POLICY: (&str, &str) = (
    "content-security-policy",
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    /// Or why they cannot be seen now.
    seen: Result<(Vec<QueueView>, Vec<Registration>), String>,
}

/// `GET /`
pub(crate) async fn home(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    let workers = async { Ok(gateway.client.workers().await?) };
    let seen = futures_util::future::try_join(gateway.all_queues(), workers).await;
    page(StatusCode::OK, &Home { seen: seen.map_err(|problem: Problem| problem.detail().to_owned()) })
}

#[derive(Template)]
#[template(path = "register.html")]
struct Register<'a> {
    kinds: Vec<KindChoice>,
    form: &'a RegisterForm,
    errors: Vec<FieldError>,
}

struct KindChoice {
    name: String,
    delay: String,
    max_retries: u32,
    chosen: bool,
}

#[derive(Deserialize)]
pub(crate) struct RegisterForm {
    kind: String,
    payload: String,
    delay: String,
    max_retries: String,
}

/// What `GET /register` may say: all of the form is sent along when somebody asks for another kind's example.
#[derive(Deserialize)]
pub(crate) struct RegisterQuery {
    kind: Option<String>,
    delay: Option<String>,
    max_retries: Option<String>,
}

/// `GET /register?kind=`: the form, with an example of that kind's payload.
pub(crate) async fn register_form(
    gateway: Data<Gateway>,
    query: Query<RegisterQuery>,
) -> Result<HttpResponse, Problem> {
    let RegisterQuery { kind, delay, max_retries } = query.into_inner();
    let named = kind.and_then(|kind| gateway.registry.get(&kind));
    let kind = named.or_else(|| gateway.registry.kinds().next());
    let form = RegisterForm {
        kind: kind.map_or_else(String::new, |kind| kind.name.to_string()),
        payload: kind.map_or_else(|| "{}".to_owned(), |kind| example::payload(&kind.schema)),
        delay: delay.unwrap_or_else(|| "5s".to_owned()),
        max_retries: max_retries.unwrap_or_default(),
    };
    render_register(&gateway, StatusCode::OK, &form, Vec::new())
}

/// `POST /register`
pub(crate) async fn register(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&gateway, &request, payload, body::FORM, gateway.max_body_bytes).await?;
    // Forms are written as queries are.
    let form = Query::<RegisterForm>::from_query(body::text(&body)?);
    let form = form.map_err(|error| Problem::malformed(format!("the form: {error}")))?;
    gateway.limit_jobs(&request, 1).await?;
    match gateway.register(&form).await {
        Ok(job) => {
            Ok(HttpResponse::SeeOther().insert_header((LOCATION, format!("/jobs/{}", job.id))).finish())
        }
        Err(problem) => {
            let status = problem.status();
            let errors = problem.into_errors("");
            render_register(&gateway, status, &form, errors)
        }
    }
}

impl Gateway {
    async fn register(&self, form: &RegisterForm) -> Result<JobView, Problem> {
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
        let prepared = self.prepare(&request, "", KeySource::Header(None), "")?;
        Ok(self.enqueue_one(prepared).await?.1)
    }
}

fn render_register(
    gateway: &Gateway,
    status: StatusCode,
    form: &RegisterForm,
    errors: Vec<FieldError>,
) -> Result<HttpResponse, Problem> {
    let kinds = gateway
        .registry
        .kinds()
        .map(|kind| KindChoice {
            name: kind.name.to_string(),
            delay: kinds::text(kind.delay),
            max_retries: kind.max_retries,
            chosen: *kind.name == *form.kind,
        })
        .collect();
    page(status, &Register { kinds, form, errors })
}

/// `GET /dm-jobqueue`: where the old service had its page.
pub(crate) async fn old_register_page() -> HttpResponse {
    HttpResponse::Found().insert_header((LOCATION, "/register")).finish()
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    job: JobView,
    /// `scheduled`, `ready`, …
    state: String,
    /// The wait of a scheduled job, such as `4.2 s`.
    due_in: Option<String>,
}

/// `GET /jobs/{id}`: reloads itself until the job has finished.
pub(crate) async fn job(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let id: JobId =
        id.parse().map_err(|error| Problem::not_found(format!("there is no such job: {error}")))?;
    let job = gateway.job(id).await?;
    let state = job.state.map_or_else(|| "gone".to_owned(), |state| state.to_string());
    let now = gateway.client.now();
    let wait =
        job.due_at.filter(|_| job.state == Some(State::Scheduled)).map(|due| due.as_millisecond() - now);
    let due_in = wait.map(|wait| format!("{:.1} s", wait.max(0) as f64 / 1_000.0));
    page(StatusCode::OK, &JobPage { job, state, due_in })
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    about: About,
}

/// `GET /problems/{slug}`: what the `type` of a problem leads to.
pub(crate) async fn problem(slug: Path<String>) -> Result<HttpResponse, Problem> {
    let about = Slug::ALL.into_iter().map(Slug::about).find(|about| about.slug == *slug);
    let about = about.ok_or_else(|| Problem::not_found(format!("there is no problem {:?}", *slug)))?;
    page(StatusCode::OK, &ProblemPage { about })
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    problem: &'a Problem,
    about: About,
    request_id: &'a str,
}

/// A problem that a page has run into.
pub(crate) fn of_problem(problem: &Problem, request_id: &str) -> HttpResponse {
    let error = ErrorPage { problem, about: problem.slug.about(), request_id };
    page(problem.status(), &error).unwrap_or_else(|problem| problem.error_response())
}

/// An instant, for people.
fn at(instant: &Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}

fn page(status: StatusCode, template: &impl Template) -> Result<HttpResponse, Problem> {
    let html = template.render().map_err(|error| Problem::new(Slug::Internal, format!("a page: {error}")))?;
    Ok(HttpResponse::build(status).content_type(ContentType::html()).insert_header(POLICY).body(html))
}
