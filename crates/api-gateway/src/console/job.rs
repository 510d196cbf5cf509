//! `GET /jobs/{id}`: one job. The page reloads itself until the job has finished.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use atode_queue::{JobId, JobView, State};

use crate::api::lookup;
use crate::console::page::{self, time};
use crate::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::replies::Reply;

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    job: JobView,
    /// The state as the API names it, or `gone`.
    state: String,
    /// The time until a scheduled job is due, such as `4.2 s`.
    due_in: Option<String>,
}

pub(crate) async fn show(gateway: Data<Gateway>, id: Path<String>) -> Reply {
    let id: JobId =
        id.parse().map_err(|error| Problem::not_found(format!("there is no such job: {error}")))?;
    let job = lookup::job(&gateway, id).await?;
    let state = job.state.map_or_else(|| "gone".to_owned(), |state| state.to_string());
    let due = job.due_at.filter(|_| job.state == Some(State::Scheduled));
    let wait = due.map(|due| due.as_millisecond() - gateway.client.now());
    let due_in = wait.map(|wait| format!("{:.1} s", wait.max(0) as f64 / 1_000.0));
    page::render(StatusCode::OK, &JobPage { job, state, due_in })
}
