//! Requests of one client that ask while a decision on it is in flight share the next round trip:
//! a client that sends a lot costs Redis little, and each request still gets its own decision.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::decision::Decision;
use crate::policy::Policy;
use crate::remote::Remote;

/// A decision, or why there is none.
type Answer = Result<Decision, String>;

/// Key and cost.
type Asked = (String, NonZeroU32);

type Waiting = HashMap<Asked, Vec<oneshot::Sender<Answer>>>;

/// Who waits for a decision. An entry stands while a round trip on it is in flight.
#[derive(Default)]
pub(crate) struct Gather {
    waiting: Mutex<Waiting>,
}

impl Gather {
    pub(crate) async fn check(
        self: &Arc<Self>,
        remote: &Arc<Remote>,
        policy: &Policy,
        key: &str,
        cost: NonZeroU32,
    ) -> Answer {
        let (answer, answered) = oneshot::channel();
        let asked = (key.to_owned(), cost);
        let in_flight = {
            let mut waiting = self.waiting();
            let known = waiting.contains_key(&asked);
            waiting.entry(asked.clone()).or_default().push(answer);
            known
        };
        if !in_flight {
            // A task of its own: whoever asked first may give up before the others have an answer.
            tokio::spawn(self.clone().drive(remote.clone(), policy.clone(), asked));
        }
        answered.await.unwrap_or_else(|_| Err("the decision was dropped".to_owned()))
    }

    async fn drive(self: Arc<Self>, remote: Arc<Remote>, policy: Policy, asked: Asked) {
        while let Some(answers) = self.take(&asked) {
            let (key, cost) = &asked;
            match remote.check(&policy, key, *cost, answers.len()).await {
                Ok(decisions) => {
                    for (answer, decision) in answers.into_iter().zip(decisions) {
                        let _ = answer.send(Ok(decision));
                    }
                }
                Err(error) => {
                    for answer in answers {
                        let _ = answer.send(Err(error.to_string()));
                    }
                }
            }
        }
    }

    /// Those that wait now; none, and no entry any more, where nobody does.
    fn take(&self, asked: &Asked) -> Option<Vec<oneshot::Sender<Answer>>> {
        let mut waiting = self.waiting();
        let answers = waiting.get_mut(asked).map(std::mem::take).unwrap_or_default();
        if answers.is_empty() {
            waiting.remove(asked);
            return None;
        }
        Some(answers)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
