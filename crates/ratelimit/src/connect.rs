//! The connection to the limiter's Redis. The server says whether it is a single server or part of a cluster; the
//! number of configured addresses does not decide that.

use std::time::Duration;

use atode_config::redis::{DefaultRedis, Endpoint};
use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::InfoKind;

/// The reason why a limiter cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cache_server.redis.default.cluster.addrs: {0}")]
    Addresses(String),
    #[error(transparent)]
    Config(#[from] atode_config::ConfigError),
}

/// Connects to the first address that answers. `None` if none does.
pub(crate) async fn connect(redis: &DefaultRedis) -> Result<Option<Client>, StartError> {
    for address in &redis.addrs {
        let endpoint = Endpoint::from(address.clone());
        let Some(client) = open(redis, &endpoint).await? else { continue };
        let Ok(info) = client.info::<String>(Some(InfoKind::Cluster)).await else {
            let _ = client.quit().await;
            continue;
        };
        if info.contains("cluster_enabled:1") {
            let _ = client.quit().await;
            let cluster = Endpoint::Cluster { addrs: redis.addrs.clone() };
            return open(redis, &cluster).await;
        }
        if redis.addrs.len() > 1 {
            let _ = client.quit().await;
            return Err(StartError::Addresses(format!(
                "{address} is a single server, not a node of a cluster; give one address, or the nodes of one cluster"
            )));
        }
        return Ok(Some(client));
    }
    Ok(None)
}

async fn open(redis: &DefaultRedis, endpoint: &Endpoint) -> Result<Option<Client>, StartError> {
    let client = redis
        .connection
        .builder(endpoint)?
        .build()
        .map_err(|error| StartError::Addresses(error.to_string()))?;
    let task = client.connect();
    let timeout = redis.connection.connect_timeout + Duration::from_millis(500);
    if matches!(tokio::time::timeout(timeout, client.wait_for_connect()).await, Ok(Ok(()))) {
        return Ok(Some(client));
    }
    task.abort();
    let _ = client.quit().await;
    Ok(None)
}
