//! Claims without an answer. Redis may have carried them out, and would keep their jobs for this worker until
//! their leases expire. The worker searches for these jobs and hands them back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::{FencingToken, Unanswered};

use crate::worker::Worker;

/// Time to the second search. A command can reach Redis after one that was sent later over another connection.
const SECOND_SEARCH: Duration = Duration::from_secs(2);
const SEARCHES: u32 = 2;

/// Error of the known Redis time, in ms, if Redis' clock was set meanwhile.
const CLOCK_DOUBT: i64 = 5_000;

/// The lost claims of one queue.
#[derive(Default)]
pub(crate) struct LostClaims {
    /// Token of the last claim that was answered with jobs.
    last: Option<FencingToken>,
    /// In the order of their tokens. Between two of them lies a claim that was answered, whose jobs run.
    open: Vec<Lost>,
}

/// Consecutive claims without an answer.
struct Lost {
    after: FencingToken,
    before: Option<FencingToken>,
    /// When the first of these claims was sent: Redis' time in Unix ms.
    sent: i64,
    searches: u32,
    next_search: Instant,
}

impl LostClaims {
    /// Adds a claim that was sent at this Redis time and got no answer.
    pub(crate) fn add(&mut self, sent: i64) {
        let next_search = Instant::now();
        match self.open.last_mut() {
            // No answer since: any of these claims may have taken jobs.
            Some(open) if open.before.is_none() => (open.searches, open.next_search) = (0, next_search),
            _ => {
                let after = self.last.unwrap_or(FencingToken::new(0));
                self.open.push(Lost { after, before: None, sent, searches: 0, next_search });
            }
        }
    }

    /// Records a claim that was answered with jobs under this token.
    pub(crate) fn answered(&mut self, token: FencingToken) {
        self.last = Some(token);
        if let Some(open) = self.open.last_mut() {
            open.before.get_or_insert(token);
        }
    }

    /// Time to the next search: very long unless a claim is lost.
    pub(crate) fn until_search(&self) -> Duration {
        let next = self.open.iter().map(|open| open.next_search).min();
        next.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Runs the searches that are due, and hands back the jobs they find.
    pub(crate) async fn hand_back(&mut self, worker: &Worker, queue: &Arc<str>) {
        let now = Instant::now();
        for open in self.open.iter_mut().filter(|open| open.next_search <= now) {
            open.search(worker, queue).await;
        }
        self.open.retain(|open| open.searches < SEARCHES);
    }
}

impl Lost {
    async fn search(&mut self, worker: &Worker, queue: &Arc<str>) {
        self.next_search = Instant::now() + SECOND_SEARCH;
        let claims = Unanswered {
            queue,
            kinds: &worker.kind_names,
            worker: worker.me.id,
            after: self.after,
            before: self.before,
            deadline: self.sent + worker.settings.lease.as_millis() as i64 - CLOCK_DOUBT,
        };
        match worker.client.unanswered(&claims).await {
            Ok(leases) => {
                if !leases.is_empty() {
                    tracing::warn!(%queue, jobs = leases.len(), "handing back the jobs of a claim whose answer was lost");
                }
                for lease in leases {
                    worker.settle(lease.hand_back());
                }
                self.searches += 1;
            }
            Err(error) => {
                tracing::debug!(%queue, %error, "cannot search for the jobs of lost claims now");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_was_answered_between_two_lost_ones_is_not_searched_for() {
        let mut claims = LostClaims::default();
        claims.answered(FencingToken::new(10));
        claims.add(1_000);
        claims.add(1_500);
        claims.answered(FencingToken::new(20));
        claims.answered(FencingToken::new(30));
        claims.add(2_000);
        claims.answered(FencingToken::new(40));
        let ranges: Vec<_> = claims.open.iter().map(|open| (open.after, open.before, open.sent)).collect();
        let token = FencingToken::new;
        assert_eq!(ranges, [(token(10), Some(token(20)), 1_000), (token(30), Some(token(40)), 2_000)]);
    }
}
