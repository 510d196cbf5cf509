//! The direct way: the configuration, the kinds, and a connection to Redis.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use atode_config::{Config, ConfigArgs, process};
use atode_jobs::{Catalogue, JobRules, Registry, filter_queues};
use atode_queue::{Client, Error, JobId, JobView, QueueView, absent};
use futures_util::future::try_join_all;

use crate::print;

pub(crate) struct Session {
    pub(crate) config: Config,
    pub(crate) registry: Registry,
    pub(crate) client: Client,
}

/// How long a command waits for its connection to Redis.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl Session {
    pub(crate) async fn open(args: &ConfigArgs, registry: Registry) -> anyhow::Result<Self> {
        let config = args.load()?;
        if let Some(unread) = process::unread_variables() {
            print::warning(&unread);
        }
        let client = Client::open(&config.cache_server.redis.jobqueue)?;
        let mut connects = client.connection().connects();
        if tokio::time::timeout(CONNECT_TIMEOUT, connects.wait_for(|connects| *connects > 0)).await.is_err() {
            let connection = client.connection();
            match connection.trouble() {
                Some(why) => bail!("no connection to Redis at {}: {why}", connection.address()),
                None => bail!("Redis does not answer at {}", connection.address()),
            }
        }
        Ok(Session { config, registry, client })
    }

    /// The configured queues, then the unconfigured ones that hold or held jobs, as in the API.
    pub(crate) async fn queues(&self) -> anyhow::Result<Vec<Arc<str>>> {
        let configured = &self.config.queues;
        let left = self.client.queue_names().await.context("cannot read the catalog of queues")?;
        let left = left.iter().filter(|name| !configured.contains_key(*name));
        Ok(configured.keys().chain(left).map(|name| Arc::from(name.as_str())).collect())
    }

    /// Fails unless the queue is configured, or holds or held jobs.
    pub(crate) async fn check_queue(&self, name: &str) -> anyhow::Result<()> {
        ensure!(self.queues().await?.iter().any(|queue| **queue == *name), absent::queue(name));
        Ok(())
    }

    /// The number of jobs in these queues, in all states.
    pub(crate) async fn jobs(&self, queues: &[Arc<str>]) -> Result<u64, Error> {
        let queues = try_join_all(queues.iter().map(|queue| self.client.queue(queue))).await?;
        Ok(queues.iter().map(|queue| queue.counts.total()).sum())
    }

    pub(crate) async fn queue(&self, name: &str) -> anyhow::Result<QueueView> {
        Ok(self.client.queue(name).await?.with_workers(&self.client.workers().await?))
    }

    /// The queue of a filter, or all queues. Unknown names are refused as in the API.
    pub(crate) async fn filter_queues(
        &self,
        queue: Option<&str>,
        kind: Option<&str>,
    ) -> anyhow::Result<Vec<Arc<str>>> {
        let (rules, queues) = (self.rules().await?, self.queues().await?);
        Ok(filter_queues(queue, kind, &self.client, &rules, queues).await?)
    }

    /// The job, or an error that says what its id reveals.
    pub(crate) async fn existing_job(&self, id: JobId) -> anyhow::Result<JobView> {
        let job = self.job(&self.queues().await?, id).await?;
        job.with_context(|| absent::job(id, self.client.now()))
    }

    /// The rules for jobs of a kind. The catalogue is read only if this build lacks the kind.
    pub(crate) async fn rules_for(&self, kind: &str) -> anyhow::Result<JobRules> {
        if self.registry.get(kind).is_some() { Ok(self.rules_of_this_build()) } else { self.rules().await }
    }

    /// The rules for jobs of all kinds, those of the catalogue too.
    pub(crate) async fn rules(&self) -> anyhow::Result<JobRules> {
        let catalogue = Catalogue::default();
        catalogue.look(&self.client).await.context("cannot read the catalogue of kinds")?;
        Ok(self.rules_of_this_build().with_catalogue(catalogue))
    }

    fn rules_of_this_build(&self) -> JobRules {
        let queues = self.config.queues.iter().map(|(name, queue)| (name.as_str(), queue.idempotency_ttl));
        JobRules::new(self.registry.clone(), queues)
    }

    /// A job as the API shows it: with the defaults of its kind.
    pub(crate) async fn job(&self, queues: &[Arc<str>], id: JobId) -> anyhow::Result<Option<JobView>> {
        let Some(job) = self.client.job(queues, id).await? else { return Ok(None) };
        Ok(Some(self.rules_for(&job.kind).await?.with_defaults(job)))
    }
}
