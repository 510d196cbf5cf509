//! From an environment's two files and the process's variables to a [`Config`].

use std::{collections::BTreeMap, env, ffi::OsString, path::Path};

use serde::Deserialize;

use crate::{
    Config, ConfigError, Environment,
    api::{Api, StorageType},
    cache_server,
    fields::{self, Section},
    overrides::Override,
    sections::{Logging, Queue, Server, Worker},
    source::Source,
};

const CACHE_SERVER: &str = "cache_server";

/// Reads `{dir}/{env}/config.yaml` and `{dir}/{env}/cacheserver.yaml`, which must both exist, then the variables
/// `APP__SECTION__KEY` of this process, which override them.
///
/// A variable's value is read as the key needs it: `APP__SERVER__PORT=9090`. One that starts with `[` is a
/// list in YAML: `["h:1","h:2"]`. An empty one takes the file's value away.
pub fn load(env: Environment, dir: &Path) -> Result<Config, ConfigError> {
    load_with(env, dir, env::vars_os())
}

pub(crate) fn load_with(
    environment: Environment,
    dir: &Path,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, ConfigError> {
    let dir = dir.join(environment.as_str());
    let overrides = Override::among(variables)?;
    let of_config = overrides.iter().filter(|over| !over.is_in(CACHE_SERVER));
    let of_cache_server = overrides.iter().filter(|over| over.is_in(CACHE_SERVER));
    let source = Source::read(dir.join("config.yaml"), of_config)?;
    let cache_server = cache_server::read(&Source::read(dir.join("cacheserver.yaml"), of_cache_server)?)?;

    let FileKeys { queues, server, worker, logging, api } = source.extract()?;
    let named = queues.into_iter().flatten();
    let mut queues: BTreeMap<String, Queue> =
        named.map(|(name, queue)| (name, queue.map_or_else(Queue::default, |section| section.0))).collect();
    if !source.file_sets("queues") {
        // A variable adds to the default of a section, as it adds to what a file says.
        queues = Config::default().queues.into_iter().chain(queues).collect();
    }
    let config = Config { environment, queues, server, worker, logging, api, cache_server };
    check(&config, &source)?;
    Ok(config)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileKeys {
    #[serde(deserialize_with = "fields::by_queue")]
    queues: Option<BTreeMap<String, Option<Section<Queue>>>>,
    #[serde(deserialize_with = "fields::section")]
    server: Server,
    #[serde(deserialize_with = "fields::section")]
    worker: Worker,
    #[serde(deserialize_with = "fields::section")]
    logging: Logging,
    #[serde(deserialize_with = "fields::section")]
    api: Api,
}

/// What no key can tell by itself.
fn check(config: &Config, source: &Source) -> Result<(), ConfigError> {
    let worker_queues = config.worker.queues.iter().flat_map(BTreeMap::keys);
    if let Some(unknown) = worker_queues.into_iter().find(|name| !config.queues.contains_key(*name)) {
        let known: Vec<&str> = config.queues.keys().map(String::as_str).collect();
        let problem = format!("this queue is not named in `queues`, which has {}", known.join(", "));
        return Err(source.refuse(&[&format!("worker.queues.{unknown}")], &problem));
    }
    if config.api.auth.enabled {
        let problem = "not available in this version: API keys are not checked yet";
        return Err(source.refuse(&["api.auth.enabled"], problem));
    }
    if !config.api.auth.keys.is_empty() {
        let problem =
            "not available in this version: API keys are not checked yet, so the list has to be empty";
        return Err(source.refuse(&["api.auth.keys"], problem));
    }
    if !config.api.cors.allowed_origins.is_empty() {
        let problem = "not available in this version: no other origin can be allowed yet";
        return Err(source.refuse(&["api.cors.allowed_origins"], problem));
    }
    let has_redis = !config.cache_server.redis.default.addrs.is_empty();
    if config.api.rate_limit.storage_type == StorageType::Redis && !has_redis {
        let problem = "redis needs an address in cache_server.redis.default.cluster.addrs, which is empty";
        return Err(source.refuse(&["api.rate_limit.storage_type"], problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
