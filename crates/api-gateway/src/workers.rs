//! `GET /v1/workers`: the live ones. A registration goes by itself when its worker does.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use crate::gateway::Gateway;
use crate::problem::Problem;

pub(crate) async fn list(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "items": gateway.client.workers().await? })))
}
