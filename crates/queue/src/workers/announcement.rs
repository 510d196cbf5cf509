//! The message of a claim to the other workers of the queue: the next due time, and the worker that asks first.
//!
//! Every waiting worker knows the earliest due time. If all of them asked at that time, each job would cost as many
//! calls as there are workers. So a claim that took all due jobs publishes the next due time to the workers that
//! wait for the old one, and names a watcher: it asks first, and the others ask later, only if they do not hear that
//! it did.

use std::sync::Arc;

use fred::types::Value;
use sha2::{Digest, Sha256};

use crate::model::digest;
use crate::model::id::WorkerId;
use crate::wire;

/// The kinds of a worker, as a short hash. Workers of different kinds see different due times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindSet(pub(crate) String);

/// The message of a claim to the other workers of the queue, sent if it takes all due jobs.
#[derive(Debug)]
pub struct Announcement<'a> {
    pub kinds: &'a KindSet,
    /// The worker that claims.
    pub worker: WorkerId,
    /// The worker offers to be the watcher if the claim brings it fewer jobs than this.
    pub spare: usize,
    /// Number of workers of the queue that the caller knows of.
    pub workers: u32,
}

/// A received announcement: a claim has taken all due jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// The earliest due time left, Unix ms.
    pub next_due: Option<i64>,
    /// The worker that asks first from now on.
    pub watcher: Option<WorkerId>,
    /// Number of workers of the queue that the sender knew of.
    pub workers: u32,
}

impl KindSet {
    pub fn of(kinds: &[Arc<str>]) -> Self {
        let mut names: Vec<&str> = kinds.iter().map(AsRef::as_ref).collect();
        names.sort_unstable();
        KindSet(digest::short(Sha256::new().chain_update(names.join(" ")))[..8].to_owned())
    }
}

impl Announcement<'_> {
    /// The arguments of claim behind the channel: the middle of the message, this worker, and its spare slots.
    pub(crate) fn to_args(&self) -> [Value; 3] {
        [
            format!("{} {} ", self.workers, self.kinds.0).into(),
            self.worker.to_string().into(),
            wire::count(self.spare),
        ]
    }
}

impl Drained {
    /// Reads `=<next due> <workers> <kinds> <watcher>` (`-1` and `-` for none) into the hash of the kinds and the
    /// rest.
    pub(crate) fn parse(message: &str) -> Option<(&str, Self)> {
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

    #[test]
    fn the_order_of_kinds_does_not_matter() {
        let of = |kinds: &[&str]| KindSet::of(&kinds.iter().map(|kind| Arc::from(*kind)).collect::<Vec<_>>());
        assert_eq!(of(&["a:b", "c:d"]), of(&["c:d", "a:b"]));
        assert_ne!(of(&["a:b", "c:d"]), of(&["a:b"]));
    }
}
