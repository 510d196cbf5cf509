//! Writes the history every few seconds, in the background.

use std::time::Duration;

use crate::client::Client;
use crate::history::{builds, flush};
use crate::redis::pool::Tasks;

/// Time between two looks at the counts, in ms. Minutes begin with a look, so that no count goes to a wrong one.
const INTERVAL: i64 = 5_000;

/// The calls of many processes spread over this time after a look.
const SPREAD: Duration = Duration::from_secs(2);

/// Writes the history of a process every few seconds until it is dropped. What was counted since then is lost, unless
/// [`Client::flush_history`] writes it.
pub struct HistoryWriter {
    /// Holds the connection.
    _task: Tasks,
}

impl HistoryWriter {
    /// `program` and `build` go to the list of builds.
    pub fn start(client: &Client, program: &'static str, build: &str) -> Self {
        let task = client.core().runtime.spawn(run(client.clone(), program, build.to_owned()));
        HistoryWriter { _task: Tasks(vec![task.abort_handle()]) }
    }
}

async fn run(client: Client, program: &'static str, build: String) {
    let core = client.core();
    let mut connects = core.connection.connects();
    if connects.wait_for(|connects| *connects > 0).await.is_err() {
        return;
    }
    let mut is_noted = builds::note(core, program, &build).await.is_ok();
    let offset = SPREAD.mul_f64(rand::random());
    loop {
        let end = (core.clock.now() / INTERVAL + 1) * INTERVAL;
        tokio::time::sleep(core.clock.until(end)).await;
        flush::gather(core, end - 1).await;
        tokio::time::sleep(offset).await;
        is_noted = is_noted || builds::note(core, program, &build).await.is_ok();
        if let Err(error) = flush::send(core).await {
            // Other tasks log that Redis is away.
            tracing::debug!(%error, "cannot write the history now");
        }
    }
}
