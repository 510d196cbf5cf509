//! Shared round trips. Requests of one client that arrive while a decision about it is in flight share the next round
//! trip, so a busy client costs Redis little. Each request still gets its own decision.
//!
//! Without sharing, the limiter on Redis would take more of the throughput than its goal allows.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::decision::Decision;
use crate::subject::Subject;

/// Number of yields before a round trip. Of 0, 1 and 3, this one used the least CPU per request under load.
const YIELDS: usize = 3;

/// The question that requests have in common if they share a round trip.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// The policy's id.
    id: &'static str,
    pub(crate) subject: Subject,
    pub(crate) cost: NonZeroU32,
}

/// The requests that wait for the next round trip.
pub(crate) struct Group {
    /// When the first of them arrived.
    pub(crate) since: Instant,
    pub(crate) answers: Vec<oneshot::Sender<Decision>>,
}

/// An entry exists while a round trip is in flight. It contains the requests that have arrived since.
#[derive(Default)]
pub(crate) struct Gather {
    waiting: Mutex<HashMap<Question, Option<Group>>>,
}

/// A request that has joined a group, with the receiver of its decision.
pub(crate) enum Joined {
    /// No round trip is in flight. The caller must call [`Gather::next`] until it returns `None`.
    First(oneshot::Receiver<Decision>),
    /// Another request has started the round trips.
    Behind(oneshot::Receiver<Decision>),
}

impl Question {
    pub(crate) fn new(id: &'static str, subject: &Subject, cost: NonZeroU32) -> Self {
        Question { id, subject: subject.clone(), cost }
    }
}

impl Gather {
    /// Joins the group of the next round trip. If that round trip fails, the receiver gets no decision.
    pub(crate) fn join(&self, question: &Question) -> Joined {
        let (answer, answered) = oneshot::channel();
        let group = |answer| Group { since: Instant::now(), answers: vec![answer] };
        let mut waiting = self.waiting();
        match waiting.get_mut(question) {
            Some(Some(group)) => group.answers.push(answer),
            Some(none) => *none = Some(group(answer)),
            None => {
                waiting.insert(question.clone(), Some(group(answer)));
                return Joined::First(answered);
            }
        }
        Joined::Behind(answered)
    }

    /// The requests that wait now, including those that are about to arrive. If there are none, the entry is removed.
    pub(crate) async fn next(&self, question: &Question) -> Option<Group> {
        // Tasks that are ready to run may join. Without such tasks this costs a microsecond.
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        let mut waiting = self.waiting();
        let group = waiting.get_mut(question).and_then(Option::take);
        if group.is_none() {
            waiting.remove(question);
        }
        group
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Question, Option<Group>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
