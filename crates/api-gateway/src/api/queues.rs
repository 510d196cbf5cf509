//! `GET /v1/queues`, `GET /v1/queues/{queue}`, `POST /v1/queues/{queue}/pause`, `/resume`, `/redrive`, `/purge`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use atode_queue::{Error, Items, MAX_BATCH, QueueView, Registration, State, absent};
use futures_util::future::{TryFutureExt as _, try_join, try_join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::filter::known_kind;
use crate::api::lookup::unconfigured_queues;
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::queue_errors;
use crate::http::replies::Reply;
use crate::http::unread::{NoBody, NoQuery, PathOnly};

pub(crate) async fn list(gateway: Data<Gateway>, _: NoQuery) -> Reply {
    let (queues, workers) = in_time(overview(&gateway), Problem::from).await?;
    let items = queues.into_iter().map(|queue| queue.with_workers(&workers)).collect();
    Ok(HttpResponse::Ok().json(Items::<QueueView> { items }))
}

pub(crate) async fn show(gateway: Data<Gateway>, name: Path<String>, _: NoQuery) -> Reply {
    existing(&gateway, &name, Problem::from, view(&gateway, &name)).await
}

pub(crate) async fn pause(gateway: Data<Gateway>, name: Path<String>, _: PathOnly) -> Reply {
    let paused = gateway.client.pause(&name).and_then(|()| view(&gateway, &name));
    existing(&gateway, &name, queue_errors::of_change, paused).await
}

pub(crate) async fn resume(gateway: Data<Gateway>, name: Path<String>, _: PathOnly) -> Reply {
    let resumed = gateway.client.resume(&name).and_then(|()| view(&gateway, &name));
    existing(&gateway, &name, queue_errors::of_change, resumed).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedriveQuery {
    /// Only the dead jobs of this kind.
    kind: Option<String>,
}

/// Redrives the jobs that have been dead longest. If `remaining` is above 0, the client calls again.
pub(crate) async fn redrive(
    gateway: Data<Gateway>,
    name: Path<String>,
    query: Query<RedriveQuery>,
    _: NoBody,
) -> Reply {
    known_kind(&gateway, query.kind.as_deref()).await?;
    let moved = gateway.client.redrive_queue(&name, query.kind.as_deref(), MAX_BATCH);
    existing(&gateway, &name, queue_errors::of_change, moved).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurgeQuery {
    /// The state of the jobs to delete. Active jobs cannot be purged.
    #[schemars(required, extend("enum" = ["scheduled", "ready", "completed", "cancelled", "dead"]))]
    state: Option<String>,
    /// Only the jobs of this kind.
    kind: Option<String>,
}

pub(crate) async fn purge(
    gateway: Data<Gateway>,
    name: Path<String>,
    query: Query<PurgeQuery>,
    _: NoBody,
) -> Reply {
    let state = parse_purged(query.state.as_deref())?;
    known_kind(&gateway, query.kind.as_deref()).await?;
    let moved = gateway.client.purge(&name, state, query.kind.as_deref(), MAX_BATCH);
    existing(&gateway, &name, queue_errors::of_change, moved).await
}

/// The queues (the configured ones, then the unconfigured ones that hold or held jobs) and the live workers.
pub(crate) async fn overview(gateway: &Gateway) -> Result<(Vec<QueueView>, Vec<Registration>), Problem> {
    let unconfigured = unconfigured_queues(gateway).await?;
    let names = gateway.queues.iter().chain(&unconfigured);
    let queues = try_join_all(names.map(|name| gateway.client.queue(name)));
    Ok(try_join(queues, gateway.client.workers()).await?)
}

/// Answers with the result of `work` if the queue exists. `problem` turns the errors of `work` into replies.
pub(crate) async fn existing<T: Serialize>(
    gateway: &Gateway,
    name: &str,
    problem: fn(Error) -> Problem,
    work: impl Future<Output = Result<T, Error>>,
) -> Reply {
    let done = async {
        let is_configured = gateway.queues.iter().any(|queue| **queue == *name);
        if is_configured || gateway.client.queue_names().await?.contains(name) {
            return work.await.map_err(problem);
        }
        Err(Problem::not_found(absent::queue(name)))
    };
    Ok(HttpResponse::Ok().json(in_time(done, problem).await?))
}

async fn view(gateway: &Gateway, name: &str) -> Result<QueueView, Error> {
    let (queue, workers) = try_join(gateway.client.queue(name), gateway.client.workers()).await?;
    Ok(queue.with_workers(&workers))
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
