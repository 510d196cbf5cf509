//! `GET /v1/jobs`: pages of jobs, with filters and counts.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use atode_jobs::{JobList, ListRequest};

use crate::api::lookup::all_queues;
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::replies::{self, Reply};

pub(crate) async fn list(gateway: Data<Gateway>, request: Query<ListRequest>) -> Reply {
    replies::json(StatusCode::OK, &in_time(read(&gateway, &request), Problem::from).await?)
}

async fn read(gateway: &Gateway, request: &ListRequest) -> Result<JobList, Problem> {
    let _permit = gateway.lookups.acquire().await;
    let queues = all_queues(gateway).await?;
    Ok(request.read(&gateway.client, &gateway.rules, &queues).await?)
}
