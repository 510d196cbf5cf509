//! The first commands of a connection: they read Redis' time and the user's permissions. Logs why a connection is
//! lost, each reason once, and when it is back.

use std::sync::{Arc, Mutex, PoisonError};
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
use crate::redis::access::{Access, Findings};
use crate::redis::clock::RedisClock;
use crate::redis::permissions::{self, Subject};
use crate::redis::pool::Events;

/// Distinct reasons logged per outage.
const MOST_REASONS: usize = 16;
/// Time between two greetings of a Redis that does not answer.
const RETRY: Duration = Duration::from_millis(100);

/// The reason of the last failure to connect.
#[derive(Default)]
pub(crate) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    pub(crate) fn set(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) struct Greeter {
    pub(crate) address: Arc<str>,
    pub(crate) options: Options,
    pub(crate) subject: Arc<Subject>,
    pub(crate) access: Arc<Access>,
    pub(crate) trouble: Arc<Trouble>,
    pub(crate) clock: Arc<RedisClock>,
}

/// Runs until the clients end. A connect counts once it was greeted.
pub(crate) async fn run(
    mut clients: UnboundedReceiver<Events>,
    connects: watch::Sender<u64>,
    greeter: Greeter,
) {
    let Some(mut events) = clients.recv().await else { return };
    let address = &greeter.address;
    let mut logged: Vec<String> = Vec::new();
    loop {
        tokio::select! {
            biased; // old clients end when new ones exist
            Some(later) = clients.recv() => events = later,
            event = events.connects.recv() => match event {
                Err(RecvError::Closed) => return,
                event => {
                    // Errors of earlier attempts.
                    while let Ok((error, _)) = events.errors.try_recv() {
                        greeter.failed(&error, &mut logged);
                    }
                    if !greeter.greet(&events.client).await {
                        continue;
                    }
                    logged.clear();
                    greeter.trouble.set(None);
                    connects.send_modify(|n| *n += 1);
                    // The address may lead to several servers.
                    let server = event.map_or(String::new(), |server| server.to_string());
                    tracing::info!(redis = %address, server, "connected to Redis");
                }
            },
            event = events.errors.recv() => match event {
                Ok((error, _)) => greeter.failed(&error, &mut logged),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

impl Greeter {
    fn failed(&self, error: &FredError, logged: &mut Vec<String>) {
        let why = trouble(error);
        if logged.len() < MOST_REASONS && !logged.contains(&why) {
            tracing::error!(redis = %self.address, error = why, "cannot connect to Redis; retrying until it can be reached");
            logged.push(why.clone());
        }
        self.trouble.set(Some(why));
    }

    /// False where the connection was lost meanwhile.
    async fn greet(&self, client: &FredClient) -> bool {
        wait_until_usable(client).await;
        let asker = client.with_options(&self.options);
        while client.is_connected() {
            match self.ask(&asker).await {
                Err(error) if error.is_silence() => tokio::time::sleep(RETRY).await,
                // It may be loading. It refuses every call, so nothing has to be held back.
                Err(_) => {
                    self.access.set(Findings::default());
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
            Err(_) => {} // the look at the permissions reports it
        }
        self.access.set(permissions::look(client, &self.subject).await?);
        Ok(())
    }
}

/// fred announces a connect a moment before the client is connected and takes commands.
async fn wait_until_usable(client: &FredClient) {
    let start = Instant::now();
    while !client.is_connected() && start.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
