//! `GET /`: the queues and the workers.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;
use atode_queue::{QueueView, Registration};

use crate::api::queues::overview;
use crate::console::page;
use crate::gateway::Gateway;
use crate::http::replies::Reply;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    /// The queues and the workers, or the reason why they cannot be shown.
    overview: Result<(Vec<QueueView>, Vec<Registration>), String>,
}

pub(crate) async fn show(gateway: Data<Gateway>) -> Reply {
    let overview = overview(&gateway).await.map_err(|problem| problem.detail);
    page::render(StatusCode::OK, &Home { overview })
}
