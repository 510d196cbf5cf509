//! The change that a bulk operation makes to each of its jobs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::state::State;
use crate::transitions::operate::Operation;

/// The first phase that looks at the same states again.
pub(crate) const SECOND_LOOK: usize = 2;

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

    /// These states in the order in which their jobs are looked at. A job that is claimed meanwhile is found among the
    /// active ones. One that was active then and waits for its next attempt is found at the [`SECOND_LOOK`]. A worker
    /// without a free slot hands back what it has claimed, so a job may be elsewhere at each look, and the looks are
    /// repeated.
    pub(crate) fn phases(states: &[State]) -> Vec<Vec<State>> {
        let (active, waiting): (Vec<State>, Vec<State>) =
            states.iter().partition(|state| **state == State::Active);
        if active.is_empty() || waiting.is_empty() {
            return vec![states.to_vec()];
        }
        vec![waiting.clone(), active.clone(), waiting.clone(), active, waiting]
    }

    /// Whether a job that it changed can be in this state some time later, or be gone.
    pub(crate) fn can_lead_to(self, state: Option<State>) -> bool {
        match self {
            BulkAction::Redrive | BulkAction::RunNow => true,
            BulkAction::Cancel => state.is_none_or(|state| state == State::Cancelled),
            BulkAction::Delete => state.is_none(),
        }
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
