//! Rate limits: how many requests and jobs a client may send.
//!
//! A [`RateLimiter`] has one of two backends, which make the same decisions: the memory of this process, or a Redis
//! (single or cluster) that all gateways share. A failure of the shared backend does not hurt clients: each decision has a
//! deadline, a circuit breaker keeps requests from waiting while the backend is away, and the configuration says how
//! requests are decided meanwhile.

mod connect;
mod decision;
mod denials;
mod limiter;
mod memory;
mod metrics;
mod policy;
mod remote;
mod shared;
mod shared_calls;
mod subject;

pub use connect::StartError;
pub use decision::{Decision, Denial, Quota};
pub use limiter::RateLimiter;
pub use memory::MAX_CLIENTS;
pub use policy::Window;
pub use subject::Subject;
