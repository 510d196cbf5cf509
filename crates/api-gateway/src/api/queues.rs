//! `/v1/queues`: look at them, pause and resume, redrive and purge in steps.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use atode_queue::{MAX_BATCH, QueueView, State};
use futures_util::future::{try_join, try_join_all};
use serde::Deserialize;
use serde_json::json;

use crate::gateway::{Gateway, in_time};
use crate::http::problem::Problem;

pub(crate) async fn list(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    let queues = async {
        let workers = async { Ok(gateway.client.workers().await?) };
        let (queues, workers) = try_join(gateway.all_queues(), workers).await?;
        Ok(queues.into_iter().map(|queue| queue.with_workers(&workers)).collect::<Vec<_>>())
    };
    let queues = in_time(queues, Problem::from).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": queues })))
}

pub(crate) async fn show(gateway: Data<Gateway>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let queue = async {
        gateway.check_queue(&name).await?;
        gateway.queue(&name).await
    };
    Ok(HttpResponse::Ok().json(in_time(queue, Problem::from).await?))
}

pub(crate) async fn pause(gateway: Data<Gateway>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let paused = async {
        gateway.check_queue(&name).await?;
        gateway.client.pause(&name).await.map_err(Problem::of_change)?;
        gateway.queue(&name).await
    };
    Ok(HttpResponse::Ok().json(in_time(paused, Problem::of_change).await?))
}

pub(crate) async fn resume(gateway: Data<Gateway>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let resumed = async {
        gateway.check_queue(&name).await?;
        gateway.client.resume(&name).await.map_err(Problem::of_change)?;
        gateway.queue(&name).await
    };
    Ok(HttpResponse::Ok().json(in_time(resumed, Problem::of_change).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedriveQuery {
    kind: Option<String>,
}

/// Jobs that died first go first. `remaining` above 0: call again.
pub(crate) async fn redrive(
    gateway: Data<Gateway>,
    name: Path<String>,
    query: Query<RedriveQuery>,
) -> Result<HttpResponse, Problem> {
    let moved = async {
        gateway.check_queue(&name).await?;
        let moved = gateway.client.redrive_queue(&name, query.kind.as_deref(), MAX_BATCH).await;
        moved.map_err(Problem::of_change)
    };
    Ok(HttpResponse::Ok().json(in_time(moved, Problem::of_change).await?))
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
    let state = purged(query.state.as_deref())?;
    let moved = async {
        gateway.check_queue(&name).await?;
        let moved = gateway.client.purge(&name, state, query.kind.as_deref(), MAX_BATCH).await;
        moved.map_err(Problem::of_change)
    };
    Ok(HttpResponse::Ok().json(in_time(moved, Problem::of_change).await?))
}

/// Which jobs to purge: a state has to be named.
fn purged(state: Option<&str>) -> Result<State, Problem> {
    let states = [State::Scheduled, State::Ready, State::Completed, State::Cancelled, State::Dead];
    let named = states.into_iter().find(|known| state.is_some_and(|state| known.to_string() == state));
    named.ok_or_else(|| {
        let states = states.map(|state| state.to_string()).join(", ");
        Problem::malformed(match state {
            None => format!("which jobs to purge is missing: `?state=` takes one of {states}"),
            Some("active") => "active jobs cannot be purged; cancel them first".to_owned(),
            Some(_) => format!("`?state=` takes one of {states}"),
        })
    })
}

impl Gateway {
    async fn check_queue(&self, name: &str) -> Result<(), Problem> {
        let is_configured = self.queues.iter().any(|queue| **queue == *name);
        if is_configured || self.client.queue_names().await?.contains(name) {
            return Ok(());
        }
        Err(Problem::not_found(format!("there is no queue {name:?}; GET /v1/queues lists them")))
    }

    async fn queue(&self, name: &str) -> Result<QueueView, Problem> {
        let (queue, workers) = try_join(self.client.queue(name), self.client.workers()).await?;
        Ok(queue.with_workers(&workers))
    }

    /// The configured queues, then those that jobs were left in when the configuration dropped them.
    pub(crate) async fn all_queues(&self) -> Result<Vec<QueueView>, Problem> {
        let unconfigured = self.unconfigured_queues().await?;
        let names = self.queues.iter().chain(&unconfigured);
        Ok(try_join_all(names.map(|name| self.client.queue(name))).await?)
    }
}
