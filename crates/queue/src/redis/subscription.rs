//! What Redis publishes: jobs that are due earlier than a worker thought, and jobs that finished.
//!
//! Messages are hints. A new subscription, a reconnect and a lag may have missed some, so each of
//! them counts as a message for everybody.

use std::collections::HashMap;
use std::sync::Arc;

use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::Message;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};

use crate::client::Client;
use crate::model::id::{JobId, WorkerId};
use crate::redis::connection::Connection;
use crate::redis::echo::{self, Echo};
use crate::redis::inbox::{Inbox, Mail};
use crate::redis::pool::Listener;
use crate::workers::wakeups::{KindSet, Wakeups};

/// Waits for messages that name what somebody asked of a worker or of a job, or what a worker did.
pub struct Notices {
    inbox: Arc<Inbox>,
}

/// Tells when a job may have finished: [`Finished::changed`], then look at the job.
pub struct Finished {
    channel: String,
    id: String,
    notify: Arc<Notify>,
    requests: mpsc::UnboundedSender<Request>,
}

impl Client {
    /// Subscribes to what is heard of these queues, for a worker of these kinds. The first message
    /// comes once the subscription is there.
    pub fn wakeups(&self, queues: &[Arc<str>], kinds: &KindSet) -> Wakeups {
        let channels = queues.iter().map(|queue| self.keys().queue(queue).wake_channel());
        Wakeups { inbox: self.listen(channels.collect()), kinds: kinds.clone() }
    }

    /// Subscribes to what is asked of workers of these queues: to cancel a job (its id), to go quiet
    /// or to stop (the worker's id). The worker that it concerns learns the rest by a heartbeat.
    pub fn requests(&self, queues: &[Arc<str>]) -> Notices {
        let cancel = queues.iter().map(|queue| self.keys().queue(queue).cancel_channel());
        Notices { inbox: self.listen(cancel.chain([self.keys().workers_channel()]).collect()) }
    }

    /// Subscribes to the sweeps of a queue: a message tells that a worker has just made one (its id).
    pub fn sweeps(&self, queue: &str) -> Notices {
        Notices { inbox: self.listen(vec![self.keys().queue(queue).swept_channel()]) }
    }

    /// Tells the other workers of a queue that this one has swept it. They sweep as well where that
    /// does not reach them.
    pub async fn tell_swept(&self, queue: &str, by: WorkerId) {
        let channel = self.keys().queue(queue).swept_channel();
        if let Ok(redis) = self.connection().writer()
            && let Err(error) = redis.publish::<i64, _, _>(channel, by.to_string()).await
        {
            tracing::debug!(%error, queue, "the other workers do not hear of a sweep");
        }
    }

    fn listen(&self, channels: Vec<String>) -> Arc<Inbox> {
        let wake = Arc::new(Inbox::default());
        self.subscriptions().request(Request::Wake { channels, wake: wake.clone() });
        wake
    }

    /// Watches a job. The first change is that the watch stands: look at the job after it.
    pub fn watch_finish(&self, queue: &str, id: JobId) -> Finished {
        let finished = Finished {
            channel: self.keys().queue(queue).finished_channel(),
            id: id.short(),
            notify: Arc::new(Notify::new()),
            requests: self.subscriptions().requests.clone(),
        };
        self.subscriptions().request(Request::Watch {
            channel: finished.channel.clone(),
            id: finished.id.clone(),
            notify: finished.notify.clone(),
        });
        finished
    }
}

impl Notices {
    /// Waits until something is heard.
    pub async fn next(&self) -> Mail {
        self.inbox.next().await
    }
}

impl Finished {
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::Unwatch {
            channel: self.channel.clone(),
            id: self.id.clone(),
            notify: self.notify.clone(),
        });
    }
}

