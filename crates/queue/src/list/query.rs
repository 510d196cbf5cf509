//! The jobs that a list shows, and their order.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keys::Set;
use crate::model::fingerprint::Fingerprint;
use crate::model::state::State;

/// A list of jobs. Every part limits it further.
///
/// Each job has a place in time: its due time if it is waiting, its enqueue time if it is active, and the time of its
/// end if it is finished. `after`, `before` and the order are about this time; jobs of the same time are in the order
/// of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// All queues if empty.
    pub queues: Vec<Arc<str>>,
    /// All kinds if empty.
    pub kinds: Vec<Arc<str>>,
    /// All states if empty.
    pub states: Vec<State>,
    /// The earliest time, Unix ms.
    pub after: Option<i64>,
    /// The time, Unix ms, that all jobs lie before.
    pub before: Option<i64>,
    pub order: Order,
    /// Only jobs whose last error has this text. The case of ASCII letters does not matter.
    pub error: Option<String>,
    /// Only jobs whose payload has this text. The case of ASCII letters does not matter.
    pub search: Option<String>,
    /// Only dead jobs with this cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// The direction of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The earliest time first.
    #[default]
    Asc,
    /// The latest time first.
    Desc,
}

impl Order {
    /// The order that a person expects: waiting and active jobs by what comes next, all others by what ended last.
    pub fn of(states: &[State]) -> Self {
        let comes_next = |state: &State| matches!(state, State::Scheduled | State::Ready | State::Active);
        if !states.is_empty() && states.iter().all(comes_next) { Order::Asc } else { Order::Desc }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Order::Asc => "asc",
            Order::Desc => "desc",
        }
    }
}

impl ListQuery {
    pub fn has_state(&self, state: State) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// The parts of the sets of one kind that the list shows at `now`, Unix ms.
    pub(crate) fn parts(&self, now: i64) -> Vec<(Set, Range)> {
        let states = State::ALL.into_iter().filter(|state| self.has_state(*state));
        let mut parts: Vec<(Set, Range)> = states.map(|state| part(state, now)).collect();
        parts.dedup_by(|next, part| {
            let is_same = next.0 == part.0;
            if is_same {
                part.1 = Range::ALL; // scheduled and ready
            }
            is_same
        });
        parts
    }

    pub(crate) fn has_queue(&self, queue: &str) -> bool {
        self.queues.is_empty() || self.queues.iter().any(|named| **named == *queue)
    }

    pub(crate) fn has_kind(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|named| **named == *kind)
    }

    /// True if jobs have to be read to see whether they belong to the list.
    pub(crate) fn looks_inside(&self) -> bool {
        self.error.is_some() || self.search.is_some() || self.fingerprint.is_some()
    }

    pub(crate) fn has_bounds(&self) -> bool {
        self.after.is_some() || self.before.is_some()
    }

    /// The range of time.
    pub(crate) fn times(&self) -> Range {
        let before = |before: i64| before.saturating_sub(1) as f64;
        Range {
            low: self.after.map_or(f64::NEG_INFINITY, |after| after as f64),
            high: self.before.map_or(f64::INFINITY, before),
        }
    }
}

/// A range of scores or times; both ends are part of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Range {
    pub(crate) const ALL: Range = Range { low: f64::NEG_INFINITY, high: f64::INFINITY };

    pub(crate) fn has(self, time: f64) -> bool {
        (self.low..=self.high).contains(&time)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub(crate) fn shifted(self, by: f64) -> Self {
        Range { low: self.low + by, high: self.high + by }
    }

    pub(crate) fn and(self, other: Range) -> Self {
        Range { low: self.low.max(other.low), high: self.high.min(other.high) }
    }
}

/// The set of a state, and the part of the set that is in this state at `now`, Unix ms.
pub(crate) fn part(state: State, now: i64) -> (Set, Range) {
    match state {
        State::Scheduled => (Set::Due, Range { low: (now + 1) as f64, ..Range::ALL }),
        State::Ready => (Set::Due, Range { high: now as f64, ..Range::ALL }),
        State::Active => (Set::Lease, Range::ALL),
        State::Completed => (Set::Done, Range::ALL),
        State::Dead => (Set::Dead, Range::ALL),
        State::Cancelled => (Set::Cancelled, Range::ALL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_what_comes_next_or_what_ended_last() {
        use State::{Active, Dead, Ready, Scheduled};
        for (states, order) in [
            (&[Scheduled][..], Order::Asc),
            (&[Ready, Scheduled], Order::Asc),
            (&[Active], Order::Asc),
            (&[Dead], Order::Desc),
            (&[Dead, Ready], Order::Desc),
            (&[], Order::Desc),
        ] {
            assert_eq!(Order::of(states), order, "{states:?}");
        }
    }
}
