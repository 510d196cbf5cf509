//! The gateway: HTTP in front of the queue.
//!
//! The path of a request: `http::envelope` (request id, errors as problem documents) → `http::cross_site` → `routes` →
//! `http::limits`, where the route is limited → a handler in `api` or `console` → `http::body` and
//! `atode_jobs::JobRules` → the queue. Every error is a `Problem`. actix itself refuses, with a bare 400, 408 or 431,
//! bytes that are not an HTTP request.

mod api;
mod command;
mod console;
mod gateway;
mod http;
mod openapi;
mod routes;

pub use atode_config::Build;
pub use command::main;
