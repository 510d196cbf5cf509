//! Notices between operators, workers and sweepers of a queue.

use std::sync::Arc;

use fred::interfaces::PubsubInterface;

use crate::core::Core;
use crate::keys::Keys;
use crate::model::id::WorkerId;
use crate::redis::inbox::{Inbox, Mail};
use crate::redis::subscription::Subscriptions;

/// A subscription to notices. Each names the job or the worker that it is about.
pub struct Notices {
    inbox: Arc<Inbox>,
}

impl Notices {
    /// Waits for the next notice.
    pub async fn next(&self) -> Mail {
        self.inbox.next().await
    }
}

/// Subscribes to requests: to cancel a job of these queues (its id), to quiet or stop a worker (its id). The worker
/// learns the details by its next heartbeat.
pub(crate) fn requests(subscriptions: &Subscriptions, keys: &Keys, queues: &[Arc<str>]) -> Notices {
    let cancel = queues.iter().map(|queue| keys.queue(queue).cancel_channel());
    Notices { inbox: subscriptions.listen(cancel.chain([keys.workers_channel()]).collect()) }
}

/// Subscribes to the sweeps of a queue. A notice has the id of the worker that has swept it.
pub(crate) fn sweeps(subscriptions: &Subscriptions, keys: &Keys, queue: &str) -> Notices {
    Notices { inbox: subscriptions.listen(vec![keys.queue(queue).swept_channel()]) }
}

/// Tells the other workers of a queue that this one has swept it. A worker that misses the notice sweeps as well.
pub(crate) async fn tell_swept(core: &Core, queue: &str, by: WorkerId) {
    let channel = core.keys().queue(queue).swept_channel();
    if let Ok(redis) = core.connection().writer()
        && let Err(error) = redis.publish::<i64, _, _>(channel, by.to_string()).await
    {
        tracing::debug!(%error, queue, "could not tell the other workers of a sweep");
    }
}
