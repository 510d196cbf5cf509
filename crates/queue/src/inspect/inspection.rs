//! The entry to the reads and repairs of an audit.

use crate::core::Core;
use crate::keys::QueueKeys;

/// Reads what is stored, in steps and at one instant, and repairs it.
#[derive(Clone, Copy)]
pub struct Inspection<'a> {
    pub(crate) core: &'a Core,
}

impl Inspection<'_> {
    pub(crate) fn keys(self, queue: &str) -> QueueKeys {
        self.core.keys.queue(queue)
    }
}
