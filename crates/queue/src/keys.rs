//! Every key and channel in Redis. The keys of a queue share one hash tag, so that its scripts would also run on a
//! cluster.

pub(crate) mod names;

use std::sync::Arc;

use crate::model::id::{BulkId, WorkerId};
use crate::model::state::State;

/// Names of all keys below one prefix, `atode:` unless configured.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: Arc<str>,
}

/// The keys of one queue.
#[derive(Debug, Clone)]
pub(crate) struct QueueKeys {
    base: String,
}

/// The sets of one kind in one queue. The set that has the id of a job is the job's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    Due,
    Lease,
    Done,
    Cancelled,
    Dead,
}

impl Set {
    /// The order in which scripts take all of them.
    pub const ALL: [Set; 5] = [Set::Due, Set::Lease, Set::Done, Set::Cancelled, Set::Dead];

    pub fn name(self) -> &'static str {
        match self {
            Set::Due => "due",
            Set::Lease => "lease",
            Set::Done => "done",
            Set::Cancelled => "cancelled",
            Set::Dead => "dead",
        }
    }

    /// The state of a job in this set, given its score and the time, `now` (Unix ms).
    pub(crate) fn state(self, score: i64, now: i64) -> State {
        match self {
            Set::Due if score <= now => State::Ready,
            Set::Due => State::Scheduled,
            Set::Lease => State::Active,
            Set::Done => State::Completed,
            Set::Cancelled => State::Cancelled,
            Set::Dead => State::Dead,
        }
    }
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Keys { prefix: prefix.into() }
    }

    pub(crate) fn queue(&self, queue: &str) -> QueueKeys {
        QueueKeys { base: format!("{}{{{queue}}}:", self.prefix) }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Channel: a process publishes to itself to see whether messages arrive; `id` is the process' own.
    pub(crate) fn echo_channel(&self, id: &str) -> String {
        format!("{}echo:{id}", self.prefix)
    }

    /// SET of the names of all queues that ever held a job.
    pub(crate) fn queues(&self) -> String {
        format!("{}queues", self.prefix)
    }

    /// STRING: the number of the format in which jobs are stored.
    pub(crate) fn format(&self) -> String {
        format!("{}format", self.prefix)
    }

    /// STRING: tells this Redis from an emptied one; a process that finds none writes it.
    pub(crate) fn identity(&self) -> String {
        format!("{}identity", self.prefix)
    }

    /// STRING: written so that its arrival on the disk can be awaited.
    pub(crate) fn synced(&self) -> String {
        format!("{}synced", self.prefix)
    }

    /// ZSET worker id → instant (ms) at which its registration expires.
    pub(crate) fn workers(&self) -> String {
        format!("{}{{workers}}", self.prefix)
    }

    /// STRING: `quiet` or `stop`, the request to a worker; it expires with the registration.
    pub(crate) fn asked_of(&self, id: WorkerId) -> String {
        format!("{}:asked", self.worker(id))
    }

    /// STRING: the instant (ms) at which a worker had drained, with a TTL.
    pub(crate) fn stopped(&self, id: WorkerId) -> String {
        format!("{}:stopped", self.worker(id))
    }

    /// Channel: there is a request to a worker; the message is its id.
    pub(crate) fn workers_channel(&self) -> String {
        format!("{}{{workers}}:asked", self.prefix)
    }

    /// STRING: a worker's registration, with a TTL. It shares the hash tag of [`Keys::workers`].
    pub(crate) fn worker(&self, id: WorkerId) -> String {
        format!("{}{{workers}}:{id}", self.prefix)
    }

    /// ZSET kind → instant (ms) at which its history expires: the kinds of a queue that have one.
    pub(crate) fn history(&self, queue: &str) -> String {
        format!("{}history:{{{queue}}}", self.prefix)
    }

    /// HASH bucket → its counts: the history of one kind of a queue, with a TTL.
    pub(crate) fn history_of(&self, queue: &str, kind: &str) -> String {
        format!("{}:kind:{kind}", self.history(queue))
    }

    /// STRING: the number of the last part of the history that a process wrote, with a TTL.
    pub(crate) fn history_flush(&self, queue: &str, process: &str) -> String {
        format!("{}:flush:{process}", self.history(queue))
    }

    /// ZSET `<program> <build>` → instant (ms) of the first start of a build.
    pub(crate) fn builds(&self) -> String {
        format!("{}builds", self.prefix)
    }

    /// HASH kind → the definition in force, as workers published it.
    pub(crate) fn kinds(&self) -> String {
        format!("{}{{kinds}}", self.prefix)
    }

    /// ZSET kind → the generation of its last change. It shares the hash tag of [`Keys::kinds`].
    pub(crate) fn kind_changes(&self) -> String {
        format!("{}{{kinds}}:changes", self.prefix)
    }

    /// HASH kind → a later definition that waits for an operator to accept it.
    pub(crate) fn held_kinds(&self) -> String {
        format!("{}{{kinds}}:held", self.prefix)
    }

    /// Channel: the catalogue of kinds has changed. The message is a generation, or `-` and the name of a kind that was
    /// removed.
    pub(crate) fn kinds_channel(&self) -> String {
        format!("{}{{kinds}}:changed", self.prefix)
    }

    /// HASH: a bulk operation, with a TTL once it has ended.
    pub(crate) fn bulk(&self, id: BulkId) -> String {
        format!("{}{{bulks}}:{id}", self.prefix)
    }

    /// ZSET bulk operation → µs of its creation: those that have not ended, in the order of their turns.
    pub(crate) fn open_bulks(&self) -> String {
        format!("{}{{bulks}}:open", self.prefix)
    }

    /// ZSET bulk operation → ms of its end.
    pub(crate) fn ended_bulks(&self) -> String {
        format!("{}{{bulks}}:ended", self.prefix)
    }

    /// STRING `<bulk operation> <hash of the body>`, one per idempotency key, with a TTL.
    pub(crate) fn bulk_of_key(&self, key: &str) -> String {
        format!("{}{{bulks}}:idem:{key}", self.prefix)
    }

    /// The new name of a key of a wrong type: outside of everything that is read, in the same slot of a cluster.
    pub(crate) fn set_aside(&self, key: &str, now: i64) -> String {
        match key.strip_prefix(&*self.prefix) {
            Some(name) if name.starts_with('{') => format!("{}broken:{name}:{now}", self.prefix),
            _ => format!("{}broken:{{{key}}}:{now}", self.prefix),
        }
    }

    /// HASH `<id> <ms>` → an unreadable record, taken out of a queue.
    pub(crate) fn records_set_aside(&self, queue: &str) -> String {
        format!("{}broken:{{{queue}}}:records", self.prefix)
    }
}

