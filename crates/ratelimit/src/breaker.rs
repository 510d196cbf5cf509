//! A circuit breaker: while the shared backend is away, no request waits for it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::policy::Policy;

#[derive(Default)]
pub(crate) struct Breaker {
    open: AtomicBool,
    /// The decision that failed: of a cluster, one node may be away, and recovery has to be asked
    /// of that one.
    failed: Mutex<Option<(Policy, String)>>,
}

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// True for the one caller that opens it.
    pub(crate) fn trip(&self, policy: &Policy, key: &str) -> bool {
        if self.open.swap(true, Ordering::AcqRel) {
            return false;
        }
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((policy.clone(), key.to_owned()));
        true
    }

    pub(crate) fn failed(&self) -> Option<(Policy, String)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }
}
