//! What endangers jobs on the Redis that holds them, and whether it is still the one that held them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fred::interfaces::KeysInterface;
use fred::types::SetOptions;
use jiff::Timestamp;

use crate::client::Client;
use crate::error::{Error, RefusalCode};
use crate::model::id::JobId;
use crate::redis::access::{Channels, Findings};
use crate::redis::connection::Connection;
use crate::redis::memory::Memory;

/// Older ones know no scripts with flags.
const OLDEST: (u32, u32) = (7, 0);
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);
/// How soon an emptied Redis is noticed.
const LOOK: Duration = Duration::from_secs(5);

/// What an operator has to know of the Redis that holds the jobs: from `INFO`, as far as that is permitted,
/// and from what its user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// `7.0.15`, `valkey 8.1.0`; empty where nothing tells it.
    pub version: String,
    /// True where INFO is not permitted: nothing is known against it.
    pub aof_enabled: bool,
    pub maxmemory_policy: String,
    pub run_id: String,
    pub(crate) role: Role,
    pub(crate) access: Findings,
    pub(crate) hearing: Hearing,
    /// Redis' clock less this machine's, ms.
    pub clock_ahead: i64,
    pub(crate) memory: Memory,
    /// Why it would refuse a job now, where that was asked for.
    pub(crate) refusal: Option<String>,
    /// When its data was found to be gone, while this process ran.
    pub emptied_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Role {
    #[default]
    Primary,
    /// Read-only.
    Replica,
    ClusterNode,
}

/// Whether what Redis publishes arrives here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Hearing {
    #[default]
    Fine,
    Deaf,
}

/// What the Redis that holds the jobs was called when it was last looked at.
#[derive(Default)]
pub(crate) struct Identity {
    known: Mutex<Known>,
    times_emptied: AtomicU64,
    emptied_at: Mutex<Option<Timestamp>>,
}

#[derive(Default)]
struct Known {
    /// All that it was ever called; few.
    names: Vec<String>,
    /// It was emptied, that was said, and it takes no new name yet.
    is_nameless: bool,
}

impl Client {
    pub async fn server_facts(&self) -> Result<ServerFacts, Error> {
        let connection = self.connection();
        if connection.access().looked_at().is_none_or(|at| at.elapsed() > LOOK) {
            connection.look_at_access().await?;
        }
        let facts = connection.server_facts().await?;
        let hearing = if self.echo().is_deaf() { Hearing::Deaf } else { Hearing::Fine };
        let refusal = self.refusal().await;
        Ok(ServerFacts { emptied_at: self.identity().emptied_at(), hearing, refusal, ..facts })
    }

    /// Says what is wrong with this Redis, each once while it lasts.
    async fn look_at_server(&self, said: &mut Vec<String>) {
        let Ok(facts) = self.connection().server_facts().await else { return };
        let redis = self.connection().address();
        let mut wrong = facts.warnings();
        wrong.iter().filter(|warning| !said.contains(warning)).for_each(|warning| {
            tracing::warn!(redis, "{warning}");
        });
        if let Some(obstacle) = facts.obstacle() {
            if !said.contains(&obstacle) {
                tracing::error!(redis, "no job can be stored or run: {obstacle}");
            }
            wrong.push(obstacle);
        }
        *said = wrong;
    }

    /// Notices that Redis lost its data: FLUSHALL, a start on an empty disk, another server at its
    /// address. Whoever notices first writes a new name, by which all others do.
    async fn look_at_identity(&self) -> Result<(), Error> {
        let redis = self.connection().asker()?;
        let key = self.keys().identity();
        let mut found: Option<String> = redis.get(&key).await?;
        // Said before the new name is written: a Redis that refuses to write is emptied all the same.
        if self.identity().is_another(found.as_deref()) {
            tracing::error!(
                redis = self.connection().address(),
                "Redis was emptied, or is another one: the jobs that it held are gone. If it was a FLUSHALL or a \
                 start without its data, stop it and restore its AOF; the id of a lost job answers 404"
            );
        }
        if found.is_none() {
            let new = JobId::new(self.now()).to_string();
            let _: Option<String> =
                self.connection().writer()?.set(&key, new, None, Some(SetOptions::NX), false).await?;
            found = redis.get(&key).await?;
        }
        self.identity().remember(found);
        Ok(())
    }
}

impl Identity {
    /// None: it has no name. A name that was seen before is that of data that came back.
    fn is_another(&self, found: Option<&str>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut emptied_at = self.emptied_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = found.is_some_and(|found| known.names.iter().any(|name| name == found));
        let is_another = !known.names.is_empty() && !is_known && !known.is_nameless;
        if is_another {
            known.is_nameless = found.is_none();
            self.times_emptied.fetch_add(1, Ordering::AcqRel);
            *emptied_at = Some(Timestamp::now());
        }
        is_another
    }

    fn remember(&self, found: Option<String>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_nameless = found.is_none();
        let Some(found) = found else { return };
        if !known.names.contains(&found) {
            known.names.push(found);
        }
    }

    pub(crate) fn times_emptied(&self) -> u64 {
        self.times_emptied.load(Ordering::Acquire)
    }