impl QueueKeys {
    /// The prefix of all keys of the queue.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn set(&self, kind: &str, set: Set) -> String {
        format!("{}{kind}:{}", self.base, set.name())
    }

    /// HASH fingerprint → the group of a kind's dead jobs that have this cause, see `transitions/failure_groups.lua`.
    pub(crate) fn failures(&self, kind: &str) -> String {
        format!("{}{kind}:failures", self.base)
    }

    /// HASH id → the record of the job, written once.
    pub(crate) fn jobs(&self) -> String {
        self.name("jobs")
    }

    /// HASH id → `token due start lease holder` of an active job; a `!` follows the token once
    /// a cancellation was requested.
    pub(crate) fn active(&self) -> String {
        self.name("active")
    }

    /// HASH id → `time token crashes json`: the history of a job that failed, crashed, was handed
    /// back or finished. The fingerprint of a dead job is the last field of its JSON.
    pub(crate) fn state(&self) -> String {
        self.name("state")
    }

    /// SET of the kinds that have sets here.
    pub(crate) fn kinds(&self) -> String {
        self.name("kinds")
    }

    /// STRING: since when (ms) the queue is paused. Claim only checks that it exists.
    pub(crate) fn paused(&self) -> String {
        self.name("paused")
    }

    /// STRING: the last token.
    pub(crate) fn fence(&self) -> String {
        self.name("fence")
    }

    /// HASH `<minute> <counter>` → number.
    pub(crate) fn stats(&self) -> String {
        self.name("stats")
    }

    /// STRING `<job id> <hash of the body>`, one per idempotency key, with a TTL.
    pub(crate) fn idempotency(&self, key: &str) -> String {
        format!("{}idem:{key}", self.base)
    }

    /// Channel: a kind's earliest due time got earlier; the message is that due time. Or a claim took all due jobs;
    /// the message begins with `=`, see `workers/announcement.rs`.
    pub(crate) fn wake_channel(&self) -> String {
        self.name("wake")
    }

    /// Channel: jobs finished; the message is their ids.
    pub(crate) fn finished_channel(&self) -> String {
        self.name("finished")
    }

    /// Channel: a worker has swept the queue; the message is its id.
    pub(crate) fn swept_channel(&self) -> String {
        self.name("swept")
    }

    /// Channel: an active job is to be cancelled; the message is its id.
    pub(crate) fn cancel_channel(&self) -> String {
        self.name("cancel")
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }
}

#[cfg(test)]
mod tests;
