//! Writes the results of a queue's runs to Redis, in batches. A slot is free before its job is settled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use atode_config::traces::{self, Span};
use atode_queue::{Client, FencingToken, JobId, MAX_BATCH, Settlement, Verdict};
use tokio::sync::{Notify, mpsc};

use crate::attempt;
use crate::outage::Outage;

/// Results of one queue's runs on their way to Redis.
pub(crate) struct Results {
    sender: mpsc::UnboundedSender<Settlement>,
    pending: AtomicUsize,
    /// Spans of results that are not stored yet.
    spans: Mutex<Spans>,
    /// Results were stored.
    pub(crate) stored: Notify,
}

type Spans = HashMap<(JobId, FencingToken), Span>;

impl Results {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Settlement>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (pending, spans) = (AtomicUsize::new(0), Mutex::default());
        (Results { sender, pending, spans, stored: Notify::new() }, receiver)
    }

    pub(crate) fn add(&self, settlement: Settlement, span: Option<Span>) {
        if let Some(span) = span {
            self.spans().insert((settlement.lease().id(), settlement.lease().token()), span);
        }
        self.pending.fetch_add(1, Ordering::AcqRel);
        let _ = self.sender.send(settlement); // the receiver lives until all jobs have ended
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Results that are not stored yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// Whether so many results are pending that another claim must wait: it would add to them.
    pub(crate) fn has_backlog(&self, slots: usize) -> bool {
        self.pending() > MAX_BATCH.max(4 * slots)
    }
}

/// Runs until it is aborted.
pub(crate) async fn run(
    client: Client,
    queue: Arc<str>,
    results: Arc<Results>,
    mut incoming: mpsc::UnboundedReceiver<Settlement>,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut outage = Outage::default();
    loop {
        if batch.is_empty() {
            incoming.recv_many(&mut batch, MAX_BATCH).await; // `results` keeps the channel open
        }
        // A result that cannot be stored does not hold up the rest. Claims stop before too many wait.
        while let Ok(next) = incoming.try_recv() {
            batch.push(next);
        }
        let settled = client.settle(std::mem::take(&mut batch)).await;
        results.pending.fetch_sub(settled.answered.len(), Ordering::AcqRel);
        results.stored.notify_one();
        for (settlement, verdict) in settled.answered {
            if traces::is_on()
                && let lease = settlement.lease()
                && let Some(span) = results.spans().remove(&(lease.id(), lease.token()))
            {
                attempt::settled(span, verdict);
            }
            if verdict == Verdict::Stale {
                report_stale(&settlement);
            }
        }
        batch = settled.unanswered;
        if let Some(error) = settled.error {
            if outage.failed() {
                tracing::warn!(%queue, %error, jobs = batch.len(), "cannot store the results of jobs; retrying until Redis accepts them");
            }
            outage.pause().await;
        } else if outage.succeeded() {
            tracing::info!(%queue, "storing results again");
        }
    }
}

fn report_stale(settlement: &Settlement) {
    let lease = settlement.lease();
    tracing::warn!(
        job.id = %lease.id(), kind = %lease.kind(), token = %lease.token(), result = settlement.name(),
        "result refused: the lease had expired and another worker took the job; this job ran more than once"
    );
}
