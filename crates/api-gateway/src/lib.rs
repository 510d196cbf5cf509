//! The gateway: HTTP in front of the queue.
//!
//! A request's way: `envelope` (request id, errors as problem documents) → `cross_site` → `routes` → `limit`, where the route
//! is limited → a handler (`jobs`, `queues`, `pages`, …) → `body` and `new_job` (what may be enqueued) → the queue. Whatever goes
//! wrong is a `Problem`, and `problem` alone says how it looks in HTTP. actix refuses by itself, with a bare
//! 400, 408 or 431, what is no HTTP request.

mod batch;
mod body;
mod command;
mod cross_site;
mod dm_jobqueue_handler;
mod envelope;
mod example;
mod gateway;
mod health;
mod jobs;
mod kinds;
mod limit;
mod metrics;
mod new_job;
mod operations;
mod pages;
mod problem;
mod queues;
mod reply;
mod room;
mod routes;
mod serve;
mod served;
mod workers;

pub use atode_config::Build;
pub use command::main;
pub use serve::serve;
