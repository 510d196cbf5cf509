//! Every key and channel in Redis. Those of a queue share one hash tag, so that its scripts would
//! run on a cluster too.

use std::sync::Arc;

use crate::model::id::WorkerId;

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

    pub(crate) fn name(self) -> &'static str {
        match self {
            Set::Due => "due",
            Set::Lease => "lease",
            Set::Done => "done",
            Set::Cancelled => "cancelled",
            Set::Dead => "dead",
        }
    }
}

/// What a key is for, read from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    /// [`Keys::workers`]
    Workers,
    /// [`Keys::worker`], [`Keys::asked_of`] or [`Keys::stopped`]
    Worker,
    /// A key of this queue.
    Of(&'a str, Part<'a>),
}

/// What a queue's key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Set { kind: &'a str, set: Set },
    Jobs,
    Active,
    State,
    Kinds,
    Paused,
    Fence,
    Stats,
    Idempotency,
}

impl Name<'_> {
    /// The type that the key has, as `TYPE` says it.
    pub(crate) fn key_type(self) -> &'static str {
        match self {
            Name::Workers | Name::Of(_, Part::Set { .. }) => "zset",
            Name::Of(_, Part::Jobs | Part::Active | Part::State | Part::Stats) => "hash",
            Name::Of(_, Part::Kinds) => "set",
            Name::Worker | Name::Of(_, Part::Fence | Part::Paused | Part::Idempotency) => "string",
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

    /// Channel: what one process publishes to see whether it hears it; `id` is the process' own.
    pub(crate) fn echo_channel(&self, id: &str) -> String {
        format!("{}echo:{id}", self.prefix)
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

    /// STRING: the instant (ms) at which a worker stopped in an orderly way, with a TTL.
    pub(crate) fn stopped(&self, id: WorkerId) -> String {
        format!("{}:stopped", self.worker(id))
    }

    /// Channel: something is asked of a worker; the message is its id.
    pub(crate) fn workers_channel(&self) -> String {
        format!("{}{{workers}}:asked", self.prefix)
    }

    /// STRING: a worker's registration, with a TTL. It shares the hash tag of [`Keys::workers`].
    pub(crate) fn worker(&self, id: WorkerId) -> String {
        format!("{}{{workers}}:{id}", self.prefix)
    }

    /// Where a key goes that is not what its name says: beside all that is looked at, in the same
    /// slot of a cluster.
    pub(crate) fn set_aside(&self, key: &str, now: i64) -> String {
        match key.strip_prefix(&*self.prefix) {
            Some(name) if name.starts_with('{') => format!("{}broken:{name}:{now}", self.prefix),
            _ => format!("{}broken:{{{key}}}:{now}", self.prefix),
        }
    }

    /// HASH `<id> <ms>` → a record that could not be read, taken out of a queue.
    pub(crate) fn records_set_aside(&self, queue: &str) -> String {
        format!("{}broken:{{{queue}}}:records", self.prefix)
    }

    /// A pattern of `SCAN` for the keys that have a hash tag: of one queue, or all.
    pub(crate) fn pattern(&self, queue: Option<&str>) -> String {
        let escaped = |text: &str| {
            let mut escaped = String::with_capacity(text.len());
            for c in text.chars() {
                if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
            escaped
        };
        match queue {
            Some(queue) => format!("{}{{{}}}:*", escaped(&self.prefix), escaped(queue)),
            None => format!("{}{{*", escaped(&self.prefix)),
        }
    }

    /// None for a key that is none of ours.
    pub(crate) fn parse<'a>(&self, key: &'a str) -> Option<Name<'a>> {
        let (tag, rest) = key.strip_prefix(&*self.prefix)?.strip_prefix('{')?.split_once('}')?;
        if tag == "workers" {
            let id = rest.strip_prefix(':').map(|rest| {
                rest.strip_suffix(":asked").or_else(|| rest.strip_suffix(":stopped")).unwrap_or(rest)
            });
            match id {
                None if rest.is_empty() => return Some(Name::Workers),
                Some(id) if id.parse::<WorkerId>().is_ok() => return Some(Name::Worker),
                _ => {} // a queue of that name
            }
        }
        Part::parse(rest.strip_prefix(':')?).map(|part| Name::Of(tag, part))
    }
}

impl<'a> Part<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        if let Some((kind, last)) = name.rsplit_once(':') {
            let set = Set::ALL.into_iter().find(|set| set.name() == last);
            return match set {
                Some(set) => Some(Part::Set { kind, set }),
                None => (kind == "idem").then_some(Part::Idempotency),
            };
        }
        Some(match name {
            "jobs" => Part::Jobs,
            "active" => Part::Active,
            "state" => Part::State,
            "kinds" => Part::Kinds,
            "paused" => Part::Paused,
            "fence" => Part::Fence,
            "stats" => Part::Stats,
            _ => return None,
        })
    }
}

impl QueueKeys {
    pub(crate) fn set(&self, kind: &str, set: Set) -> String {
        format!("{}{kind}:{}", self.base, set.name())
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

    /// STRING: since when (ms) the queue is paused. Claim only asks whether it exists.
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

    /// Channel: a kind's earliest due time got earlier; the message is that due time. Or a claim took
    /// all that was due; the message begins with `=`, see `wakeup.rs`.
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
mod documented;

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

    #[test]
    fn a_name_tells_what_its_key_is_for() {
        let keys = Keys::new("atode:");
        let of = |key: &str| {
            let Some(Name::Of(queue, part)) = keys.parse(key) else { return None };
            Some(format!("{queue} {part:?}"))
        };
        let queue = keys.queue("workers");
        for set in Set::ALL {
            assert_eq!(
                of(&queue.set("a:b", set)),
                Some(format!("workers {:?}", Part::Set { kind: "a:b", set }))
            );
        }
        assert_eq!(of(&queue.jobs()).as_deref(), Some("workers Jobs"));
        assert_eq!(of(&queue.idempotency("0123")).as_deref(), Some("workers Idempotency"));
        assert_eq!(keys.parse(&keys.workers()), Some(Name::Workers));
        let worker = WorkerId::new(1);
        assert_eq!(keys.parse(&keys.worker(worker)), Some(Name::Worker));
        assert_eq!(keys.parse(&keys.asked_of(worker)), Some(Name::Worker));
        assert_eq!(keys.parse(&keys.stopped(worker)), Some(Name::Worker));
        for other in ["atode:queues", "other:{q}:jobs", "atode:{q}:new:thing", "atode:ratelimit:{x}:jobs"] {
            assert_eq!(keys.parse(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_set_aside_is_no_key_of_ours_and_keeps_its_hash_tag() {
        let keys = Keys::new("atode:");
        assert_eq!(keys.set_aside("atode:{q}:a:b:due", 7), "atode:broken:{q}:a:b:due:7");
        assert_eq!(keys.set_aside(&keys.queues(), 7), "atode:broken:{atode:queues}:7");
        assert_eq!(keys.parse("atode:broken:{q}:a:b:due:7"), None);
    }

    #[test]
    fn a_pattern_takes_names_literally() {
        assert_eq!(Keys::new("a*[b]:").pattern(None), r"a\*\[b\]:{*");
        assert_eq!(Keys::new("atode:").pattern(Some("q?")), r"atode:{q\?}:*");
    }
}
