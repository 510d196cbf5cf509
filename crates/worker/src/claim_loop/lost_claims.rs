//! Claims of a queue that had no answer. Redis may have made them all the same, and would keep their jobs
//! for this worker until their leases have run out. So it looks for them and hands them back.

use std::time::{Duration, Instant};

use atode_queue::{FencingToken, Unanswered};

use crate::served::Served;
use crate::worker::Worker;

/// A command can reach Redis after another one that was sent later over another connection. So a second
/// look follows the first after this long.
const SECOND_LOOK: Duration = Duration::from_secs(2);
const LOOKS: u32 = 2;

/// Redis' clock is not known better than this where it was set meanwhile.
const CLOCK_DOUBT: i64 = 5_000;

#[derive(Default)]
pub(crate) struct LostClaims {
    /// Token of the last claim that took jobs and was answered.
    last: Option<FencingToken>,
    /// In the order of their tokens. Between two of them a claim was answered, whose jobs run.
    open: Vec<Lost>,
}

/// Claims without an answer, one after the other.
struct Lost {
    after: FencingToken,
    before: Option<FencingToken>,
    /// When the first of these claims was sent, Redis' time in Unix ms.
    sent: i64,
    looks: u32,
    next_look: Instant,
}

impl LostClaims {
    /// A claim that was sent at this instant of Redis' clock has no answer.
    pub(crate) fn lost(&mut self, sent: i64) {
        let next_look = Instant::now();
        match self.open.last_mut() {
            // No answer since: any of these claims may have taken jobs.
            Some(open) if open.before.is_none() => (open.looks, open.next_look) = (0, next_look),
            _ => {
                let after = self.last.unwrap_or(FencingToken::new(0));
                self.open.push(Lost { after, before: None, sent, looks: 0, next_look });
            }
        }
    }

    /// A claim was answered, and took jobs under this token.
    pub(crate) fn answered(&mut self, token: FencingToken) {
        self.last = Some(token);
        if let Some(open) = self.open.last_mut() {
            open.before.get_or_insert(token);
        }
    }

    /// When to look next; none where no answer is missing.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.open.iter().map(|open| open.next_look).min()
    }

    /// Looks for the jobs of lost claims, if it is time, and hands them back.
    pub(crate) async fn hand_back(&mut self, worker: &Worker, served: &Served) {
        let now = Instant::now();
        for open in self.open.iter_mut().filter(|open| open.next_look <= now) {
            open.look(worker, served).await;
        }
        self.open.retain(|open| open.looks < LOOKS);
    }
}

impl Lost {
    async fn look(&mut self, worker: &Worker, served: &Served) {
        self.next_look = Instant::now() + SECOND_LOOK;
        let claims = Unanswered {
            queue: &served.queue,
            kinds: &worker.kind_names,
            worker: worker.me.id,
            after: self.after,
            before: self.before,
            deadline: self.sent + worker.settings.lease.as_millis() as i64 - CLOCK_DOUBT,
        };
        match worker.client.unanswered(&claims).await {
            Ok(leases) => {
                if !leases.is_empty() {
                    tracing::warn!(queue = %served.queue, jobs = leases.len(), "handing back jobs of a claim whose answer was lost");
                }
                for lease in leases {
                    served.settle(lease.hand_back());
                }
                self.looks += 1;
            }
            Err(error) => {
                tracing::debug!(queue = %served.queue, %error, "cannot look for jobs of lost claims now");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_was_answered_between_two_lost_ones_is_not_looked_for() {
        let mut claims = LostClaims::default();
        claims.answered(FencingToken::new(10));
        claims.lost(1_000);
        claims.lost(1_500);
        claims.answered(FencingToken::new(20));
        claims.answered(FencingToken::new(30));
        claims.lost(2_000);
        claims.answered(FencingToken::new(40));
        let ranges: Vec<_> = claims.open.iter().map(|open| (open.after, open.before, open.sent)).collect();
        let token = FencingToken::new;
        assert_eq!(ranges, [(token(10), Some(token(20)), 1_000), (token(30), Some(token(40)), 2_000)]);
    }
}
