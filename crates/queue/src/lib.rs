//! The delay queue: jobs on Redis sorted sets, one Lua script a state transition.
//!
//! A job's state is the set that its id is in, and each set belongs to one kind of one queue
//! ([`keys`](self) are all made in `keys.rs`, scripts are all in `src/scripts`). The crate knows no
//! concrete job and no HTTP.
//!
//! [`Client`] is the one way in: enqueue, claim, settle, extend, reap, operate, register, read,
//! audit.

#![expect(clippy::must_use_candidate, reason = "of what matters when it is dropped, the type says so")]

mod access;
mod audit;
mod budget;
mod claim;
mod client;
mod clients;
mod clock;
mod coalesce;
mod connection;
mod crashes;
mod durable;
mod echo;
mod enqueue;
mod error;
mod fencing;
mod greet;
mod id;
mod inbox;
mod instant;
mod kept;
mod keys;
mod lease;
mod operate;
mod read;
mod reap;
mod record;
mod sample;
mod scripts;
mod server;
mod silence;
mod storing;
mod subscribe;
mod trim;
mod unanswered;
mod unreadable;
mod wakeup;
mod workers;

pub use audit::{Audit, Finding, Repaired, Wrong};
pub use budget::Budget;
pub use claim::{Claim, ClaimOptions, Claimed};
pub use client::Client;
pub use connection::Connection;
pub use enqueue::{Atomicity, Due, Enqueued, Idempotency, NewJob};
pub use error::{Error, RefusalCode};
pub use fencing::{ExpiredLease, FencingToken, Lease, LeaseRef};
pub use id::{InvalidId, JobId, WorkerId};
pub use inbox::Mail;
pub use kept::{MAX_FINISHED, MAX_FINISHED_BYTES};
pub use lease::{Settled, Settlement, Verdict};
pub use operate::{Moved, Operated, Operation};
pub use read::{AttemptView, Counts, JobView, KindCounts, QueueView, State};
pub use reap::{Expired, ExpiredLeases, Reaped};
pub use record::{Durability, Failure, FailureCause, History, Record, Run, WorkerRef};
pub use sample::Sampler;
pub use server::ServerFacts;
pub use subscribe::{Finished, Notices};
pub use unanswered::Unanswered;
pub use unreadable::{PutBack, Unreadable};
pub use wakeup::{Announcement, Drained, Heard, KindSet, Wakeups};
pub use workers::{Departure, Fate, Registration, WorkerRequest, WorkerState};

/// Ids a script call may touch at most: far below what Lua's `unpack` takes.
pub const MAX_BATCH: usize = 1_000;
