//! `GET /v1/queues` and `GET /v1/queues/{queue}`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use atode_queue::QueueView;
use serde_json::json;

use crate::gateway::Gateway;
use crate::problem::Problem;

pub(crate) async fn list(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "items": gateway.all_queues().await? })))
}

pub(crate) async fn show(gateway: Data<Gateway>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let is_configured = gateway.queues.iter().any(|queue| **queue == **name);
    if !is_configured && !gateway.client.queue_names().await?.contains(&*name) {
        return Err(Problem::not_found(format!("there is no queue {:?}; GET /v1/queues lists them", *name)));
    }
    Ok(HttpResponse::Ok().json(gateway.client.queue(&name).await?))
}

impl Gateway {
    /// The configured queues, then those that jobs were left in when the configuration dropped them.
    pub(crate) async fn all_queues(&self) -> Result<Vec<QueueView>, Problem> {
        let unconfigured = self.unconfigured_queues().await?;
        let names = self.queues.iter().chain(&unconfigured);
        Ok(futures_util::future::try_join_all(names.map(|name| self.client.queue(name))).await?)
    }
}
