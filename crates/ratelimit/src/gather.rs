//! Requests of one client that ask while a decision on it is in flight share the next round trip:
//! a client that sends a lot costs Redis little, and each request still gets its own decision.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

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
    shares: Vec<Share>,
}

/// Those of one thread. To wake a task of another thread takes a system call: so one wakes a relay
/// there, and the relay the others.
struct Share {
    thread: ThreadId,
    answers: Vec<Answer>,
    relay: oneshot::Sender<Vec<(Answer, Decision)>>,
}

type Answer = oneshot::Sender<Decision>;

/// An entry stands while a round trip is in flight; it holds those that have asked since.
#[derive(Default)]
pub(crate) struct Gather {
    waiting: Mutex<HashMap<Asked, Option<Group>>>,
}

/// A request that waits.
pub(crate) struct Joined {
    /// Never comes where its round trip brought none.
    pub(crate) answer: oneshot::Receiver<Decision>,
    /// Nobody drives it: whoever gets this has to see to it that [`Gather::next`] is called until
    /// it gives none.
    pub(crate) is_first: bool,
}

impl Asked {
    pub(crate) fn new(id: &'static str, subject: &Subject, cost: NonZeroU32) -> Self {
        Asked { id, subject: subject.clone(), cost }
    }
}

impl Gather {
    pub(crate) fn join(&self, asked: &Asked) -> Joined {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        let is_first = !waiting.contains_key(asked);
        let group = waiting.entry(asked.clone()).or_default();
        group.get_or_insert_with(|| Group { since: Instant::now(), shares: Vec::new() }).add(sender);
        Joined { answer, is_first }
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

impl Group {
    pub(crate) fn len(&self) -> usize {
        self.shares.iter().map(|share| share.answers.len()).sum()
    }

    pub(crate) fn answer(self, decisions: Vec<Decision>) {
        let mut decisions = decisions.into_iter();
        for Share { answers, relay, .. } in self.shares {
            let _ = relay.send(answers.into_iter().zip(decisions.by_ref()).collect());
        }
    }

    fn add(&mut self, answer: Answer) {
        let thread = thread::current().id();
        if let Some(share) = self.shares.iter_mut().find(|share| share.thread == thread) {
            return share.answers.push(answer);
        }
        let (relay, relayed) = oneshot::channel();
        self.shares.push(Share { thread, answers: vec![answer], relay });
        tokio::spawn(async move {
            for (answer, decision) in relayed.await.unwrap_or_default() {
                let _ = answer.send(decision);
            }
        });
    }
}
