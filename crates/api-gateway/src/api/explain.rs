//! `GET /v1/jobs/{id}/explain`: why a job is not running, and what to do about it.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use atode_queue::{Facts, JobId};

use crate::api::lookup::{parse_id, unconfigured_queues, unknown_job};
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::queue_errors::of_explain;
use crate::http::replies::{self, Reply};
use crate::http::unread::NoQuery;

pub(crate) async fn show(gateway: Data<Gateway>, id: Path<String>, _: NoQuery) -> Reply {
    let id = parse_id(&id)?;
    let facts = in_time(find(&gateway, id), of_explain).await?;
    let mut facts = facts.ok_or_else(|| unknown_job(&gateway, id))?;
    facts.max_retries = facts.max_retries.or_else(|| gateway.rules.max_retries(&facts.kind));
    replies::json(StatusCode::OK, &facts.explain())
}

/// Looks where [`lookup::job`](crate::api::lookup::job) looks.
async fn find(gateway: &Gateway, id: JobId) -> Result<Option<Facts>, Problem> {
    let found = gateway.client.explain(&gateway.queues, id).await.map_err(of_explain)?;
    if found.is_some() {
        return Ok(found);
    }
    let unconfigured = unconfigured_queues(gateway).await?;
    gateway.client.explain(&unconfigured, id).await.map_err(of_explain)
}
