//! `GET /`: the queues and the workers.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;
use atode_queue::{QueueView, Registration};
use futures_util::future::try_join;

use crate::api::queues::all_queues;
use crate::console::page;
use crate::gateway::Gateway;
use crate::http::problem::Problem;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    /// The queues and the workers, or the reason why they cannot be shown.
    overview: Result<(Vec<QueueView>, Vec<Registration>), String>,
}

pub(crate) async fn show(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    let workers = async { Ok(gateway.client.workers().await?) };
    let overview = try_join(all_queues(&gateway), workers).await;
    let overview = overview.map_err(|problem: Problem| problem.detail().to_owned());
    page::render(StatusCode::OK, &Home { overview })
}
