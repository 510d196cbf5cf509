//! Requests to the task that owns the subscribing connection.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use crate::redis::inbox::Inbox;

pub(crate) enum Request {
    /// Put the messages of these channels into the inbox.
    Listen {
        channels: Vec<String>,
        inbox: Arc<Inbox>,
    },
    Watch(Watch),
    Unwatch(Watch),
    /// Messages may have been missed: tell every subscriber.
    TellEverybody,
    /// The current connection delivers no messages: open another.
    Reconnect,
}

/// Notifies when a message of the channel has the id.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) channel: String,
    pub(crate) id: String,
    pub(crate) notify: Arc<Notify>,
}

/// Sends requests to the subscriber, which handles them in order. It ends with the last of these.
#[derive(Clone)]
pub(crate) struct Subscriptions(pub(crate) mpsc::UnboundedSender<Request>);

impl Subscriptions {
    pub(crate) fn request(&self, request: Request) {
        let _ = self.0.send(request);
    }

    pub(crate) fn listen(&self, channels: Vec<String>) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        self.request(Request::Listen { channels, inbox: inbox.clone() });
        inbox
    }
}
