//! Ends what runs too long. It looks at all slots by the clock, from outside the handlers'
//! runtime: a handler that blocks its thread cannot hold it up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::FailureCause;

use crate::run::{self, GRACE, fail, put_off};
use crate::slots::{Running, Stop};
use crate::worker::Worker;

/// How exactly timeouts are kept.
const TICK: Duration = Duration::from_millis(50);

/// A job that has waited for a slot this long is handed back at the next tick: another worker may have
/// one.
pub(crate) const SLOT_PATIENCE: Duration = Duration::from_millis(50);

pub(crate) async fn run(worker: Arc<Worker>) {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        if worker.slots.claimed() == 0 {
            continue;
        }
        let now = Instant::now();
        for job in worker.slots.all() {
            if let Some(held) = job.take_waiting(SLOT_PATIENCE) {
                run::hand_back(&worker, &job, held);
            }
            match job.stopped() {
                None if !job.waits_for_slot() && now >= job.deadline() => job.stop(Stop::Timeout),
                // In its own time the task settles the job; past twice that it is stuck.
                Some((Stop::Timeout | Stop::Cancelled, since)) if now >= since + 2 * GRACE => {
                    give_up(&worker, &job);
                }
                _ => {}
            }
        }
    }
}

/// The handler does not end: the attempt has failed all the same, so that the job is not stuck with
/// it. The slot stays taken for as long as the handler occupies its thread, or has to wait for one.
fn give_up(worker: &Worker, job: &Running) {
    let Some(held) = job.take() else { return };
    let (id, kind) = (job.id, &job.kind.name);
    let span = tracing::info_span!("job", %id, %kind, attempt = job.run.attempt, worker = %job.run.worker.id);
    let _in_span = span.enter();
    let was_cancelled = job.stopped().is_some_and(|(why, _)| why == Stop::Cancelled);
    if was_cancelled {
        tracing::error!(target: "job", "the handler ignores its cancellation; the job is cancelled, the slot stays taken");
        worker.settle(run::release(job, held, Duration::ZERO));
        return;
    }
    if !job.has_started() {
        worker.settle(put_off(held.lease));
        return;
    }
    let error =
        format!("timed out after {:?}, and the handler does not end: it blocks its thread", job.kind.timeout);
    tracing::error!(target: "job", "the handler ignores its cancellation; its slot stays taken until it ends");
    let settlement = fail(job, held, FailureCause::Timeout, &error, worker.client.now());
    worker.metrics.ended(kind, Some(&settlement));
    worker.settle(settlement);
}
