//! Pages for people: start, register a job, watch a job, what a problem means. Plain HTML made on
//! the server.

use actix_web::http::header::{LOCATION, ContentType};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::HttpResponse;
use askama::Template;
use atode_queue::{JobId, JobView, QueueView, Registration};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::gateway::Gateway;
use crate::kinds;
use crate::new_job::{JobRequest, KeySource};
use crate::problem::{About, FieldError, Problem, Slug};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    queues: Result<Vec<QueueView>, String>,
    workers: Result<Vec<Registration>, String>,
}

/// `GET /`
pub(crate) async fn home(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    let queues = gateway.all_queues().await.map_err(|problem| problem.detail().to_owned());
    let workers = gateway.client.workers().await.map_err(|error| error.to_string());
    page(StatusCode::OK, &Home { queues, workers })
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

/// `GET /register`
pub(crate) async fn register_form(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    let form = RegisterForm {
        kind: gateway.registry.kinds().next().map_or_else(String::new, |kind| kind.name.to_string()),
        payload: r#"{"message": "Hello"}"#.to_owned(),
        delay: "5s".to_owned(),
        max_retries: String::new(),
    };
    render_register(&gateway, StatusCode::OK, &form, Vec::new())
}

/// `POST /register`
pub(crate) async fn register(gateway: Data<Gateway>, form: Form<RegisterForm>) -> Result<HttpResponse, Problem> {
    match gateway.register(&form).await {
        Ok(job) => Ok(HttpResponse::SeeOther().insert_header((LOCATION, format!("/jobs/{}", job.id))).finish()),
        Err(problem) => {
            let status = problem.status();
            let errors = problem.into_errors("");
            render_register(&gateway, status, &form, errors)
        }
    }
}

impl Gateway {
    async fn register(&self, form: &RegisterForm) -> Result<JobView, Problem> {
        let payload: &RawValue = serde_json::from_str(form.payload.trim())
            .map_err(|error| Problem::invalid_field("/payload", format!("not JSON: {error}")))?;
        let mut request = JobRequest::new(&form.kind, payload);
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        request.delay = filled(&form.delay);
        request.max_retries = filled(&form.max_retries)
            .map(|text| text.parse().map_err(|_| Problem::invalid_field("/max_retries", "a whole number, 0 to 1000")))
            .transpose()?;
        let prepared = self.prepare(request, "", KeySource::Header(None), "")?;
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
}

/// `GET /jobs/{id}`: reloads itself until the job has finished.
pub(crate) async fn job(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let id: JobId = id.parse().map_err(|_| Problem::not_found("there is no such job"))?;
    let job = gateway.find(id).await?.ok_or_else(|| {
        Problem::not_found(format!("there is no job {id}; finished jobs are kept for a while, then removed"))
    })?;
    let state = job.state.map_or_else(|| "gone".to_owned(), |state| state.to_string());
    page(StatusCode::OK, &JobPage { job, state })
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

fn page(status: StatusCode, template: &impl Template) -> Result<HttpResponse, Problem> {
    let html = template.render().map_err(|error| Problem::new(Slug::Internal, format!("a page: {error}")))?;
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(html))
}
