//! A circuit breaker: while the shared backend is away, no request waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::counted::Counted;
use crate::subject::Subject;

#[derive(Default)]
pub(crate) struct Breaker {
    open: AtomicBool,
    /// The decision that failed: of a cluster, one node may be away, and recovery has to be asked
    /// of that one.
    failed: Mutex<Option<Failed>>,
}

/// Whose decision by which policy failed.
pub(crate) type Failed = (Arc<Counted>, Subject);

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// True for the one caller that opens it.
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
