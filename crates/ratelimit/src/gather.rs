//! Requests of one client that ask while a decision on it is in flight share the next round trip:
//! a client that sends a lot costs Redis little, and each request still gets its own decision.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::decision::Decision;
use crate::subject::Subject;

/// Before a round trip. Of 0, 1 and 3, this took the least CPU a request under load.
const YIELDS: usize = 3;

/// What those have in common who share a round trip.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// The policy's.
    id: &'static str,
    pub(crate) subject: Subject,
    pub(crate) cost: NonZeroU32,
}

/// Who waits for the next round trip.
pub(crate) struct Group {
    /// When the first of them asked.
    pub(crate) since: Instant,
    pub(crate) answers: Vec<oneshot::Sender<Decision>>,
}

/// An entry stands while a round trip is in flight; it holds those that have asked since.
#[derive(Default)]
pub(crate) struct Gather {
    waiting: Mutex<HashMap<Asked, Option<Group>>>,
}

/// How a request that has joined gets its decision.
pub(crate) enum Joined {
    /// Nobody drives it: whoever gets this has to see to it that [`Gather::next`] is called until
    /// it gives none.
    First(oneshot::Receiver<Decision>),
    Behind(oneshot::Receiver<Decision>),
}

impl Asked {
    pub(crate) fn new(id: &'static str, subject: &Subject, cost: NonZeroU32) -> Self {
        Asked { id, subject: subject.clone(), cost }
    }
}

impl Gather {
    /// A decision that never comes is one that its round trip did not bring.
    pub(crate) fn join(&self, asked: &Asked) -> Joined {
        let (answer, answered) = oneshot::channel();
        let group = |answer| Group { since: Instant::now(), answers: vec![answer] };
        let mut waiting = self.waiting();
        match waiting.get_mut(asked) {
            Some(Some(group)) => group.answers.push(answer),
            Some(none) => *none = Some(group(answer)),
            None => {
                waiting.insert(asked.clone(), Some(group(answer)));
                return Joined::First(answered);
            }
        }
        Joined::Behind(answered)
    }

    /// Those that wait now, and those that are about to ask; none, and no entry any more, where nobody does.
    pub(crate) async fn next(&self, asked: &Asked) -> Option<Group> {
        // What is ready to run may ask as well. Costs a microsecond where nothing is.
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        let mut waiting = self.waiting();
        let group = waiting.get_mut(asked).and_then(Option::take);
        if group.is_none() {
            waiting.remove(asked);
        }
        group
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Asked, Option<Group>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
