//! One process' access to the queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use atode_config::redis::JobqueueRedis;
use fred::interfaces::SetsInterface;
use fred::types::{Key, Value};
use fred::util::redis_keyslot;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::error::Error;
use crate::keys::Keys;
use crate::model::id::JobId;
use crate::model::record::Durability;
use crate::producer::coalescer::{Lane, MAX_WAITING_BYTES};
use crate::producer::disk::{self, Disk};
use crate::redis::clock::RedisClock;
use crate::redis::connection::Connection;
use crate::redis::echo::Echo;
use crate::redis::pool::Tasks;
use crate::redis::server::{self, Identity};
use crate::redis::subscription::Subscriptions;
use crate::retention::RecordSizes;
use crate::scripts::Script;

/// Cheap to clone; all clones share the connection, which ends with the last of them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    keys: Keys,
    clock: Arc<RedisClock>,
    echo: Arc<Echo>,
    subscriptions: Subscriptions,
    outgoing: Budget,
    incoming: Budget,
    lanes: Mutex<HashMap<LaneName, Lane>>,
    /// A permit for each byte that may wait in the lanes.
    waiting_room: Arc<Semaphore>,
    /// Queues written to the catalogue, and since when: a Redis that comes back may be empty.
    announced: Mutex<(Since, Vec<String>)>,
    identity: Identity,
    record_sizes: RecordSizes,
    settings: JobqueueRedis,
    /// For what waits for the disk, opened when it is first needed.
    disk: Mutex<Option<Arc<Disk>>>,
    /// Where the client was opened; its tasks run there, whatever thread calls it.
    runtime: Handle,
    /// Of the connection, which ends with the last client.
    _tasks: Tasks,
}

/// A client that keeps nothing alive. Background tasks hold it, and end once the last client is gone.
pub(crate) struct WeakClient(Weak<Shared>);

impl WeakClient {
    pub(crate) fn upgrade(&self) -> Option<Client> {
        self.0.upgrade().map(|shared| Client { shared })
    }
}

type LaneName = (Arc<str>, Option<Durability>);

/// The connect, and how often Redis was found emptied.
type Since = (u64, u64);

impl Client {
    /// Returns at once; Redis may be down now and come later. Needs a tokio runtime.
    pub fn open(redis: &JobqueueRedis) -> Result<Self, Error> {
        let clock = Arc::<RedisClock>::default();
        let keys = Keys::new(&redis.key_prefix);
        let (connection, listeners, tasks) = Connection::open(redis, clock.clone())?;
        let echo = Arc::new(Echo::new(keys.echo_channel(&JobId::new(clock.now()).short())));
        let shared = Shared {
            subscriptions: Subscriptions::new(listeners, &connection, echo.clone()),
            connection,
            keys,
            clock,
            echo,
            outgoing: Budget::default(),
            incoming: Budget::default(),
            lanes: Mutex::default(),
            waiting_room: Arc::new(Semaphore::new(MAX_WAITING_BYTES)),
            announced: Mutex::default(),
            identity: Identity::default(),
            record_sizes: RecordSizes::default(),
            settings: redis.clone(),
            disk: Mutex::default(),
            runtime: Handle::current(),
            _tasks: tasks,
        };
        let client = Client { shared: Arc::new(shared) };
        server::watch(&client);
        Ok(client)
    }

    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient(Arc::downgrade(&self.shared))
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

    /// From now until Redis' clock shows `at`, Unix ms.
    pub fn until(&self, at: i64) -> Duration {
        self.shared.clock.until(at)
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
        self.call_on(&self.shared.connection, script, keys, args).await
    }

    pub(crate) async fn call_on(
        &self,
        connection: &Connection,
        script: &Script,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Vec<Value>, Error> {
        debug_assert!(share_a_slot(&keys), "the keys of {} would not be in one slot: {keys:?}", script.name);
        match connection.call(script, keys, args).await? {
            Value::Array(list) if let Some(now) = list.first().and_then(Value::as_i64) => {
                self.shared.clock.observe(now);
                Ok(list)
            }
            other => Err(Error::corrupt(format!("the reply of {}: {other:?}", script.name))),
        }
    }

    /// [`Client::call`] that carries so many bytes of jobs, for the outgoing budget to learn from.
    pub(crate) async fn call_with(
        &self,
        carried: usize,
        script: &Script,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Vec<Value>, Error> {
        let sent = Instant::now();
        let reply = self.call(script, keys, args).await;
        self.outgoing().observe(carried, sent.elapsed(), self.connection().command_timeout(), &reply);
        reply
    }

    /// The budget for bytes that a call carries to Redis.
    pub(crate) fn outgoing(&self) -> &Budget {
        &self.shared.outgoing
    }

    /// The budget for bytes that a call brings from Redis.
    pub fn incoming(&self) -> &Budget {
        &self.shared.incoming
    }

    pub(crate) fn lane(&self, queue: &Arc<str>, durability: Option<Durability>) -> Lane {
        let mut lanes = self.shared.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry((queue.clone(), durability));
        lane.or_insert_with(|| Lane::open(self, queue, durability)).clone()
    }

    pub(crate) fn waiting_room(&self) -> &Arc<Semaphore> {
        &self.shared.waiting_room
    }

    pub(crate) fn record_sizes(&self) -> &RecordSizes {
        &self.shared.record_sizes
    }

    pub(crate) fn echo(&self) -> &Echo {
        &self.shared.echo
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// A second connection, on which a command may wait for the disk and hold up nobody else.
    pub(crate) fn disk(&self) -> Result<Arc<Disk>, Error> {
        let mut disk = self.shared.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = &*disk {
            return Ok(disk.clone());
        }
        let mut settings = self.shared.settings.clone();
        settings.pool_size = 1;
        settings.connection.command_timeout = disk::TIMEOUT;
        let _in_runtime = self.shared.runtime.enter();
        let (connection, _nobody_listens, tasks) = Connection::open(&settings, self.shared.clock.clone())?;
        Ok(disk.insert(Arc::new(Disk::new(connection, tasks))).clone())
    }

    /// Enters the queue in the catalogue of queues, once a connect and once an emptied Redis.
    pub(crate) async fn announce(&self, queue: &str) -> Result<(), Error> {
        let since = (*self.shared.connection.connects().borrow(), self.shared.identity.times_emptied());
        {
            let mut announced = self.shared.announced.lock().unwrap_or_else(PoisonError::into_inner);
            if announced.0 != since {
                *announced = (since, Vec::new());
            }
            if announced.1.iter().any(|known| known == queue) {
                return Ok(());
            }
        }
        let _: i64 = self.shared.connection.writer()?.sadd(self.keys().queues(), queue).await?;
        let mut announced = self.shared.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.0 == since {
            announced.1.push(queue.to_owned());
        }
        Ok(())
    }
}

/// A cluster runs a script only where all of its keys are in one slot.
fn share_a_slot(keys: &[Key]) -> bool {
    keys.windows(2).all(|pair| redis_keyslot(pair[0].as_bytes()) == redis_keyslot(pair[1].as_bytes()))
}
