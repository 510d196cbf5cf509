//! Waiting for a job to finish.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::keys::Keys;
use crate::model::id::JobId;
use crate::redis::subscription::{Request, Subscriptions, Watch};

/// A watch on a job: wait for [`Finished::changed`], then look at the job.
pub struct Finished {
    watch: Watch,
    subscriptions: Subscriptions,
}

pub(crate) fn watch_finish(subscriptions: &Subscriptions, keys: &Keys, queue: &str, id: JobId) -> Finished {
    let channel = keys.queue(queue).finished_channel();
    let watch = Watch { channel, id: id.short(), notify: Arc::new(Notify::new()) };
    let subscriptions = subscriptions.clone();
    subscriptions.request(Request::Watch(watch.clone()));
    Finished { watch, subscriptions }
}

impl Finished {
    /// Waits until the job may have finished.
    pub async fn changed(&self) {
        self.watch.notify.notified().await;
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        self.subscriptions.request(Request::Unwatch(self.watch.clone()));
    }
}
