//! The delay queue: jobs on Redis sorted sets, one Lua script per state transition.
//!
//! The state of a job is the set that has its id, and each set belongs to one kind of one queue. `keys.rs` makes all
//! keys; each script lies beside the function that calls it. The crate knows no concrete job and no HTTP.
//!
//! All public calls are methods of [`Client`]. Each is one line in `client.rs`, which leads to the file of its script.
//! Below them, `core.rs` owns the connection and calls scripts.

#![expect(clippy::must_use_candidate, reason = "where dropping a value matters, its type says so")]

mod budget;
mod bulk;
mod catalogue;
mod client;
mod core;
mod error;
mod explain;
mod health;
mod history;
mod inspect;
mod keys;
mod known;
mod list;
pub mod metrics;
mod model;
mod producer;
mod published;
mod redis;
mod retention;
mod scripts;
mod transitions;
mod view;
mod wire;
mod workers;
mod wrong_types;

pub use crate::metrics::sampler::{Sampled, Sampler};
pub use budget::{Budget, MAX_BATCH};
pub use bulk::action::BulkAction;
pub use bulk::runner::MAX_RUNNING_BULKS;
pub use bulk::store::{
    Aborted, Bulks, Created, MAX_ENDED_BULKS, MAX_OPEN_BULKS, NewBulk, not_abortable, too_many_bulks,
};
pub use bulk::view::{BulkExample, BulkOutcome, BulkRunner, BulkState, BulkView};
pub use client::Client;
pub use error::{Error, RefusalCode};
pub use explain::explanation::{Check, CheckName, CheckResult, Explanation, Reason};
pub use explain::facts::Facts;
pub use explain::words::REDIS_AWAY;
pub use history::builds::Build;
pub use history::kind_history::KindHistory;
pub use history::ring::Window;
pub use history::stats::{Happened, MAX_SERIES, Numbers, Percentiles, Series, Stats};
pub use history::writer::HistoryWriter;
pub use inspect::facts::{JobFacts, Place, Placement, names_holder};
pub use inspect::groups::Miscount;
pub use inspect::inspection::Inspection;
pub use inspect::repair::{JobRepair, Target};
pub use inspect::scan::{JobHash, Scan, step};
pub use keys::Set;
pub use keys::names::{BulksKey, KeyName, KindsKey, QueueKey};
pub use list::cursor::{Cursor, InvalidCursor};
pub use list::facets::Facets;
pub use list::page::{JobPage, MAX_LISTED_PAYLOAD, Searched};
pub use list::query::{ListQuery, Order};
pub use list::selection::Retention;
pub use list::summary::JobSummary;
pub use model::fingerprint::{Fingerprint, InvalidFingerprint};
pub use model::history::{Failure, FailureCause, History};
pub use model::id::{BulkId, InvalidId, JobId, WorkerId};
pub use model::lease::{ExpiredLease, FencingToken, Lease, LeaseRef};
pub use model::new_job::{Atomicity, Due, Enqueued, Idempotency, NewJob};
pub use model::record::{Durability, Record};
pub use model::record_kind::RecordKind;
pub use model::run::{Run, WorkerRef};
pub use model::settlement::{Settled, Settlement, Verdict};
pub use model::state::State;
pub use model::unread::Unread;
pub use published::kinds::{
    HeldDecision, KindChanges, MAX_PUBLISHED_KINDS, Publication, PublishedAs, PublishedEntry, PublishedKinds,
    Publishing,
};
pub use redis::connection::Connection;
pub use redis::facts::ServerFacts;
pub use redis::inbox::{Inbox, Mail};
pub use retention::{MAX_FINISHED, MAX_FINISHED_BYTES};
pub use transitions::claim::{Claim, ClaimOptions, Claimed};
pub use transitions::edit::{Edit, Edited};
pub use transitions::operate::{Operated, Operation};
pub use transitions::operate_queue::Moved;
pub use transitions::recover::{Expired, ExpiredLeases, PutBack, Reaped, Unreadable};
pub use transitions::unanswered::Unanswered;
pub use view::absent;
pub use view::failures::{FailureExample, FailureGroup, Failures};
pub use view::finished::Finished;
pub use view::items::Items;
pub use view::job::{AttemptView, JobView};
pub use view::queue::{Age, Counts, KindCounts, QueueView};
pub use workers::announcement::{Announcement, Drained, KindSet};
pub use workers::registration::{Asked, Departure, Fate, Registration, WorkerRequest, WorkerState};
pub use workers::wakeups::{Heard, Wakeups};
