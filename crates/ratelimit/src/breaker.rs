//! A circuit breaker. While the shared backend is away, no request waits for it.

use std::sync::{Arc, PoisonError, RwLock};

use crate::memory::Memory;
use crate::subject::Subject;

/// Open while it has a failed decision. A cluster has recovered only when the node behind that decision answers.
#[derive(Default)]
pub(crate) struct Breaker(RwLock<Option<Failed>>);

/// The policy and the client of a failed decision.
pub(crate) type Failed = (Arc<Memory>, Subject);

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn failed(&self) -> Option<Failed> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the breaker. True for exactly one of several concurrent callers.
    pub(crate) fn trip(&self, memory: &Arc<Memory>, subject: &Subject) -> bool {
        let mut failed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let was_closed = failed.is_none();
        failed.get_or_insert_with(|| (memory.clone(), subject.clone()));
        was_closed
    }

    pub(crate) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
