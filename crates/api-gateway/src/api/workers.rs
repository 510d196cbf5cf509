//! `/v1/workers`: the live ones, and what may be asked of them. A registration goes by itself when
//! its worker does.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use atode_queue::{WorkerId, WorkerRequest};
use serde_json::json;

use crate::gateway::{Gateway, in_time};
use crate::http::problem::Problem;

pub(crate) async fn list(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(
        json!({ "items": in_time(async { Ok(gateway.client.workers().await?) }, Problem::from).await? }),
    ))
}

pub(crate) async fn quiet(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    gateway.ask_worker(&id, WorkerRequest::Quiet).await
}

pub(crate) async fn stop(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    gateway.ask_worker(&id, WorkerRequest::Stop).await
}

impl Gateway {
    /// 202: the worker hears of it with its next heartbeat, at once where it listens.
    async fn ask_worker(&self, id: &str, request: WorkerRequest) -> Result<HttpResponse, Problem> {
        let id: WorkerId = id.parse().map_err(|error| Problem::malformed(format!("{error}")))?;
        if !self.client.ask_worker(id, request).await.map_err(Problem::of_change)? {
            return Err(Problem::not_found(format!(
                "no worker {id} lives; GET /v1/workers lists those that do"
            )));
        }
        Ok(HttpResponse::Accepted().json(json!({ "id": id, "requested": request })))
    }
}
