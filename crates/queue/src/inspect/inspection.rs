//! The entry to the reads and repairs of an audit.

use crate::client::Client;
use crate::core::Core;
use crate::keys::QueueKeys;

/// Reads what is stored, in steps and at one instant, and repairs it.
#[derive(Clone, Copy)]
pub struct Inspection<'a> {
    pub(crate) core: &'a Core,
}

impl Client {
    /// Reads and repairs for the audit.
    pub fn inspection(&self) -> Inspection<'_> {
        Inspection { core: &self.0.core }
    }
}

impl Inspection<'_> {
    pub(crate) fn keys(self, queue: &str) -> QueueKeys {
        self.core.keys.queue(queue)
    }
}
