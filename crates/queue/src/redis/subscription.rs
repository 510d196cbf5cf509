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
    /// Notify when a message of this channel has the id.
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
    /// Messages may have been missed: tell every subscriber.
    TellEverybody,
    /// The current connection delivers no messages: open another.
    Reconnect,
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
