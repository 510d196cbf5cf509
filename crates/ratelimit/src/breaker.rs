//! A circuit breaker. While the shared backend is away, no request waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::counted::Counted;
use crate::subject::Subject;

#[derive(Default)]
pub(crate) struct Breaker {
    open: AtomicBool,
    /// The decision that failed. A cluster has recovered only when the node behind this decision answers.
    failed: Mutex<Option<Failed>>,
}

/// The policy and the client of a failed decision.
pub(crate) type Failed = (Arc<Counted>, Subject);

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Opens the breaker. True for exactly one of several concurrent callers.
    pub(crate) fn trip(&self, counted: &Arc<Counted>, subject: &Subject) -> bool {
        if self.open.swap(true, Ordering::AcqRel) {
            return false;
        }
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((counted.clone(), subject.clone()));
        true
    }

    pub(crate) fn failed(&self) -> Option<Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }
}
