//! The real gateway under load, and whether all that it answered is stored.

use atode_testkit::{Gateway, RedisServer};

use crate::stand::{self, QUEUE};
use crate::{proc, wrk};

pub(crate) struct Load {
    pub(crate) requests: wrk::Requests,
    /// The most that the process ever had, bytes.
    pub(crate) peak_memory: u64,
}

/// Without a limiter, on a Redis that is emptied before.
pub(crate) fn measure(
    redis: &RedisServer,
    body: wrk::Body,
    seconds: u64,
    connections: u64,
) -> anyhow::Result<Load> {
    redis.command(&["FLUSHALL"]);
    let gateway = Gateway::start(redis);
    let requests = wrk::posts(gateway.base_url(), body, seconds, connections)?;
    let peak_memory = proc::peak_memory(gateway.pid())?;
    drop(gateway);
    crate::on_tokio(check(redis, &requests, body, connections))?;
    Ok(Load { requests, peak_memory })
}

/// What wrk did not wait for may be stored as well.
async fn check(
    redis: &RedisServer,
    requests: &wrk::Requests,
    body: wrk::Body,
    connections: u64,
) -> anyhow::Result<()> {
    let client = stand::client_of(redis.port()).await?;
    let counts = client.queue(QUEUE).await?.counts;
    let (stored, answered) = (counts.scheduled as usize, requests.answered * body.jobs());
    let under_way = connections as usize * body.jobs();
    anyhow::ensure!(
        (answered..=answered + under_way).contains(&stored),
        "{stored} jobs are stored, {answered} were answered with 201"
    );
    stand::audit(&client).await
}
