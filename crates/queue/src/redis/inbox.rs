//! Published messages on their way from the subscribing connection to the task that waits for them.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// More than these are not kept: some were missed then.
const MOST: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    mail: Mutex<Mail>,
    notify: Notify,
}

/// Messages that came since the last look.
#[derive(Debug, Default)]
pub struct Mail {
    /// Something may have been missed before these messages: a subscription is new, a connection was
    /// lost, or too much came at once.
    pub missed: bool,
    /// In the order in which they were published.
    pub messages: Vec<String>,
}

impl Inbox {
    pub(crate) fn put(&self, message: String) {
        self.change(|mail| {
            if mail.messages.len() < MOST {
                mail.messages.push(message);
            } else {
                *mail = Mail { missed: true, messages: vec![message] };
            }
        });
    }

    /// Something may have been missed, whatever came before.
    pub(crate) fn put_missed(&self) {
        self.change(|mail| *mail = Mail { missed: true, messages: Vec::new() });
    }

    /// Waits until something has come.
    pub(crate) async fn next(&self) -> Mail {
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
