//! Messages between the workers of a queue: when its next job is due, and which worker asks for it first.
//!
//! Every waiting worker knows the earliest due time. If all of them asked when it has come, a job
//! would cost as many calls as there are workers. So a claim that took all that was due publishes the
//! next due time, for those who wait for the old one, and names a worker that watches the queue from
//! now on: it asks first, the others later and only if they do not hear that it did.

use std::fmt;
use std::sync::Arc;

use fred::types::Value;
use sha2::{Digest, Sha256};

use crate::keys::QueueKeys;
use crate::model::id::WorkerId;
use crate::redis::inbox::{Inbox, Mail};
use crate::transitions::enqueue::short_hash;

/// Names the kinds that a worker takes: what is due differs between workers of different kinds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindSet(String);

/// The message of a claim to the other workers of the queue, if it takes all that is due.
#[derive(Debug)]
pub struct Announcement<'a> {
    pub kinds: &'a KindSet,
    /// The caller.
    pub worker: WorkerId,
    /// The caller offers to watch the queue if the claim brings it fewer jobs than this.
    pub spare: usize,
    /// Workers of the queue, as far as the caller knows.
    pub workers: u32,
}

/// A claim has taken all that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// The earliest due time left, Unix ms.
    pub next_due: Option<i64>,
    /// Asks first from now on.
    pub watcher: Option<WorkerId>,
    /// Workers of the queue, as far as the sender knew.
    pub workers: u32,
}

/// The news of a queue since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Something may have been missed: look at once.
    pub missed: bool,
    /// The last claim by a worker of the same kinds that took all that was due.
    pub drained: Option<Drained>,
    /// The earliest due time that was told after that, Unix ms.
    pub due: Option<i64>,
    /// Workers of other kinds claim here, too.
    pub others: bool,
}

/// Waits for what is published about queues.
pub struct Wakeups {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) kinds: KindSet,
}

impl KindSet {
    pub fn of(kinds: &[Arc<str>]) -> Self {
        let mut names: Vec<&str> = kinds.iter().map(AsRef::as_ref).collect();
        names.sort_unstable();
        KindSet(short_hash(Sha256::new().chain_update(names.join(" ")))[..8].to_owned())
    }
}

impl Announcement<'_> {
    pub(crate) fn to_args(&self, keys: &QueueKeys) -> [Value; 4] {
        [
            keys.wake_channel().into(),
            format!("{} {} ", self.workers, self.kinds).into(),
            self.worker.to_string().into(),
            (self.spare as i64).into(),
        ]
    }
}

impl fmt::Display for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Wakeups {
    /// Waits until something is heard.
    pub async fn next(&self) -> Heard {
        Heard::from(&self.inbox.next().await, &self.kinds)
    }
}

impl Heard {
    /// Messages are an instant, which is earlier than the due times before it, or
    /// `=<next due> <workers> <kinds> <watcher>`, `-1` and `-` for none. What cannot be read was
    /// published by a version that knows more: it counts as missed.
    fn from(mail: &Mail, kinds: &KindSet) -> Self {
        let mut heard = Heard { missed: mail.missed, ..Heard::default() };
        for message in &mail.messages {
            if let Ok(due) = message.parse() {
                heard.due = Some(heard.due.map_or(due, |known: i64| known.min(due)));
            } else if let Some((of, drained)) = Drained::parse(message) {
                if of == kinds.0 {
                    heard = Heard { drained: Some(drained), due: None, missed: false, ..heard };
                } else {
                    heard.others = true;
                }
            } else {
                heard.missed = true;
            }
        }
        heard
    }
}

impl Drained {
    fn parse(message: &str) -> Option<(&str, Self)> {
        let mut parts = message.strip_prefix('=')?.split(' ');
        let next_due = Some(parts.next()?.parse().ok()?).filter(|due| *due >= 0);
        let workers = parts.next()?.parse().ok()?;
        let kinds = parts.next()?;
        let watcher = parts.next()?.parse().ok();
        Some((kinds, Drained { next_due, watcher, workers }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(messages: &[&str]) -> Heard {
        let messages = messages.iter().map(|message| (*message).to_owned()).collect();
        Heard::from(&Mail { missed: false, messages }, &KindSet("ours".to_owned()))
    }

    #[test]
    fn a_claim_that_took_all_replaces_what_was_known_before_and_later_due_times_count() {
        let drained = |next_due| Some(Drained { next_due, watcher: None, workers: 3 });
        assert_eq!(heard(&["70", "50", "60"]), Heard { due: Some(50), ..Heard::default() });
        assert_eq!(
            heard(&["50", "=100 3 ours -", "80", "90"]),
            Heard { drained: drained(Some(100)), due: Some(80), ..Heard::default() }
        );
        assert_eq!(heard(&["50", "=-1 3 ours -"]), Heard { drained: drained(None), ..Heard::default() });
    }

    #[test]
    fn what_workers_of_other_kinds_took_leaves_the_own_kinds_as_they_were() {
        assert_eq!(
            heard(&["50", "=100 3 theirs -"]),
            Heard { due: Some(50), others: true, ..Heard::default() }
        );
    }

    #[test]
    fn a_message_that_cannot_be_read_means_that_something_was_missed() {
        assert!(heard(&["something new"]).missed);
        assert!(!heard(&["something new", "=100 3 ours -"]).missed);
    }

    #[test]
    fn the_watcher_is_named_by_its_id() {
        let worker = WorkerId::new(1_700_000_000_000);
        let heard = heard(&[&format!("=100 3 ours {worker}")]);
        assert_eq!(heard.drained.unwrap().watcher, Some(worker));
    }

    #[test]
    fn the_order_of_kinds_does_not_matter() {
        let of = |kinds: &[&str]| KindSet::of(&kinds.iter().map(|kind| Arc::from(*kind)).collect::<Vec<_>>());
        assert_eq!(of(&["a:b", "c:d"]), of(&["c:d", "a:b"]));
        assert_ne!(of(&["a:b", "c:d"]), of(&["a:b"]));
    }
}
