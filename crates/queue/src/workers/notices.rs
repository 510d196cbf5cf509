//! Notices between operators, workers and sweepers of a queue.

use std::sync::Arc;

use fred::interfaces::PubsubInterface;

use crate::core::Core;
use crate::keys::Keys;
use crate::model::id::WorkerId;
use crate::redis::inbox::Inbox;
use crate::redis::subscription::Subscriptions;

pub(crate) fn requests(subscriptions: &Subscriptions, keys: &Keys, queues: &[Arc<str>]) -> Arc<Inbox> {
    let cancel = queues.iter().map(|queue| keys.queue(queue).cancel_channel());
    subscriptions.listen(cancel.chain([keys.workers_channel()]).collect())
}

pub(crate) fn sweeps(subscriptions: &Subscriptions, keys: &Keys, queue: &str) -> Arc<Inbox> {
    subscriptions.listen(vec![keys.queue(queue).swept_channel()])
}

pub(crate) async fn tell_swept(core: &Core, queue: &str, by: WorkerId) {
    let channel = core.keys.queue(queue).swept_channel();
    if let Ok(redis) = core.connection.client()
        && let Err(error) = redis.publish::<i64, _, _>(channel, by.to_string()).await
    {
        tracing::debug!(%error, queue, "could not tell the other workers of a sweep");
    }
}
