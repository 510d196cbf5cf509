//! Integration tests on real processes: a `redis-server` per test, the workspace's binaries, HTTP requests to them, a
//! bad network between them, and waiting with a deadline.
//!
//! Everything here panics with a clear message when it fails, and cleans up when it is dropped. Keep a server or a
//! process in the test that uses it: a `static` is never dropped and would leave the process running.
//!
//! The API is synchronous, so that plain tests and tokio tests can use it. The exception is HTTP ([`Service::get`] and
//! similar calls, [`Http`]): it blocks and panics inside a tokio runtime, so end-to-end tests are plain `#[test]`s.

#![expect(clippy::print_stderr, reason = "a failed test shows what its processes wrote; libtest captures it")]
#![expect(clippy::must_use_candidate, reason = "callers that ignore a result want only the effect")]

mod bandwidth;
mod binaries;
mod child;
mod clock;
mod collector;
mod eventually;
mod http;
mod network;
mod output;
mod port;
mod process;
mod proxy;
mod redis;
mod redis_acl;
mod redis_builder;
mod redis_cluster;
mod redis_faults;
mod redis_sentinel;
mod resp;
mod service;

pub use binaries::{binary, workspace_root};
pub use clock::Clock;
pub use collector::{Collector, Link, Span};
pub use eventually::{eventually, eventually_async, poll};
pub use http::{Http, Request, Response};
pub use nix::sys::signal::Signal;
pub use output::Stream;
pub use process::{Process, ProcessBuilder, Started};
pub use proxy::Proxy;
pub use redis::RedisServer;
pub use redis_acl::AclUser;
pub use redis_builder::RedisBuilder;
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;
pub use resp::{Connection, Reply};
pub use service::{Binary, Gateway, GatewayBinary, Service, ServiceBuilder, Worker, WorkerBinary};
