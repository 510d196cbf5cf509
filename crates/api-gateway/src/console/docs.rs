//! `GET /docs`: the OpenAPI document for people.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;

use crate::console::docs_view::{Group, Payload, SchemaView, Told, groups, payloads, schemas};
use crate::console::page;
use crate::gateway::Gateway;
use crate::http::replies::Reply;

#[derive(Template)]
#[template(path = "docs.html")]
struct Docs {
    version: String,
    about: Told,
    groups: Vec<Group>,
    payloads: Vec<Payload>,
    schemas: Vec<SchemaView>,
}

pub(crate) async fn show(gateway: Data<Gateway>) -> Reply {
    let document = gateway.openapi.document(&gateway.rules);
    let docs = Docs {
        version: document["info"]["version"].as_str().unwrap_or_default().to_owned(),
        about: Told::of(&document["info"]["description"]),
        groups: groups(&document),
        payloads: payloads(&document),
        schemas: schemas(&document),
    };
    page::render(StatusCode::OK, &docs)
}
