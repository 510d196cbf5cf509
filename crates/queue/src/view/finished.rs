//! Waiting for a job to finish.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::client::Client;
use crate::model::id::JobId;
use crate::redis::subscription::{Request, Subscriptions};

/// A watch on a job: wait for [`Finished::changed`], then look at the job.
pub struct Finished {
    channel: String,
    id: String,
    notify: Arc<Notify>,
    subscriptions: Subscriptions,
}

impl Client {
    /// Watches a job. The first change comes once the subscription is active: look at the job after it.
    pub fn watch_finish(&self, queue: &str, id: JobId) -> Finished {
        let channel = self.0.core.keys.queue(queue).finished_channel();
        let (id, notify) = (id.short(), Arc::new(Notify::new()));
        let subscriptions = self.0.subscriptions.clone();
        subscriptions.request(Request::Watch {
            channel: channel.clone(),
            id: id.clone(),
            notify: notify.clone(),
        });
        Finished { channel, id, notify, subscriptions }
    }
}

impl Finished {
    /// Waits until the job may have finished.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        self.subscriptions.request(Request::Unwatch {
            channel: self.channel.clone(),
            id: self.id.clone(),
            notify: self.notify.clone(),
        });
    }
}
