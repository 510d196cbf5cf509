//! Storing many jobs of one caller.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
use crate::model::new_job::{Atomicity, Enqueued, NewJob};
use crate::transitions::enqueue::enqueue;

impl Client {
    /// Stores all jobs or none, in one call (≤ [`MAX_BATCH`](crate::MAX_BATCH) jobs of one queue).
    pub async fn enqueue_all_or_nothing(&self, queue: &str, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        let core = &self.0.core;
        enqueue(core, &core.connection, queue, jobs, Atomicity::AllOrNothing).await
    }

    /// Stores each job of one queue independently, in as few calls as possible, one after the other. After a call that
    /// fails nothing more is sent, so the outcome is unknown for the jobs of at most one call.
    pub async fn enqueue_each(&self, queue: &str, jobs: &[NewJob]) -> Vec<Result<Enqueued, Error>> {
        self.enqueue_each_within(Duration::MAX, queue, jobs).await
    }

    /// [`enqueue_each`](Self::enqueue_each) that ends after `patience`; a call without an answer has an unknown outcome.
    pub async fn enqueue_each_within(
        &self,
        patience: Duration,
        queue: &str,
        jobs: &[NewJob],
    ) -> Vec<Result<Enqueued, Error>> {
        let core = &self.0.core;
        let start = Instant::now();
        let mut results = Vec::with_capacity(jobs.len());
        for call in core.outgoing.calls(jobs, NewJob::weight) {
            let sent = enqueue(core, &core.connection, queue, call, Atomicity::Each);
            // Boxed: the timer would make the futures of all callers larger.
            let sent = tokio::time::timeout(patience.saturating_sub(start.elapsed()), Box::pin(sent)).await;
            match sent.unwrap_or_else(|_| Err(Error::Unknown("no answer in time".to_owned()))) {
                Ok(stored) => results.extend(stored.into_iter().map(Ok)),
                Err(error) => {
                    let unsent = jobs.len() - results.len() - call.len();
                    results.extend(call.iter().map(|_| Err(error.clone())));
                    results.extend((0..unsent).map(|_| Err(error.for_what_was_not_sent())));
                    break;
                }
            }
        }
        results
    }
}
