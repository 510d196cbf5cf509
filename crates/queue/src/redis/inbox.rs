//! Published messages on their way from the subscribing connection to the task that waits for them.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Capacity. Beyond it, messages count as missed.
const CAPACITY: usize = 256;

/// The messages of a subscription. Each names the job or the worker that it is about.
#[derive(Debug, Default)]
pub struct Inbox {
    mail: Mutex<Mail>,
    notify: Notify,
}

/// The messages since the last look.
#[derive(Debug, Default)]
pub struct Mail {
    /// True if a message may have been missed before these: after a new subscription, a lost connection, or too many
    /// messages at once.
    pub missed: bool,
    /// The messages in the order of their publication.
    pub messages: Vec<String>,
}

impl Inbox {
    pub(crate) fn put(&self, message: String) {
        self.change(|mail| {
            if mail.messages.len() < CAPACITY {
                mail.messages.push(message);
            } else {
                *mail = Mail { missed: true, messages: vec![message] };
            }
        });
    }

    /// Marks that messages may have been missed.
    pub(crate) fn put_missed(&self) {
        self.change(|mail| *mail = Mail { missed: true, messages: Vec::new() });
    }

    /// Waits for the next message.
    pub async fn next(&self) -> Mail {
        loop {
            let mail = std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner));
            if mail.missed || !mail.messages.is_empty() {
                return mail;
            }
            self.notify.notified().await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner));
        self.notify.notify_one();
    }
}
