//! Shared round trips. Requests of one client that arrive while a decision about it is in flight share the next round
//! trip, so a busy client costs Redis little. Each request still gets its own decision.
//!
//! Without sharing, the limiter on Redis would take more of the throughput than its goal allows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
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
    pub(crate) id: &'static str,
    pub(crate) subject: Subject,
    pub(crate) cost: NonZeroU32,
}

/// A request that waits for the next round trip.
pub(crate) struct Waiting {
    pub(crate) since: Instant,
    pub(crate) answer: oneshot::Sender<Decision>,
}

/// An entry exists while a round trip is in flight. It contains the requests that have arrived since.
#[derive(Default)]
pub(crate) struct SharedCalls(Mutex<HashMap<Question, Vec<Waiting>>>);

impl SharedCalls {
    /// Joins the next round trip. If that round trip fails, the receiver gets no decision. The flag is true if none is in
    /// flight; then the caller must call [`SharedCalls::next`] until it returns `None`.
    pub(crate) fn join(&self, question: &Question) -> (oneshot::Receiver<Decision>, bool) {
        let (answer, answered) = oneshot::channel();
        let request = Waiting { since: Instant::now(), answer };
        match self.lock().entry(question.clone()) {
            Entry::Occupied(in_flight) => {
                in_flight.into_mut().push(request);
                (answered, false)
            }
            Entry::Vacant(idle) => {
                idle.insert(vec![request]);
                (answered, true)
            }
        }
    }

    /// The requests that wait now, including those that are about to arrive, in their order. If there are none, the entry
    /// is removed.
    pub(crate) async fn next(&self, question: &Question) -> Option<Vec<Waiting>> {
        // Tasks that are ready to run may join. Without such tasks this costs a microsecond.
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        let mut waiting = self.lock();
        let group = waiting.get_mut(question).map(mem::take).filter(|group| !group.is_empty());
        if group.is_none() {
            waiting.remove(question);
        }
        group
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Question, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
