//! The delay queue: jobs on Redis sorted sets, one Lua script a state transition.
//!
//! A job's state is the set that its id is in, and each set belongs to one kind of one queue
//! (all keys are made in `keys.rs`; each script lies beside the function that calls it). The crate knows
//! no concrete job and no HTTP.
//!
//! [`Client`] is the one way in: enqueue, claim, settle, extend, reap, operate, register, read,
//! audit.

#![expect(clippy::must_use_candidate, reason = "of what matters when it is dropped, the type says so")]

mod audit;
mod budget;
mod client;
mod error;
mod keys;
mod model;
mod producer;
mod redis;
mod retention;
mod scripts;
mod transitions;
mod view;
mod workers;

pub use audit::{Audit, Finding, Repaired, Wrong};
pub use budget::Budget;
pub use client::Client;
pub use error::{Error, RefusalCode};
pub use model::id::{InvalidId, JobId, WorkerId};
pub use model::lease::{ExpiredLease, FencingToken, Lease, LeaseRef};
pub use model::record::{Durability, Failure, FailureCause, History, Record, Run, WorkerRef};
pub use redis::connection::Connection;
pub use redis::inbox::Mail;
pub use redis::server::ServerFacts;
pub use redis::subscription::{Finished, Notices};
pub use retention::{MAX_FINISHED, MAX_FINISHED_BYTES};
pub use transitions::claim::{Claim, ClaimOptions, Claimed};
pub use transitions::enqueue::{Atomicity, Due, Enqueued, Idempotency, NewJob};
pub use transitions::operate::{Moved, Operated, Operation};
pub use transitions::put_back::{PutBack, Unreadable};
pub use transitions::reap::{Expired, ExpiredLeases, Reaped};
pub use transitions::settle::{Settled, Settlement, Verdict};
pub use transitions::unanswered::Unanswered;
pub use view::job::{AttemptView, Counts, JobView, KindCounts, QueueView, State};
pub use view::sampler::Sampler;
pub use workers::registration::{Departure, Fate, Registration, WorkerRequest, WorkerState};
pub use workers::wakeups::{Announcement, Drained, Heard, KindSet, Wakeups};

/// Ids a script call may touch at most: far below what Lua's `unpack` takes.
pub const MAX_BATCH: usize = 1_000;
