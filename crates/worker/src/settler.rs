//! Writes what became of jobs, in batches, behind their runs: a slot is free before its job is
//! settled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atode_queue::{MAX_BATCH, Settlement, Verdict};
use tokio::sync::mpsc;

use crate::worker::Worker;

const FASTEST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(1);

/// Ends when every sender is gone and all is settled.
pub(crate) async fn run(worker: Arc<Worker>, mut incoming: mpsc::UnboundedReceiver<Settlement>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut retry = FASTEST_RETRY;
    loop {
        if batch.is_empty() && incoming.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        // What cannot be stored does not hold up the rest. Claims stop before this gets too much.
        while let Ok(next) = incoming.try_recv() {
            batch.push(next);
        }
        let settled = worker.client.settle(std::mem::take(&mut batch)).await;
        worker.unsettled.fetch_sub(settled.answered.len(), Ordering::AcqRel);
        worker.settled.notify_one();
        for (settlement, verdict) in settled.answered {
            if verdict == Verdict::Stale {
                report_stale(&settlement);
            }
        }
        batch = settled.unanswered;
        if let Some(error) = settled.error {
            tracing::warn!(%error, jobs = batch.len(), "results cannot be stored now; trying again");
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(SLOWEST_RETRY);
        } else {
            retry = FASTEST_RETRY;
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
