//! The rules for jobs that take their workers' processes with them.

use std::time::Duration;

use crate::model::record::History;

/// A job that this many workers died with is a suspect: a worker runs one of those at a time.
pub(crate) const SUSPECT_FROM: u32 = 2;

/// A suspect whose turn it is not is put off by this much, so that it is not in the others' way.
pub(crate) const PUT_OFF: Duration = Duration::from_secs(1);

/// A job that this many workers died with is dead.
const BURIED_FROM: u32 = 5;

impl History {
    /// So many workers died with the job that it may be the reason.
    pub fn is_suspect(&self) -> bool {
        self.crashes >= SUSPECT_FROM
    }

    /// So many workers died with the job that it must not run again.
    pub fn has_crashed_too_often(&self) -> bool {
        self.crashes >= BURIED_FROM
    }
}
