//! The configuration of every process: two YAML files an environment, environment variables over them, and
//! out of both a [`Config`] whose values need no second check.
//!
//! Whatever is wrong ends the start with one line, a [`ConfigError`]. What a file says but this version does not
//! do is wrong, too: nothing that is configured is silently ignored.

mod address;
mod api;
mod args;
mod build;
mod cache_server;
mod duration;
mod environment;
mod error;
mod fields;
mod listen;
mod load;
pub mod logging;
pub mod metrics;
mod one_line;
mod overrides;
mod password;
pub mod process;
pub mod redis;
mod sections;
mod source;

use std::collections::BTreeMap;

pub use crate::{
    address::{Address, InvalidAddress},
    api::{Api, ApiKey, Auth, Cors, KeyRateLimit, OnError, RateLimit, Scope, StorageType},
    args::ConfigArgs,
    build::Build,
    cache_server::{CacheServer, Redis},
    environment::{Environment, UnknownEnvironment},
    error::ConfigError,
    listen::{bare_host, listen_problem},
    load::load,
    one_line::one_line,
    sections::{LogFormat, Logging, Queue, Server, Worker},
};

/// All settings. The default is what two empty files give.
#[derive(Debug, Clone)]
pub struct Config {
    pub environment: Environment,
    /// Every queue that jobs may be enqueued to; never empty.
    pub queues: BTreeMap<String, Queue>,
    pub server: Server,
    pub worker: Worker,
    pub logging: Logging,
    pub api: Api,
    pub cache_server: CacheServer,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: Environment::default(),
            queues: BTreeMap::from([("default".to_owned(), Queue::default())]),
            server: Server::default(),
            worker: Worker::default(),
            logging: Logging::default(),
            api: Api::default(),
            cache_server: CacheServer::default(),
        }
    }
}
