//! Rules that involve more than one key.

use std::collections::BTreeMap;

use crate::{api::StorageType, config::Config, error::ConfigError, source::Source};

/// Checks a configuration whose values are valid by themselves. `source` is `config.yaml`.
pub(crate) fn validate(config: &Config, source: &Source) -> Result<(), ConfigError> {
    let api = &config.api;
    let refuse = |key: &str, problem: &str| Err(source.refuse(&[key], problem));
    let mut worker_queues = config.worker.queues.iter().flat_map(BTreeMap::keys);
    if let Some(unknown) = worker_queues.find(|name| !config.queues.contains_key(*name)) {
        let known: Vec<&str> = config.queues.keys().map(String::as_str).collect();
        let problem = format!("this queue is not named in `queues`, which has {}", known.join(", "));
        return refuse(&format!("worker.queues.{unknown}"), &problem);
    }
    if api.auth.enabled {
        let problem = "not available in this version: API keys are not checked yet";
        return refuse("api.auth.enabled", problem);
    }
    if !api.auth.keys.is_empty() {
        let problem =
            "not available in this version: API keys are not checked yet, so the list has to be empty";
        return refuse("api.auth.keys", problem);
    }
    if !api.cors.allowed_origins.is_empty() {
        let problem = "not available in this version: no other origin can be allowed yet";
        return refuse("api.cors.allowed_origins", problem);
    }
    let has_redis = !config.cache_server.redis.default.addrs.is_empty();
    if api.rate_limit.storage_type == StorageType::Redis && !has_redis {
        let problem = "redis needs an address in cache_server.redis.default.cluster.addrs, which is empty";
        return refuse("api.rate_limit.storage_type", problem);
    }
    Ok(())
}
