//! The kinds of queues and the live workers as this process saw them last, so that a script can name their keys without
//! a call that asks for them first. A script that meets others says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::id::WorkerId;

#[derive(Default)]
pub(crate) struct Known(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    kinds: HashMap<String, Arc<[Arc<str>]>>,
    workers: Vec<WorkerId>,
}

impl Known {
    pub(crate) fn kinds(&self, queue: &str) -> Arc<[Arc<str>]> {
        self.seen().kinds.get(queue).cloned().unwrap_or_default()
    }

    pub(crate) fn set_kinds(&self, queue: &str, kinds: &[Arc<str>]) {
        let mut seen = self.seen();
        if seen.kinds.get(queue).is_none_or(|known| **known != *kinds) {
            seen.kinds.insert(queue.to_owned(), kinds.into());
        }
    }

    pub(crate) fn workers(&self) -> Vec<WorkerId> {
        self.seen().workers.clone()
    }

    pub(crate) fn set_workers(&self, workers: Vec<WorkerId>) {
        self.seen().workers = workers;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
