//! The rules for jobs that crash their workers' processes.

use std::time::Duration;

use crate::model::history::History;

/// Crashes that make a job a suspect. A worker runs one suspect at a time.
pub(crate) const SUSPECT_FROM: u32 = 2;

/// Delay of a suspect whose turn it is not, so that it does not block other jobs.
pub(crate) const PUT_OFF: Duration = Duration::from_secs(1);

/// Crashes after which a job is buried.
const BURIED_FROM: u32 = 5;

impl History {
    /// True after so many crashes that the job may be their cause.
    pub fn is_suspect(&self) -> bool {
        self.crashes >= SUSPECT_FROM
    }

    /// True after so many crashes that the job must not run again.
    pub fn has_crashed_too_often(&self) -> bool {
        self.crashes >= BURIED_FROM
    }
}
