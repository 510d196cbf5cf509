//! `GET /v1/workers`: the live workers. `POST /v1/workers/{id}/quiet`, `/stop`: requests to one of them.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use atode_queue::{Asked, Items, WorkerId, WorkerRequest, absent};

use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::queue_errors;
use crate::http::replies::Reply;
use crate::http::unread::{NoQuery, PathOnly};

pub(crate) async fn list(gateway: Data<Gateway>, _: NoQuery) -> Reply {
    let items = in_time(async { Ok(gateway.client.workers().await?) }, Problem::from).await?;
    Ok(HttpResponse::Ok().json(Items { items }))
}

pub(crate) async fn quiet(gateway: Data<Gateway>, id: Path<String>, _: PathOnly) -> Reply {
    ask(&gateway, &id, WorkerRequest::Quiet).await
}

pub(crate) async fn stop(gateway: Data<Gateway>, id: Path<String>, _: PathOnly) -> Reply {
    ask(&gateway, &id, WorkerRequest::Stop).await
}

/// Answers 202: the worker learns of the request at once if it receives messages, otherwise with its next heartbeat.
async fn ask(gateway: &Gateway, id: &str, request: WorkerRequest) -> Reply {
    let id: WorkerId = id.parse().map_err(|error| Problem::malformed(format!("{error}")))?;
    if !gateway.client.ask_worker(id, request).await.map_err(queue_errors::of_change)? {
        return Err(Problem::not_found(absent::worker(id)));
    }
    Ok(HttpResponse::Accepted().json(Asked { id, requested: request }))
}
