//! The task that owns the subscribing connection and passes on its messages.
//!
//! Messages are hints. A new subscription, a reconnect and a lag may have missed some, so each of them counts as a
//! message for everybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::Message;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};

use crate::redis::connection::Connection;
use crate::redis::delivery::{self, Delivery};
use crate::redis::inbox::Inbox;
use crate::redis::pool::Listener;
use crate::redis::subscription::{Request, Subscriptions, Watch};

/// Time over which watchers are spread when all of them have to look at their jobs, per watcher.
const WATCHER_SPREAD: Duration = Duration::from_millis(1);

/// Starts the subscriber. A later listener replaces an earlier one.
pub(crate) fn start(
    mut listeners: mpsc::UnboundedReceiver<Listener>,
    connection: &Connection,
    delivery: Arc<Delivery>,
) -> Subscriptions {
    let (requests, incoming) = mpsc::unbounded_channel();
    tokio::spawn(delivery::run(connection.clone(), delivery.clone(), requests.downgrade()));
    tokio::spawn(async move {
        if let Some(listener) = listeners.recv().await {
            let (inboxes, watches) = (HashMap::new(), HashMap::new());
            Subscriber { listener, delivery, inboxes, watches }.run(incoming, listeners).await;
        }
    });
    Subscriptions(requests)
}

struct Subscriber {
    listener: Listener,
    delivery: Arc<Delivery>,
    /// By channel.
    inboxes: HashMap<String, Vec<Arc<Inbox>>>,
    /// By channel, then by id. Channels without watchers are unsubscribed.
    watches: HashMap<String, HashMap<String, Vec<Arc<Notify>>>>,
}

impl Subscriber {
    async fn run(
        mut self,
        mut incoming: mpsc::UnboundedReceiver<Request>,
        mut listeners: mpsc::UnboundedReceiver<Listener>,
    ) {
        loop {
            tokio::select! {
                biased; // a connect comes before its messages
                Some(listener) = listeners.recv() => self.listener = listener,
                connected = self.listener.connects.recv() => match connected {
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        let channels = self.inboxes.keys().chain(self.watches.keys());
                        self.subscribe(channels.chain([&self.delivery.channel]).cloned().collect()).await;
                        self.tell_everybody();
                    }
                    Err(RecvError::Closed) => return,
                },
                request = incoming.recv() => match request {
                    Some(request) => self.take(request).await,
                    None => return,
                },
                message = self.listener.messages.recv() => match message {
                    Ok(message) => self.pass_on(&message),
                    Err(RecvError::Lagged(_)) => self.tell_everybody(),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    async fn take(&mut self, request: Request) {
        match request {
            Request::TellEverybody => self.tell_everybody(),
            Request::Reconnect => {
                let client = self.listener.client.clone();
                // Returns once there is a connection. Its connect event comes separately.
                tokio::spawn(async move { client.force_reconnection().await });
            }
            Request::Listen { channels, inbox } => {
                for channel in &channels {
                    self.inboxes.entry(channel.clone()).or_default().push(inbox.clone());
                }
                self.subscribe(channels).await;
                inbox.put_missed();
            }
            Request::Watch(Watch { channel, id, notify }) => {
                if !self.watches.contains_key(&channel) {
                    self.subscribe(vec![channel.clone()]).await;
                }
                self.watches.entry(channel).or_default().entry(id).or_default().push(notify.clone());
                notify.notify_one();
            }
            Request::Unwatch(Watch { channel, id, notify }) => {
                let Some(ids) = self.watches.get_mut(&channel) else { return };
                if let Some(watchers) = ids.get_mut(&id) {
                    watchers.retain(|watcher| !Arc::ptr_eq(watcher, &notify));
                    if watchers.is_empty() {
                        ids.remove(&id);
                    }
                }
                if ids.is_empty() {
                    self.watches.remove(&channel);
                    let _ = self.listener.client.unsubscribe(channel).await;
                }
            }
        }
    }

    /// After a failure, the next connect subscribes to everything again.
    async fn subscribe(&self, channels: Vec<String>) {
        if !channels.is_empty()
            && let Err(error) = self.listener.client.subscribe(channels).await
        {
            tracing::debug!(%error, "could not subscribe; the next connect subscribes again");
        }
    }

    fn pass_on(&self, message: &Message) {
        let channel: &str = &message.channel;
        if channel == self.delivery.channel {
            self.delivery.arrived(message.value.as_u64().unwrap_or_default());
        } else if let Some(inboxes) = self.inboxes.get(channel) {
            let message = message.value.as_string().unwrap_or_default();
            for inbox in inboxes {
                inbox.put(message.clone());
            }
        } else if let Some(ids) = self.watches.get(channel) {
            let finished = message.value.as_str().unwrap_or_default();
            for id in finished.split(' ') {
                ids.get(id).into_iter().flatten().for_each(|watcher| watcher.notify_one());
            }
        }
    }

    /// Tells all inboxes at once, and each watcher of a job after a random delay: otherwise every one of them would look
    /// at its job at the same instant.
    fn tell_everybody(&self) {
        self.inboxes.values().flatten().for_each(|inbox| inbox.put_missed());
        let watchers: Vec<_> = self.watches.values().flat_map(HashMap::values).flatten().cloned().collect();
        let spread = WATCHER_SPREAD * watchers.len() as u32;
        for watcher in watchers {
            let delay = rand::random_range(Duration::ZERO..=spread);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                watcher.notify_one();
            });
        }
    }
}
