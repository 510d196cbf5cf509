//! The change that a bulk operation makes to each of its jobs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::state::State;
use crate::transitions::operate::Operation;

/// The change that a bulk operation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// Dead → due now, with all attempts again.
    Redrive,
    /// Waiting → cancelled. An active job is asked to end.
    Cancel,
    /// Scheduled → due now.
    RunNow,
    /// Any state but active → removed.
    Delete,
}

impl BulkAction {
    /// Its name in the API.
    pub fn word(self) -> &'static str {
        match self {
            BulkAction::Redrive => "redrive",
            BulkAction::Cancel => "cancel",
            BulkAction::RunNow => "run_now",
            BulkAction::Delete => "delete",
        }
    }

    /// The states of the jobs that it can change.
    pub fn states(self) -> &'static [State] {
        match self {
            BulkAction::Redrive => &[State::Dead],
            BulkAction::Cancel => &[State::Scheduled, State::Ready, State::Active],
            BulkAction::RunNow => &[State::Scheduled],
            BulkAction::Delete => {
                &[State::Scheduled, State::Ready, State::Completed, State::Dead, State::Cancelled]
            }
        }
    }

    /// These states in the order in which their jobs are changed. Active jobs come last: a job that is claimed
    /// meanwhile is found there.
    pub(crate) fn phases(states: &[State]) -> Vec<Vec<State>> {
        let (active, others): (Vec<State>, Vec<State>) =
            states.iter().partition(|state| **state == State::Active);
        [others, active].into_iter().filter(|states| !states.is_empty()).collect()
    }

    pub(crate) fn operation(self) -> Operation {
        match self {
            BulkAction::Redrive => Operation::Redrive,
            BulkAction::Cancel => Operation::Cancel,
            BulkAction::RunNow => Operation::RunNow,
            BulkAction::Delete => Operation::Delete,
        }
    }
}

impl fmt::Display for BulkAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
