//! All settings of a process.

use std::collections::BTreeMap;

use crate::{
    api::Api,
    cache_server::CacheServer,
    environment::Environment,
    sections::{Logging, Queue, Server, Traces, Worker},
};

/// All settings. The default is the result of two empty files.
#[derive(Debug, Clone)]
pub struct Config {
    pub environment: Environment,
    /// Every queue that jobs may be enqueued to; never empty.
    pub queues: BTreeMap<String, Queue>,
    pub server: Server,
    pub worker: Worker,
    pub logging: Logging,
    pub traces: Traces,
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
            traces: Traces::default(),
            api: Api::default(),
            cache_server: CacheServer::default(),
        }
    }
}
