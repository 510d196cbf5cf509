//! One process' access to the queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use atode_config::redis::JobqueueRedis;
use fred::interfaces::SetsInterface;
use fred::types::{Key, Value};
use tokio::runtime::Handle;

use crate::clock::RedisClock;
use crate::coalesce::Lane;
use crate::connection::Connection;
use crate::error::Error;
use crate::id::JobId;
use crate::keys::Keys;
use crate::scripts::Script;
use crate::subscribe::Subscriptions;

/// Cheap to clone; all clones share the connection.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    keys: Keys,
    clock: RedisClock,
    subscriptions: Subscriptions,
    lanes: Mutex<HashMap<Arc<str>, Lane>>,
    /// Queues written to the catalogue, and the connect since which: a Redis that comes back may
    /// be empty.
    announced: Mutex<(u64, Vec<String>)>,
    /// Where the client was opened; its tasks run there, whatever thread calls it.
    runtime: Handle,
}

impl Client {
    /// Returns at once; Redis may be down now and come later. Needs a tokio runtime.
    pub fn open(redis: &JobqueueRedis) -> Result<Self, Error> {
        let (connection, listeners) = Connection::open(redis)?;
        let shared = Shared {
            subscriptions: Subscriptions::new(listeners),
            connection,
            keys: Keys::new(&redis.key_prefix),
            clock: RedisClock::default(),
            lanes: Mutex::default(),
            announced: Mutex::default(),
            runtime: Handle::current(),
        };
        Ok(Client { shared: Arc::new(shared) })
    }

    pub fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    /// A fresh id that carries Redis' time.
    pub fn new_id(&self) -> JobId {
        JobId::new(self.now())
    }

    /// Redis' clock as far as it is known here, Unix ms.
    pub fn now(&self) -> i64 {
        self.shared.clock.now()
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }

    pub(crate) fn subscriptions(&self) -> &Subscriptions {
        &self.shared.subscriptions
    }

    /// Runs a script; its reply is a list that starts with Redis' time.
    pub(crate) async fn call(
        &self,
        script: &Script,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Vec<Value>, Error> {
        let reply = self.shared.connection.call(script, keys, args).await?;
        match reply {
            Value::Array(list) if let Some(now) = list.first().and_then(Value::as_i64) => {
                self.shared.clock.observe(now);
                Ok(list)
            }
            other => Err(Error::corrupt(format!("the reply of {}: {other:?}", script.name))),
        }
    }

    pub(crate) fn lane(&self, queue: &Arc<str>) -> Lane {
        let mut lanes = self.shared.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(queue.clone()).or_insert_with(|| Lane::open(self, queue)).clone()
    }

    /// Enters the queue in the catalogue of queues, once a connect.
    pub(crate) async fn announce(&self, queue: &str) -> Result<(), Error> {
        let connect = *self.shared.connection.connects().borrow();
        {
            let mut announced = self.shared.announced.lock().unwrap_or_else(PoisonError::into_inner);
            if announced.0 != connect {
                *announced = (connect, Vec::new());
            }
            if announced.1.iter().any(|known| known == queue) {
                return Ok(());
            }
        }
        let _: i64 = self.shared.connection.reader()?.sadd(self.keys().queues(), queue).await?;
        let mut announced = self.shared.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.0 == connect {
            announced.1.push(queue.to_owned());
        }
        Ok(())
    }
}
