//! Every key and channel in Redis. Those of a queue share one hash tag, so that its scripts would
//! run on a cluster too.

use std::sync::Arc;

use crate::id::WorkerId;

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

/// The sets of one kind in one queue: in which of them an id is, is the job's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Due,
    Lease,
    Done,
    Cancelled,
    Dead,
}

impl Set {
    /// In the order in which scripts that look at all of them take them.
    pub(crate) const ALL: [Set; 5] = [Set::Due, Set::Lease, Set::Done, Set::Cancelled, Set::Dead];
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Keys { prefix: prefix.into() }
    }

    pub(crate) fn queue(&self, queue: &str) -> QueueKeys {
        QueueKeys { base: format!("{}{{{queue}}}:", self.prefix) }
    }

    /// SET of the names of all queues that ever held a job.
    pub(crate) fn queues(&self) -> String {
        format!("{}queues", self.prefix)
    }

    /// STRING: what tells this Redis from an emptied one, written by whoever finds none.
    pub(crate) fn identity(&self) -> String {
        format!("{}identity", self.prefix)
    }

    /// STRING: written to be waited for, see `durable.rs`.
    pub(crate) fn synced(&self) -> String {
        format!("{}synced", self.prefix)
    }

    /// ZSET worker id → instant (ms) at which its registration goes by itself.
    pub(crate) fn workers(&self) -> String {
        format!("{}{{workers}}", self.prefix)
    }

    /// STRING: `quiet` or `stop`, what is asked of a worker; it goes with the registration.
    pub(crate) fn asked_of(&self, id: WorkerId) -> String {
        format!("{}:asked", self.worker(id))
    }

    /// Channel: something is asked of a worker; the message is its id.
    pub(crate) fn workers_channel(&self) -> String {
        format!("{}{{workers}}:asked", self.prefix)
    }

    /// STRING: a worker's registration, with a TTL. It shares the hash tag of [`Keys::workers`].
    pub(crate) fn worker(&self, id: WorkerId) -> String {
        format!("{}{{workers}}:{id}", self.prefix)
    }
}

impl QueueKeys {
    pub(crate) fn set(&self, kind: &str, set: Set) -> String {
        let set = match set {
            Set::Due => "due",
            Set::Lease => "lease",
            Set::Done => "done",
            Set::Cancelled => "cancelled",
            Set::Dead => "dead",
        };
        format!("{}{kind}:{set}", self.base)
    }

    /// HASH id → the job as JSON, written once.
    pub(crate) fn jobs(&self) -> String {
        self.name("jobs")
    }

    /// HASH id → `token due start lease holder` of an active job; behind the token a `!` once
    /// somebody asked to cancel it.
    pub(crate) fn active(&self) -> String {
        self.name("active")
    }

    /// HASH id → `time token crashes json`: what is known of a job that failed, crashed, was
    /// handed back or finished.
    pub(crate) fn state(&self) -> String {
        self.name("state")
    }

    /// SET of the kinds that have sets here.
    pub(crate) fn kinds(&self) -> String {
        self.name("kinds")
    }

    /// Exists while the queue is paused.
    pub(crate) fn paused(&self) -> String {
        self.name("paused")
    }

    /// STRING: the last token given out.
    pub(crate) fn fence(&self) -> String {
        self.name("fence")
    }

    /// HASH `<minute> <counter>` → number.
    pub(crate) fn stats(&self) -> String {
        self.name("stats")
    }

    /// STRING `<job id> <hash of the body>`, one an idempotency key, with a TTL.
    pub(crate) fn idempotency(&self, key: &str) -> String {
        format!("{}idem:{key}", self.base)
    }

    /// Channel: a kind's earliest due time got earlier; the message is that due time.
    pub(crate) fn wake_channel(&self) -> String {
        self.name("wake")
    }

    /// Channel: jobs finished; the message is their ids.
    pub(crate) fn finished_channel(&self) -> String {
        self.name("finished")
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
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_queue_share_its_hash_tag() {
        let keys = Keys::new("atode:").queue("default");
        assert_eq!(keys.jobs(), "atode:{default}:jobs");
        assert_eq!(keys.set("demo:delay_print", Set::Due), "atode:{default}:demo:delay_print:due");
        assert_eq!(keys.wake_channel(), "atode:{default}:wake");
    }
}
