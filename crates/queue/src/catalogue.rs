//! The catalogue in Redis: the queues that exist, and the kinds of each queue.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, PoisonError};

use fred::interfaces::SetsInterface;

use crate::core::{Announced, Core};
use crate::error::Error;

impl Core {
    pub(crate) async fn queue_names(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self.connection.client()?.smembers(self.keys.queues()).await?)
    }

    /// Adds the queue to the catalogue of queues, once per connect and per emptied Redis.
    pub(crate) async fn announce(&self, queue: &str) -> Result<(), Error> {
        let since = (*self.connection.connects().borrow(), self.identity.times_emptied());
        {
            let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
            if announced.since != since {
                *announced = Announced { since, queues: HashSet::new() };
            }
            if announced.queues.contains(queue) {
                return Ok(());
            }
        }
        let _: i64 = self.connection.client()?.sadd(self.keys.queues(), queue).await?;
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.since == since {
            announced.queues.insert(queue.to_owned());
        }
        Ok(())
    }

    /// The kinds that have or had jobs in a queue.
    pub(crate) async fn kinds_of(&self, queue: &str) -> Result<Vec<Arc<str>>, Error> {
        let kinds: BTreeSet<String> =
            self.connection.client()?.smembers(self.keys.queue(queue).kinds()).await?;
        let kinds: Vec<Arc<str>> = kinds.into_iter().map(Arc::from).collect();
        self.known.set_kinds(queue, &kinds);
        Ok(kinds)
    }

    /// [`kinds_of`](Self::kinds_of), or only this one of them.
    pub(crate) async fn selected_kinds(
        &self,
        queue: &str,
        only: Option<&str>,
    ) -> Result<Vec<Arc<str>>, Error> {
        let mut kinds = self.kinds_of(queue).await?;
        kinds.retain(|kind| only.is_none_or(|only| *only == **kind));
        Ok(kinds)
    }
}
