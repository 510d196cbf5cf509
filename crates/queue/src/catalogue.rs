//! The catalogue in Redis: the queues that exist, and the kinds of each queue.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use fred::interfaces::SetsInterface;

use crate::error::Error;
use crate::keys::Keys;
use crate::redis::connection::Connection;
use crate::redis::identity::Identity;

pub(crate) struct Catalogue {
    connection: Connection,
    keys: Keys,
    identity: Arc<Identity>,
    /// The queues that were announced, and since when: a Redis that comes back may be empty.
    announced: Mutex<(Since, Vec<String>)>,
}

/// The number of connects, and of times that Redis was found emptied.
type Since = (u64, u64);

impl Catalogue {
    pub(crate) fn new(connection: Connection, keys: Keys, identity: Arc<Identity>) -> Self {
        Catalogue { connection, keys, identity, announced: Mutex::default() }
    }

    /// Adds the queue to the catalogue of queues, once per connect and per emptied Redis.
    pub(crate) async fn announce(&self, queue: &str) -> Result<(), Error> {
        let since = (*self.connection.connects().borrow(), self.identity.times_emptied());
        {
            let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
            if announced.0 != since {
                *announced = (since, Vec::new());
            }
            if announced.1.iter().any(|known| known == queue) {
                return Ok(());
            }
        }
        let _: i64 = self.connection.writer()?.sadd(self.keys.queues(), queue).await?;
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.0 == since {
            announced.1.push(queue.to_owned());
        }
        Ok(())
    }

    /// The names of all queues that ever held a job.
    pub(crate) async fn queue_names(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self.connection.reader()?.smembers(self.keys.queues()).await?)
    }

    /// The kinds that have or had jobs in a queue.
    pub(crate) async fn kinds_of(&self, queue: &str) -> Result<Vec<Arc<str>>, Error> {
        let kinds: BTreeSet<String> =
            self.connection.reader()?.smembers(self.keys.queue(queue).kinds()).await?;
        Ok(kinds.into_iter().map(Arc::from).collect())
    }
}
