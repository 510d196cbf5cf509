//! Checking that published messages arrive: this process publishes a number to itself. After a failover behind one
//! name, commands may go to the new primary while the subscriber still listens to the old one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fred::interfaces::PubsubInterface;
use tokio::sync::{mpsc, watch};

use crate::error::Error;
use crate::redis::connection::Connection;
use crate::redis::permissions::Channels;
use crate::redis::subscription::Request;

const INTERVAL: Duration = Duration::from_secs(2);
/// Timeout of a message. PUBLISH takes Redis a microsecond.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two polls while messages do not arrive.
const LOOK: Duration = Duration::from_millis(500);
/// Number of missed messages in a row after which the subscriber reconnects, and of further ones after which it
/// reconnects again.
const MISSED: [u32; 2] = [2, 10];

pub(crate) struct Delivery {
    pub(crate) channel: String,
    received: watch::Sender<u64>,
    fails: AtomicBool,
}

impl Delivery {
    pub(crate) fn new(channel: String) -> Self {
        Delivery { channel, received: watch::Sender::new(0), fails: AtomicBool::new(false) }
    }

    /// True while published messages do not arrive.
    pub(crate) fn fails(&self) -> bool {
        self.fails.load(Ordering::Acquire)
    }

    pub(crate) fn arrived(&self, message: u64) {
        self.received.send_modify(|received| *received = message.max(*received));
    }

    async fn arrives(&self, message: u64, patience: Duration) -> bool {
        let mut received = self.received.subscribe();
        tokio::time::timeout(patience, received.wait_for(|received| *received >= message)).await.is_ok()
    }

    fn set_fails(&self, fails: bool, connection: &Connection) {
        if self.fails.swap(fails, Ordering::AcqRel) == fails || is_denied(connection) {
            return; // logged with the missing permission
        }
        let redis = connection.address();
        if fails {
            tracing::warn!(
                redis,
                "Redis pub/sub messages are not arriving; resubscribing, and polling for jobs every {LOOK:?} until they do"
            );
        } else {
            tracing::info!(redis, "Redis pub/sub messages arrive again");
        }
    }
}

/// Runs until the subscriptions end.
pub(crate) async fn run(
    connection: Connection,
    delivery: Arc<Delivery>,
    subscriptions: mpsc::WeakUnboundedSender<Request>,
) {
    let mut connects = connection.connects();
    let (mut message, mut missed) = (0, 0_u32);
    while subscriptions.strong_count() > 0 {
        message += 1;
        let published = publish(&connection, &delivery.channel, message).await;
        // While Redis is away, no message is expected.
        if !published.as_ref().is_err_and(Error::is_silence) {
            let patience = if missed == 0 { PATIENCE } else { LOOK };
            let denied = published.is_err() || is_denied(&connection);
            if denied || !delivery.arrives(message, patience).await {
                missed += 1;
                let Some(subscriptions) = subscriptions.upgrade() else { return };
                let _ = subscriptions.send(Request::TellEverybody);
                let [first, again] = MISSED;
                if denied {
                    delivery.set_fails(true, &connection);
                    tokio::time::sleep(LOOK).await;
                } else if missed == first || missed.is_multiple_of(again) {
                    delivery.set_fails(true, &connection);
                    let _ = subscriptions.send(Request::Reconnect);
                }
                continue;
            }
            missed = 0;
            delivery.set_fails(false, &connection);
        }
        // A new connection may lead to another Redis.
        let _ = tokio::time::timeout(INTERVAL, connects.changed()).await;
    }
}

async fn publish(connection: &Connection, channel: &str, message: u64) -> Result<i64, Error> {
    Ok(connection.asker()?.publish(channel, message).await?)
}

fn is_denied(connection: &Connection) -> bool {
    connection.server.findings().channels == Channels::Denied
}
