//! Claims of a queue that had no answer. Redis may have made them all the same, and would keep their jobs
//! for this worker until their leases have run out. So it looks for them and hands them back.

use std::time::{Duration, Instant};

use atode_queue::{FencingToken, Unanswered};

use crate::served::Served;
use crate::worker::Worker;

/// A command can reach Redis after another one that was sent later over another connection. So a second
/// look follows the first after this long.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// Redis' clock is not known better than this where it was set meanwhile.
const CLOCK_DOUBT: i64 = 5_000;

#[derive(Default)]
pub(crate) struct LostClaims {
    /// Token of the last claim that took jobs and was answered.
    last: Option<FencingToken>,
    open: Option<Lost>,
}

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
        let after = self.last.unwrap_or(FencingToken::new(0));
        let lost = Lost { after, before: None, sent, looks: 0, next_look: Instant::now() };
        self.open = Some(match self.open.take() {
            Some(open) => Lost { after: open.after, sent: open.sent, ..lost },
            None => lost,
        });
    }

    /// A claim was answered, and took jobs under this token.
    pub(crate) fn answered(&mut self, token: FencingToken) {
        self.last = Some(token);
        if let Some(open) = &mut self.open {
            open.before.get_or_insert(token);
        }
    }

    /// When to look next; none where no answer is missing.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.next_look)
    }

    /// Looks for the jobs of lost claims, if it is time, and hands them back.
    pub(crate) async fn hand_back(&mut self, worker: &Worker, served: &Served) {
        let Some(open) = &mut self.open else { return };
        if Instant::now() < open.next_look {
            return;
        }
        let claims = Unanswered {
            queue: &served.queue,
            kinds: &worker.kind_names,
            worker: worker.me.id,
            after: open.after,
            before: open.before,
            deadline: open.sent + worker.settings.lease.as_millis() as i64 - CLOCK_DOUBT,
        };
        match worker.client.unanswered(&claims).await {
            Ok(leases) => {
                if !leases.is_empty() {
                    tracing::warn!(queue = %served.queue, jobs = leases.len(), "handing back jobs of a claim whose answer was lost");
                }
                for lease in leases {
                    served.settle(lease.hand_back());
                }
                open.looks += 1;
                open.next_look = Instant::now() + SECOND_LOOK;
                if open.looks == 2 {
                    self.open = None;
                }
            }
            Err(error) => {
                tracing::debug!(queue = %served.queue, %error, "cannot look for jobs of lost claims now");
                open.next_look = Instant::now() + SECOND_LOOK;
            }
        }
    }
}
