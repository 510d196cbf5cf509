//! The base of all transitions: the connection, its keys and clock, and one way to call a script.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use atode_config::redis::JobqueueRedis;
use fred::types::{Key, Value};
use fred::util::redis_keyslot;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::budget::Budget;
use crate::error::Error;
use crate::history::outbox::Outbox;
use crate::keys::Keys;
use crate::known::Known;
use crate::metrics::jobs::JobCounters;
use crate::redis::clock::RedisClock;
use crate::redis::connection::Connection;
use crate::redis::identity::Identity;
use crate::redis::pool::{Listener, Tasks};
use crate::retention::RecordSizes;
use crate::scripts::Script;
use crate::wire::Reply;
use crate::wrong_types::WrongTypes;

pub(crate) struct Core {
    pub(crate) connection: Connection,
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<RedisClock>,
    pub(crate) identity: Identity,
    pub(crate) announced: Mutex<Announced>,
    pub(crate) known: Known,
    pub(crate) wrong_types: WrongTypes,
    /// The budget for bytes that a call carries to Redis.
    pub(crate) outgoing: Budget,
    /// The budget for bytes that a call brings from Redis.
    pub(crate) incoming: Budget,
    pub(crate) record_sizes: RecordSizes,
    pub(crate) counters: JobCounters,
    /// Counts on their way to the history.
    pub(crate) outbox: tokio::sync::Mutex<Outbox>,
    /// The runtime in which the client was opened. Background tasks run there, whatever thread calls.
    pub(crate) runtime: Handle,
    /// The background tasks of the connection. It closes when they are dropped.
    _tasks: Tasks,
}

/// The queues that this process has added to the catalogue.
#[derive(Default)]
pub(crate) struct Announced {
    /// The number of connects, and of times that Redis was found emptied: a Redis that comes back may be empty.
    pub(crate) since: (u64, u64),
    pub(crate) queues: HashSet<String>,
}

impl Core {
    /// Returns at once; Redis may be down now and come up later. Needs a tokio runtime.
    pub(crate) fn open(redis: &JobqueueRedis) -> Result<(Arc<Self>, UnboundedReceiver<Listener>), Error> {
        let clock = Arc::<RedisClock>::default();
        let (connection, listeners, tasks) = Connection::open(redis, clock.clone())?;
        let outbox = tokio::sync::Mutex::new(Outbox::new(clock.now()));
        let core = Core {
            connection,
            keys: Keys::new(&redis.key_prefix),
            clock,
            identity: Identity::default(),
            announced: Mutex::default(),
            known: Known::default(),
            wrong_types: WrongTypes::default(),
            outgoing: Budget::default(),
            incoming: Budget::default(),
            record_sizes: RecordSizes::default(),
            counters: JobCounters::default(),
            outbox,
            runtime: Handle::current(),
            _tasks: tasks,
        };
        Ok((Arc::new(core), listeners))
    }

    /// Runs a script once.
    pub(crate) async fn call(
        &self,
        script: &Script,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Reply, Error> {
        self.call_on(&self.connection, script, keys, args).await
    }

    /// [`call`](Self::call) with `carried` bytes of jobs, on this connection to the same Redis. Its success or failure
    /// adjusts the outgoing budget.
    pub(crate) async fn call_with(
        &self,
        connection: &Connection,
        carried: usize,
        script: &Script,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Reply, Error> {
        let sent = Instant::now();
        let reply = self.call_on(connection, script, keys, args).await;
        self.outgoing.observe(carried, sent.elapsed(), connection.command_timeout(), &reply);
        reply
    }

    async fn call_on(
        &self,
        connection: &Connection,
        script: &Script,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Reply, Error> {
        debug_assert!(share_a_slot(&keys), "the keys of {} would not be in one slot: {keys:?}", script.name);
        let client = connection.client()?;
        let sent = Instant::now();
        let answer = script.run(&client, keys, args).await;
        script.calls.count(sent.elapsed(), answer.is_ok());
        let reply = Reply::new(script, answer?)?;
        self.clock.observe(reply.now);
        Ok(reply)
    }
}

/// A cluster runs a script only if all its keys are in one slot.
fn share_a_slot(keys: &[Key]) -> bool {
    keys.windows(2).all(|pair| redis_keyslot(pair[0].as_bytes()) == redis_keyslot(pair[1].as_bytes()))
}