pub(crate) enum Request {
    Wake {
        channels: Vec<String>,
        wake: Arc<Inbox>,
    },
    Watch {
        channel: String,
        id: String,
        notify: Arc<Notify>,
    },
    Unwatch {
        channel: String,
        id: String,
        notify: Arc<Notify>,
    },
    /// Something may have been missed.
    TellEverybody,
    /// The current connection delivers no messages.
    Reconnect,
}

/// The one owner of the subscribing connection: all requests go through it, in order.
pub(crate) struct Subscriptions {
    requests: mpsc::UnboundedSender<Request>,
}

impl Subscriptions {
    /// A later listener takes the place of an earlier one.
    pub(crate) fn new(
        mut listeners: mpsc::UnboundedReceiver<Listener>,
        connection: &Connection,
        echo: Arc<Echo>,
    ) -> Self {
        let (requests, incoming) = mpsc::unbounded_channel();
        tokio::spawn(echo::run(connection.clone(), echo.clone(), requests.downgrade()));
        tokio::spawn(async move {
            if let Some(listener) = listeners.recv().await {
                let desk = Desk { listener, echo, wakes: HashMap::new(), watches: HashMap::new() };
                desk.run(incoming, listeners).await;
            }
        });
        Subscriptions { requests }
    }

    fn request(&self, request: Request) {
        let _ = self.requests.send(request);
    }
}

struct Desk {
    listener: Listener,
    echo: Arc<Echo>,
    /// By channel.
    wakes: HashMap<String, Vec<Arc<Inbox>>>,
    /// By channel, then by id. A channel without watchers is not subscribed to.
    watches: HashMap<String, HashMap<String, Vec<Arc<Notify>>>>,
}

impl Desk {
    async fn run(
        mut self,
        mut incoming: mpsc::UnboundedReceiver<Request>,
        mut listeners: mpsc::UnboundedReceiver<Listener>,
    ) {
        loop {
            tokio::select! {
                biased; // a connect comes before what is heard over it
                Some(listener) = listeners.recv() => self.listener = listener,
                connected = self.listener.connects.recv() => match connected {
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        let channels = self.wakes.keys().chain(self.watches.keys());
                        self.subscribe(channels.chain([&self.echo.channel]).cloned().collect()).await;
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
                // Returns once there is a connection, which the desk hears of by itself.
                tokio::spawn(async move { client.force_reconnection().await });
            }
            Request::Wake { channels, wake } => {
                for channel in &channels {
                    self.wakes.entry(channel.clone()).or_default().push(wake.clone());
                }
                self.subscribe(channels).await;
                wake.put_missed();
            }
            Request::Watch { channel, id, notify } => {
                if !self.watches.contains_key(&channel) {
                    self.subscribe(vec![channel.clone()]).await;
                }
                self.watches.entry(channel).or_default().entry(id).or_default().push(notify.clone());
                notify.notify_one();
            }
            Request::Unwatch { channel, id, notify } => {
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

    /// A failure is mended by the next connect, which subscribes to everything again.
    async fn subscribe(&self, channels: Vec<String>) {
        if !channels.is_empty()
            && let Err(error) = self.listener.client.subscribe(channels).await
        {
            tracing::debug!(%error, "cannot subscribe now");
        }
    }

    fn pass_on(&self, message: &Message) {
        let channel: &str = &message.channel;
        if channel == self.echo.channel {
            self.echo.hear(message.value.as_u64().unwrap_or_default());
        } else if let Some(wakes) = self.wakes.get(channel) {
            let message = message.value.as_string().unwrap_or_default();
            for wake in wakes {
                wake.put(message.clone());
            }
        } else if let Some(ids) = self.watches.get(channel) {
            let finished = message.value.as_str().unwrap_or_default();
            for id in finished.split(' ') {
                ids.get(id).into_iter().flatten().for_each(|watcher| watcher.notify_one());
            }
        }
    }

    fn tell_everybody(&self) {
        self.wakes.values().flatten().for_each(|wake| wake.put_missed());
        self.watches.values().flat_map(HashMap::values).flatten().for_each(|watcher| watcher.notify_one());
    }
}
