//! `GET /v1/queues`, `GET /v1/queues/{queue}`, `POST /v1/queues/{queue}/pause`, `/resume`, `/redrive`, `/purge`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use atode_queue::{MAX_BATCH, QueueView, State};
use futures_util::future::{try_join, try_join_all};
use serde::Deserialize;
use serde_json::json;

use crate::api::lookup::unconfigured_queues;
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::queue_errors;

pub(crate) async fn list(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    let queues = async {
        let workers = async { Ok(gateway.client.workers().await?) };
        let (queues, workers) = try_join(all_queues(&gateway), workers).await?;
        Ok(queues.into_iter().map(|queue| queue.with_workers(&workers)).collect::<Vec<_>>())
    };
    let queues = in_time(queues, Problem::from).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": queues })))
}

pub(crate) async fn show(gateway: Data<Gateway>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let queue = async {
        check_exists(&gateway, &name).await?;
        view(&gateway, &name).await
    };
    Ok(HttpResponse::Ok().json(in_time(queue, Problem::from).await?))
}

pub(crate) async fn pause(gateway: Data<Gateway>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let paused = async {
        check_exists(&gateway, &name).await?;
        gateway.client.pause(&name).await.map_err(queue_errors::of_change)?;
        view(&gateway, &name).await
    };
    Ok(HttpResponse::Ok().json(in_time(paused, queue_errors::of_change).await?))
}

pub(crate) async fn resume(gateway: Data<Gateway>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let resumed = async {
        check_exists(&gateway, &name).await?;
        gateway.client.resume(&name).await.map_err(queue_errors::of_change)?;
        view(&gateway, &name).await
    };
    Ok(HttpResponse::Ok().json(in_time(resumed, queue_errors::of_change).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedriveQuery {
    kind: Option<String>,
}

/// Redrives the jobs that have been dead longest. If `remaining` is above 0, the client calls again.
pub(crate) async fn redrive(
    gateway: Data<Gateway>,
    name: Path<String>,
    query: Query<RedriveQuery>,
) -> Result<HttpResponse, Problem> {
    let moved = async {
        check_exists(&gateway, &name).await?;
        let moved = gateway.client.redrive_queue(&name, query.kind.as_deref(), MAX_BATCH).await;
        moved.map_err(queue_errors::of_change)
    };
    Ok(HttpResponse::Ok().json(in_time(moved, queue_errors::of_change).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurgeQuery {
    state: Option<String>,
    kind: Option<String>,
}

pub(crate) async fn purge(
    gateway: Data<Gateway>,
    name: Path<String>,
    query: Query<PurgeQuery>,
) -> Result<HttpResponse, Problem> {
    let state = parse_purged(query.state.as_deref())?;
    let moved = async {
        check_exists(&gateway, &name).await?;
        let moved = gateway.client.purge(&name, state, query.kind.as_deref(), MAX_BATCH).await;
        moved.map_err(queue_errors::of_change)
    };
    Ok(HttpResponse::Ok().json(in_time(moved, queue_errors::of_change).await?))
}

/// The state whose jobs are purged. It has no default.
fn parse_purged(state: Option<&str>) -> Result<State, Problem> {
    let states = [State::Scheduled, State::Ready, State::Completed, State::Cancelled, State::Dead];
    let named = states.into_iter().find(|known| state.is_some_and(|state| known.to_string() == state));
    named.ok_or_else(|| {
        let states = states.map(|state| state.to_string()).join(", ");
        Problem::malformed(match state {
            None => format!("the state of the jobs to purge is missing: `?state=` takes one of {states}"),
            Some("active") => "active jobs cannot be purged; cancel them first".to_owned(),
            Some(_) => format!("`?state=` takes one of {states}"),
        })
    })
}

/// The configured queues, then the unconfigured ones that hold or held jobs.
pub(crate) async fn all_queues(gateway: &Gateway) -> Result<Vec<QueueView>, Problem> {
    let unconfigured = unconfigured_queues(gateway).await?;
    let names = gateway.queues.iter().chain(&unconfigured);
    Ok(try_join_all(names.map(|name| gateway.client.queue(name))).await?)
}

async fn check_exists(gateway: &Gateway, name: &str) -> Result<(), Problem> {
    let is_configured = gateway.queues.iter().any(|queue| **queue == *name);
    if is_configured || gateway.client.queue_names().await?.contains(name) {
        return Ok(());
    }
    Err(Problem::not_found(format!("there is no queue {name:?}; GET /v1/queues lists the queues")))
}

async fn view(gateway: &Gateway, name: &str) -> Result<QueueView, Problem> {
    let (queue, workers) = try_join(gateway.client.queue(name), gateway.client.workers()).await?;
    Ok(queue.with_workers(&workers))
}
