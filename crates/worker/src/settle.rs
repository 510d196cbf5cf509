//! Writes what became of a queue's jobs, in batches, behind their runs: a slot is free before its job
//! is settled.

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{MAX_BATCH, Settlement, Verdict};
use tokio::sync::mpsc;

use crate::served::Served;
use crate::worker::Worker;

const FASTEST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(1);

/// Ends when every sender is gone and all is settled.
pub(crate) async fn run(
    worker: Arc<Worker>,
    served: Arc<Served>,
    mut incoming: mpsc::UnboundedReceiver<Settlement>,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut retry = FASTEST_RETRY;
    let mut failing = false;
    loop {
        if batch.is_empty() && incoming.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        // What cannot be stored does not hold up the rest. Claims stop before this gets too much.
        while let Ok(next) = incoming.try_recv() {
            batch.push(next);
        }
        let settled = worker.client.settle(std::mem::take(&mut batch)).await;
        served.stored(settled.answered.len());
        for (settlement, verdict) in settled.answered {
            if verdict == Verdict::Stale {
                report_stale(&settlement);
            }
        }
        batch = settled.unanswered;
        if let Some(error) = settled.error {
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(queue = %served.queue, %error, jobs = batch.len(), "results cannot be stored now; trying again until they are");
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(SLOWEST_RETRY);
        } else {
            retry = FASTEST_RETRY;
            if std::mem::take(&mut failing) {
                tracing::info!(queue = %served.queue, "storing results again");
            }
        }
    }
}

fn report_stale(settlement: &Settlement) {
    let lease = settlement.lease();
    tracing::warn!(
        job.id = %lease.id(), kind = %lease.kind(), token = %lease.token(), result = settlement.name(),
        "refused: the lease ran out and the job went on elsewhere; this run was a repeat"
    );
}
