//! The real gateway under load, with a check that every acknowledged job is stored.

use atode_testkit::{Gateway, RedisServer};

use crate::fixture::{self, QUEUE};
use crate::runtime::on_tokio;
use crate::{proc, wrk};

pub(crate) struct Load {
    pub(crate) requests: wrk::Requests,
    /// Peak memory of the process, bytes.
    pub(crate) peak_memory: u64,
}

/// Empties Redis, starts a gateway and sends it requests. `settings` are environment variables of the gateway, which
/// has no limiter by default.
pub(crate) fn measure(
    redis: &RedisServer,
    settings: &[(&str, String)],
    body: wrk::Body,
    seconds: u64,
    connections: u64,
) -> anyhow::Result<Load> {
    redis.command(&["FLUSHALL"]);
    let builder = Gateway::builder(&redis.addr());
    let gateway = settings.iter().fold(builder, |gateway, (name, value)| gateway.env(name, value)).start();
    let requests = wrk::posts(gateway.base_url(), body, seconds, connections)?;
    let peak_memory = proc::peak_memory(gateway.pid())?;
    drop(gateway);
    on_tokio(check(redis, &requests, body, connections))?;
    Ok(Load { requests, peak_memory })
}

/// Jobs whose reply wrk did not wait for may be stored as well.
async fn check(
    redis: &RedisServer,
    requests: &wrk::Requests,
    body: wrk::Body,
    connections: u64,
) -> anyhow::Result<()> {
    let client = fixture::client_of(redis.port()).await?;
    let counts = client.queue(QUEUE).await?.counts;
    let (stored, answered) = (counts.scheduled as usize, requests.answered * body.jobs());
    let in_flight = connections as usize * body.jobs();
    anyhow::ensure!(
        (answered..=answered + in_flight).contains(&stored),
        "{stored} jobs are stored, but {answered} got 201"
    );
    fixture::audit(&client).await
}
