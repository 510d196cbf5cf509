//! The live workers for autoscalers, which several of them ask for every few seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::{Client, Error, Registration};
use tokio::sync::Mutex;

/// The time for which one read of the live workers serves the autoscalers of all queues.
const FRESH: Duration = Duration::from_secs(1);

/// The live workers as they were read last, and when.
#[derive(Default)]
pub(crate) struct RecentWorkers(Mutex<Option<(Instant, Arc<[Registration]>)>>);

impl RecentWorkers {
    /// Requests at the same time share one read.
    pub(crate) async fn read(&self, client: &Client) -> Result<Arc<[Registration]>, Error> {
        let mut recent = self.0.lock().await;
        if let Some((at, workers)) = &*recent
            && at.elapsed() < FRESH
        {
            return Ok(workers.clone());
        }
        let at = Instant::now();
        let workers: Arc<[Registration]> = client.workers().await?.into();
        *recent = Some((at, workers.clone()));
        Ok(workers)
    }
}
