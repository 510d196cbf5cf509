//! Stops jobs that run too long, and hands back those that wait too long for a slot. It runs outside the
//! handlers' runtime: a handler that blocks its thread cannot delay it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::claimed_job::{ClaimedJob, Stop};
use crate::outcome::End;
use crate::run::{GRACE, finish};
use crate::slots::SLOT_PATIENCE;
use crate::worker::Worker;

/// Precision of timeouts.
const TICK: Duration = Duration::from_millis(50);

pub(crate) async fn run(worker: Arc<Worker>) {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        if worker.slots.claimed() == 0 {
            continue;
        }
        let now = Instant::now();
        for job in worker.slots.jobs() {
            if let Some(settlement) = job.give_up_waiting(SLOT_PATIENCE) {
                worker.settle(settlement);
            }
            match job.stopped() {
                None if !job.waits_for_slot() && now >= job.deadline() => job.stop(Stop::Timeout),
                // The run settles the job within its grace. After twice that it is stuck.
                Some((why @ (Stop::Timeout | Stop::Cancelled), since)) if now >= since + 2 * GRACE => {
                    give_up(&worker, &job, why);
                }
                _ => {}
            }
        }
    }
}

/// Settles the job of a handler that does not end. Its slot stays taken for as long as the handler blocks its
/// thread, or waits for one.
fn give_up(worker: &Worker, job: &ClaimedJob, why: Stop) {
    let Some(unsettled) = job.take() else { return };
    let span = job.span();
    let _in_span = span.enter();
    let mut end = End::NeverStarted;
    if job.has_started() {
        tracing::error!(target: "job", stopped = ?why, "the handler was told to stop but has not ended; its slot stays taken until it does");
        end = End::Stuck;
    }
    finish(worker, job, unsettled, end);
}