    fn emptied_at(&self) -> Option<Timestamp> {
        *self.emptied_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after each connect and every few seconds.
pub(crate) fn watch(client: &Client) {
    let weak = client.downgrade();
    let mut connects = client.connection().connects();
    client.runtime().spawn(async move {
        let mut said = Vec::new();
        while let Some(client) = weak.upgrade() {
            // While Redis is away there is nothing to see; that it is away is said elsewhere.
            let _ = client.look_at_identity().await;
            drop(client); // nobody else may hold it by now
            let connected = tokio::time::timeout(LOOK, connects.changed()).await.is_ok();
            let Some(client) = weak.upgrade() else { return };
            if client.connection().access().is_closed() {
                let _ = client.connection().look_at_access().await;
            } else if !connected {
                continue;
            }
            client.look_at_server(&mut said).await;
        }
    });
}

impl Connection {
    pub(crate) async fn server_facts(&self) -> Result<ServerFacts, Error> {
        use fred::interfaces::ClientLike as _;
        let info: Result<String, _> = self.asker()?.info(None).await;
        let info = match info.map_err(Error::from) {
            Err(Error::Refused { code: RefusalCode::NotPermitted | RefusalCode::Unsupported, .. }) => None,
            told => Some(told?),
        };
        Ok(ServerFacts::from_info(info.as_deref(), self.access().findings()))
    }
}

impl ServerFacts {
    fn from_info(info: Option<&str>, access: Findings) -> Self {
        let lines = info.unwrap_or_default().lines();
        let facts: HashMap<&str, &str> = lines.filter_map(|line| line.split_once(':')).collect();
        let fact = |name: &str| facts.get(name).map_or(String::new(), |value| value.trim().to_owned());
        let here = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let there: i64 = fact("server_time_usec").parse().unwrap_or(here);
        // Valkey answers redis_version too, with the version that it is compatible with.
        let version = if facts.contains_key("valkey_version") {
            format!("valkey {}", fact("valkey_version"))
        } else if info.is_some() {
            fact("redis_version")
        } else {
            access.version.clone().unwrap_or_default()
        };
        ServerFacts {
            version,
            aof_enabled: info.is_none() || fact("aof_enabled") == "1",
            maxmemory_policy: fact("maxmemory_policy"),
            run_id: fact("run_id"),
            role: match (&*fact("cluster_enabled"), &*fact("role")) {
                ("1", _) => Role::ClusterNode,
                (_, "slave") => Role::Replica,
                _ => Role::Primary,
            },
            access,
            hearing: Hearing::Fine,
            clock_ahead: (there - here) / 1_000,
            memory: Memory::from_info(&facts),
            refusal: None,
            emptied_at: None,
        }
    }

    pub(crate) fn is_valkey(&self) -> bool {
        self.version.starts_with("valkey")
    }

    /// Major and minor.
    pub(crate) fn number(&self) -> (u32, u32) {
        let number = self.version.trim_start_matches("valkey ");
        let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// Why no job can be worked on with this server, and what to do about it.
    pub fn obstacle(&self) -> Option<String> {
        if self.number() != (0, 0) && self.number() < OLDEST {
            return Some(format!(
                "Redis {} is too old: the scripts of the queue need Redis 7.0 or Valkey",
                self.version
            ));
        }
        match self.role {
            Role::ClusterNode => Some(
                "this Redis is a node of a cluster, and jobs live on one Redis: set the jobqueue's addr to a server \
                 with `cluster-enabled no`"
                    .to_owned(),
            ),
            Role::Replica => Some(
                "this Redis is a replica, which takes no jobs: set the jobqueue's addr to its primary, or use \
                 jobqueue.sentinel"
                    .to_owned(),
            ),
            Role::Primary => self.access.obstacle.clone(),
        }
    }

    /// What endangers jobs on this server, each with what to do about it.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.access.warnings.clone();
        if self.hearing == Hearing::Deaf && self.access.channels == Channels::Permitted {
            warnings.push(
                "What Redis publishes does not arrive here, so workers and waiting clients look every half second. \
                 Does a proxy lead to several servers, or swallow messages?"
                    .to_owned(),
            );
        }
        if let Some(at) = self.emptied_at {
            warnings.push(format!(
                "Redis was found emptied at {at}: the jobs that it held are gone. Restore its AOF if you can; this \
                 warning ends with the process."
            ));
        }
        match &self.refusal {
            Some(refusal) => warnings.push(refusal.clone()),
            None => warnings.extend(self.memory.warning()),
        }
        if !self.aof_enabled {
            warnings.push(
                "AOF is off: jobs are lost when Redis stops. Set `appendonly yes` \
                 (now: `redis-cli CONFIG SET appendonly yes`)."
                    .to_owned(),
            );
        }
        if !self.maxmemory_policy.is_empty() && self.maxmemory_policy != "noeviction" {
            warnings.push(format!(
                "maxmemory-policy is {}: Redis deletes jobs when its memory is full. Set `noeviction` \
                 (now: `redis-cli CONFIG SET maxmemory-policy noeviction`).",
                self.maxmemory_policy
            ));
        }
        if self.clock_ahead.unsigned_abs() > MAX_CLOCK_DIFFERENCE.as_millis() as u64 {
            let (seconds, direction) = (
                self.clock_ahead.unsigned_abs() / 1_000,
                if self.clock_ahead > 0 { "ahead of" } else { "behind" },
            );
            warnings.push(format!(
                "Redis' clock is {seconds} s {direction} this machine's, and jobs are due by Redis' clock. Let NTP \
                 keep both."
            ));
        }
        warnings
    }
}
