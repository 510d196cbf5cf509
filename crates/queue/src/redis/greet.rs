//! What comes before the first command of a connection: Redis' time, and a look at what it permits. Says
//! why a connection is lost, each reason once, and when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fred::clients::{Client as FredClient, WithOptions};
use fred::error::Error as FredError;
use fred::interfaces::ClientLike;
use fred::types::config::Options;
use fred::types::{ClusterHash, CustomCommand, Value};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::error::{Error, trouble};
use crate::redis::access::{self, Access, Subject};
use crate::redis::clock::RedisClock;
use crate::redis::connection::Trouble;
use crate::redis::pool::Events;

/// Different reasons that are said of one outage at most.
const MOST_REASONS: usize = 16;
/// Between two greetings of a Redis that does not answer.
const RETRY: Duration = Duration::from_millis(100);

pub(crate) struct Greeter {
    pub(crate) address: Arc<str>,
    pub(crate) options: Options,
    pub(crate) subject: Arc<Subject>,
    pub(crate) access: Arc<Access>,
    pub(crate) trouble: Arc<Trouble>,
    pub(crate) clock: Arc<RedisClock>,
}

/// Ends with the clients. A connect counts once it was greeted.
pub(crate) async fn run(
    mut of_clients: UnboundedReceiver<Events>,
    connects: watch::Sender<u64>,
    greeter: Greeter,
) {
    let Some(mut events) = of_clients.recv().await else { return };
    let address = &greeter.address;
    let mut said: Vec<String> = Vec::new();
    loop {
        tokio::select! {
            biased; // old clients end when there are others
            Some(later) = of_clients.recv() => events = later,
            event = events.connects.recv() => match event {
                Err(RecvError::Closed) => return,
                event => {
                    // An error of an attempt before this one.
                    while let Ok((error, _)) = events.errors.try_recv() {
                        greeter.failed(&error, &mut said);
                    }
                    if !greeter.greet(&events.client).await {
                        continue;
                    }
                    said.clear();
                    greeter.trouble.set(None);
                    connects.send_modify(|n| *n += 1);
                    // Which of several it is now, the address does not say.
                    let server = event.map_or(String::new(), |server| server.to_string());
                    tracing::info!(redis = %address, server, "connected to Redis");
                }
            },
            event = events.errors.recv() => match event {
                Ok((error, _)) => greeter.failed(&error, &mut said),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

impl Greeter {
    fn failed(&self, error: &FredError, said: &mut Vec<String>) {
        let why = trouble(error);
        if said.len() < MOST_REASONS && !said.contains(&why) {
            tracing::error!(redis = %self.address, error = why, "no connection to Redis; trying again until it is there");
            said.push(why.clone());
        }
        self.trouble.set(Some(why));
    }

    /// Whether it was greeted; false where the connection was lost meanwhile.
    async fn greet(&self, client: &FredClient) -> bool {
        until_usable(client).await;
        let asker = client.with_options(&self.options);
        while client.is_connected() {
            match self.ask(&asker).await {
                Err(error) if error.is_silence() => tokio::time::sleep(RETRY).await,
                // Loading, say: it refuses every call, so there is nothing to keep from it.
                Err(_) => {
                    self.access.set(access::Findings::default());
                    return true;
                }
                Ok(()) => return true,
            }
        }
        false
    }

    async fn ask(&self, client: &WithOptions<FredClient>) -> Result<(), Error> {
        let time = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
        let time: Result<Vec<i64>, _> = client.custom(time, Vec::<Value>::new()).await;
        match time.map_err(Error::from) {
            Ok(time) => {
                if let [seconds, micros] = time[..] {
                    self.clock.observe(seconds * 1_000 + micros / 1_000);
                }
            }
            Err(error) if error.is_silence() => return Err(error),
            Err(_) => {} // said by what follows
        }
        self.access.set(access::look(client, &self.subject).await?);
        Ok(())
    }
}

/// fred tells of a connect a moment before it says that it is connected, and takes commands.
async fn until_usable(client: &FredClient) {
    let start = Instant::now();
    while !client.is_connected() && start.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
