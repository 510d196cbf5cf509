//! Facts about the Redis that holds the jobs, and the problems that follow from them.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fred::interfaces::ClientLike;
use jiff::Timestamp;

use crate::error::{Error, RefusalCode};
use crate::redis::connection::Connection;
use crate::redis::permissions::{Channels, Findings};

/// The oldest version whose scripts have flags.
const OLDEST: (u32, u32) = (7, 0);
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);
/// Percent of `maxmemory` from which operators get a warning. Finished jobs make room long before.
const NEARLY_FULL: u64 = 90;

/// The facts that an operator needs about the Redis that holds the jobs: from `INFO`, if it is permitted, and
/// from the user's permissions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `7.0.15`, `valkey 8.1.0`; empty where it is unknown.
    pub version: String,
    /// True also where INFO is not permitted.
    pub aof_enabled: bool,
    pub maxmemory_policy: String,
    pub run_id: String,
    pub(crate) role: Role,
    pub(crate) access: Findings,
    /// True while published messages do not arrive at this process.
    pub(crate) delivery_fails: bool,
    /// Redis' clock less this machine's, ms.
    pub clock_ahead: i64,
    /// Bytes that count towards `maxmemory`: without the buffers of the AOF and of replicas.
    pub(crate) used_memory: u64,
    /// Bytes; 0 if there is no limit.
    pub(crate) maxmemory: u64,
    /// The reason why it would refuse a job now. Unset in facts that come from `INFO` alone.
    pub(crate) refusal: Option<String>,
    /// The time at which this process found its data gone.
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

impl Connection {
    pub(crate) async fn server_facts(&self) -> Result<ServerFacts, Error> {
        let info: Result<String, _> = self.asker()?.info(None).await;
        let info = match info.map_err(Error::from) {
            Err(Error::Refused { code: RefusalCode::NotPermitted | RefusalCode::Unsupported, .. }) => None,
            answer => Some(answer?),
        };
        Ok(ServerFacts::from_info(info.as_deref(), self.server.findings()))
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
        let bytes = |name| fact(name).parse::<u64>().unwrap_or_default();
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
            clock_ahead: (there - here) / 1_000,
            used_memory: bytes("used_memory").saturating_sub(bytes("mem_not_counted_for_evict")),
            maxmemory: bytes("maxmemory"),
            ..ServerFacts::default()
        }
    }

    pub(crate) fn is_valkey(&self) -> bool {
        self.version.starts_with("valkey")
    }

    /// Major and minor version.
    pub(crate) fn number(&self) -> (u32, u32) {
        let number = self.version.trim_start_matches("valkey ");
        let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// The reason why this server cannot hold jobs, and the remedy.
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

    /// Dangers for the jobs on this server, each with its remedy.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.access.warnings.clone();
        if self.delivery_fails && self.access.channels == Channels::Permitted {
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
            None => warnings.extend(self.memory_warning()),
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

    fn memory_warning(&self) -> Option<String> {
        let percent = (100 * self.used_memory).checked_div(self.maxmemory)?;
        (percent >= NEARLY_FULL).then(|| {
            format!(
                "Redis' memory is {percent} % full ({} of {} MiB): at 100 % it refuses new jobs. Finished jobs make \
                 room by themselves while a worker lives; purge dead ones, or raise maxmemory.",
                self.used_memory >> 20,
                self.maxmemory >> 20
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_that_is_nearly_full_is_a_warning() {
        let warning = |used_memory, maxmemory| {
            ServerFacts { used_memory, maxmemory, ..ServerFacts::default() }.memory_warning()
        };
        assert_eq!(warning(1 << 30, 0), None);
        assert_eq!(warning(89 << 20, 100 << 20), None);
        let text = warning(90 << 20, 100 << 20).unwrap_or_default();
        assert!(text.contains("90 % full (90 of 100 MiB)"), "{text}");
    }
}
