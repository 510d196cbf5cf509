//! Rate limits: how many requests, and how many jobs, a client may send.
//!
//! One [`RateLimiter`] stands before one of two backends, which decide alike: this process' memory
//! (governor), or a Redis, single or cluster, that all gateways share. The shared one may fail
//! without hurting anybody: each decision has a deadline, a circuit breaker keeps requests from
//! waiting for a backend that is away, and what happens then is configured.

mod breaker;
mod connect;
mod counted;
mod decision;
mod denials;
mod gather;
mod limiter;
mod memory;
mod policy;
mod remote;
mod shared;
mod subject;
mod tally;

pub use decision::{Decision, Denial, Quota};
pub use limiter::{RateLimiter, Settings, StartError};
pub use memory::MAX_CLIENTS;
pub use policy::{Limits, Window};
pub use subject::Subject;
