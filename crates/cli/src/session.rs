//! What every command starts with: configuration, kinds, a connection.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use atode_config::{Config, ConfigArgs};
use atode_jobs::Registry;
use atode_queue::Client;

pub(crate) struct Session {
    pub(crate) config: Config,
    pub(crate) registry: Registry,
    pub(crate) client: Client,
}

const PATIENCE: Duration = Duration::from_secs(3);

impl Session {
    pub(crate) async fn open(args: &ConfigArgs) -> anyhow::Result<Self> {
        let config = args.load()?;
        let client = Client::open(&config.cache_server.redis.jobqueue)?;
        let mut connects = client.connection().connects();
        if tokio::time::timeout(PATIENCE, connects.wait_for(|connects| *connects > 0)).await.is_err() {
            bail!("Redis does not answer at {}", client.connection().address());
        }
        Ok(Session { config, registry: atode_jobs::registry()?, client })
    }

    /// Configured queues, and those that jobs were left in.
    pub(crate) async fn queues(&self) -> anyhow::Result<Vec<Arc<str>>> {
        let mut names: BTreeSet<String> = self.config.queues.keys().cloned().collect();
        names.extend(self.client.queue_names().await.context("the catalogue of queues")?);
        Ok(names.into_iter().map(Arc::from).collect())
    }
}
