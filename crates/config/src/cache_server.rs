//! `cacheserver.yaml`: the keys of its two Redis settings, and the types of [`crate::redis`] that they become.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use crate::{
    address::Address,
    error::ConfigError,
    password,
    redis::{Connection, DefaultRedis, Endpoint, JobqueueRedis},
    source::Source,
    values::{Secret, Section, Text, checked, duration, flag, keys, list, section, whole},
};

const JOBQUEUE: &str = "cache_server.redis.jobqueue";
const DEFAULT: &str = "cache_server.redis.default";

/// `cache_server`.
#[derive(Debug, Clone, Default)]
pub struct CacheServer {
    pub redis: Redis,
}

/// `cache_server.redis`: two settings that are independent of each other.
#[derive(Debug, Clone, Default)]
pub struct Redis {
    pub jobqueue: JobqueueRedis,
    pub default: DefaultRedis,
}

/// Also reads the password files that the keys name.
pub(crate) fn read(source: &Source) -> Result<CacheServer, ConfigError> {
    for key in ["addr", "sentinel", "db", "pool_size"].map(|key| format!("{DEFAULT}.{key}")) {
        if source.sets(&key) {
            return Err(source.refuse(&[&key], "only jobqueue has this key; default has cluster.addrs"));
        }
    }
    let RedisKeys { jobqueue, default } = source.extract::<FileKeys>()?.cache_server.redis;
    let redis = Redis {
        jobqueue: JobqueueRedis {
            connection: jobqueue.connection(source, JOBQUEUE)?,
            db: jobqueue.db,
            key_prefix: jobqueue.key_prefix.clone(),
            pool_size: jobqueue.pool_size,
            endpoint: jobqueue_endpoint(source, jobqueue)?,
        },
        default: DefaultRedis {
            connection: default.connection(source, DEFAULT)?,
            addrs: default.cluster.map(|cluster| cluster.0.addrs).unwrap_or_default(),
            key_prefix: default.key_prefix,
        },
    };
    Ok(CacheServer { redis })
}

keys! {
    struct FileKeys {
        cache_server: CacheServerKeys = CacheServerKeys::default(), "section";
    }

    struct CacheServerKeys {
        redis: RedisKeys = RedisKeys::default(), "section";
    }

    struct RedisKeys {
        jobqueue: ServerKeys = ServerKeys::default(), "section";
        default: ServerKeys = ServerKeys::default(), "section";
    }

    /// The keys of both settings in one struct: serde cannot flatten a struct and refuse unknown keys at the same time.
    struct ServerKeys {
        addr: Option<Address> = None;
        sentinel: Option<Section<SentinelKeys>> = None;
        cluster: Option<Section<ClusterKeys>> = None;
        db: u8 = JobqueueRedis::default().db, "whole::<_, _, 0, 255>";
        pool_size: usize = JobqueueRedis::default().pool_size, "whole::<_, _, 1, 64>";
        username: Option<Text> = None;
        password: Option<Secret> = None;
        password_file: Option<Text> = None;
        tls: bool = Connection::default().tls, "flag";
        key_prefix: String = JobqueueRedis::default().key_prefix, "key_prefix";
        connect_timeout: Duration = Connection::default().connect_timeout, "duration::<_, 1, 60_000>";
        command_timeout: Duration = Connection::default().command_timeout, "duration::<_, 1, 60_000>";
        reconnect_min_delay: Duration = Connection::default().reconnect_min_delay, "duration::<_, 1, 60_000>";
        reconnect_max_delay: Duration = Connection::default().reconnect_max_delay, "duration::<_, 1, 60_000>";
    }

    struct ClusterKeys {
        addrs: Vec<Address> = Vec::new(), "list";
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentinelKeys {
    master: Text,
    #[serde(deserialize_with = "list")]
    addrs: Vec<Address>,
}

impl ServerKeys {
    fn connection(&self, source: &Source, section: &str) -> Result<Connection, ConfigError> {
        if self.reconnect_min_delay > self.reconnect_max_delay {
            let [min, max] = ["min", "max"].map(|end| format!("{section}.reconnect_{end}_delay"));
            return Err(source.refuse(&[&min, &max], "reconnect_min_delay is above reconnect_max_delay"));
        }
        Ok(Connection {
            username: self.username.as_ref().map(|username| username.0.clone()),
            password: self.password(source, section)?,
            password_file: self.password_file.as_ref().map(|path| path.0.clone().into()),
            tls: self.tls,
            connect_timeout: self.connect_timeout,
            command_timeout: self.command_timeout,
            reconnect_min_delay: self.reconnect_min_delay,
            reconnect_max_delay: self.reconnect_max_delay,
        })
    }

    fn password(&self, source: &Source, section: &str) -> Result<Option<SecretString>, ConfigError> {
        let refuse = |problem: &str| source.refuse(&[&format!("{section}.password_file")], problem);
        match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => Err(refuse("give password or password_file, not both")),
            (password, None) => Ok(password.as_ref().map(|password| password.0.clone())),
            (None, Some(path)) => password::read(&path.0).map(Some).map_err(|problem| refuse(&problem)),
        }
    }
}

fn jobqueue_endpoint(source: &Source, keys: ServerKeys) -> Result<Endpoint, ConfigError> {
    let refuse = |key: &str, problem: &str| Err(source.refuse(&[&format!("{JOBQUEUE}.{key}")], problem));
    match (keys.addr, keys.sentinel, keys.cluster) {
        (_, _, Some(_)) => refuse("cluster", "not available in this version: jobs live on one Redis"),
        (Some(_), Some(_), None) => refuse("sentinel", "give exactly one of addr, sentinel and cluster"),
        (None, Some(Section(sentinel)), None) if sentinel.addrs.is_empty() => {
            refuse("sentinel.addrs", "expected at least one address, found none")
        }
        (None, Some(Section(SentinelKeys { master, addrs })), None) => {
            Ok(Endpoint::Sentinel { master: master.0, addrs })
        }
        (Some(addr), None, None) => Ok(addr.into()),
        (None, None, None) => Ok(JobqueueRedis::default().endpoint),
    }
}

/// Braces are refused: they would make the prefix a hash tag, so that the keys of all queues would be on one node of a
/// cluster.
fn key_prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let expected = r#"at most 64 printable ASCII characters without spaces, "{" and "}""#;
    let is_valid =
        |text: &str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'{' && b != b'}');
    checked(deserializer, |raw| raw.text(expected, |text| is_valid(text).then(|| text.to_owned())))
}
