//! `GET /openapi.json`: the OpenAPI document, with the kinds that this gateway knows now.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Data;

use crate::gateway::Gateway;

pub(crate) async fn show(gateway: Data<Gateway>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(gateway.openapi.json(&gateway.rules))
}
