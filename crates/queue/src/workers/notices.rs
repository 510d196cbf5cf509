//! Notices between operators, workers and sweepers of a queue.

use std::sync::Arc;

use fred::interfaces::PubsubInterface;

use crate::client::Client;
use crate::model::id::WorkerId;
use crate::redis::inbox::Inbox;

impl Client {
    /// Subscribes to requests: to cancel a job of these queues (its id), to quiet or stop a worker (its id). The worker
    /// learns the details by its next heartbeat.
    pub fn requests(&self, queues: &[Arc<str>]) -> Arc<Inbox> {
        let keys = &self.0.core.keys;
        let cancel = queues.iter().map(|queue| keys.queue(queue).cancel_channel());
        self.0.subscriptions.listen(cancel.chain([keys.workers_channel()]).collect())
    }

    /// Subscribes to the sweeps of a queue. A notice has the id of the worker that has swept it.
    pub fn sweeps(&self, queue: &str) -> Arc<Inbox> {
        self.0.subscriptions.listen(vec![self.0.core.keys.queue(queue).swept_channel()])
    }

    /// Tells the other workers of a queue that this one has swept it. A worker that misses the notice sweeps as well.
    pub async fn tell_swept(&self, queue: &str, by: WorkerId) {
        let core = &self.0.core;
        let channel = core.keys.queue(queue).swept_channel();
        if let Ok(redis) = core.connection.client()
            && let Err(error) = redis.publish::<i64, _, _>(channel, by.to_string()).await
        {
            tracing::debug!(%error, queue, "could not tell the other workers of a sweep");
        }
    }
}
