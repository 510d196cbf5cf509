//! The gateway: HTTP in front of the queue.
//!
//! A request's way: `envelope` (request id, errors as problem documents) → `limit` → a handler (`jobs`,
//! `queues`, `pages`, …) → `body` and `new_job` (what may be enqueued) → the queue. Whatever goes
//! wrong is a `Problem`, and `problem` alone says how it looks in HTTP. What is no request at all never
//! comes this way: `unparsed` sees to its reply.

mod batch;
mod body;
mod command;
mod dm_jobqueue_handler;
mod envelope;
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
mod routes;
mod serve;
mod unparsed;
mod workers;

pub use command::main;
pub use serve::serve;
