//! The states of a job.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Scheduled,
    Ready,
    Active,
    Completed,
    Dead,
    Cancelled,
}

impl State {
    pub const ALL: [State; 6] =
        [State::Scheduled, State::Ready, State::Active, State::Completed, State::Dead, State::Cancelled];

    /// Its name in the API.
    pub fn word(self) -> &'static str {
        match self {
            State::Scheduled => "scheduled",
            State::Ready => "ready",
            State::Active => "active",
            State::Completed => "completed",
            State::Dead => "dead",
            State::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
