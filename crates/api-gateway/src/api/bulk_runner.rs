//! Runs bulk operations beside the requests. They are in Redis, so any gateway goes on with one whose runner is gone.

use std::time::Duration;

use actix_web::web::Data;
use atode_config::Build;
use atode_queue::{BulkRunner, MAX_RUNNING_BULKS};
use futures_util::future::join_all;

use crate::gateway::Gateway;

/// The time between two looks for a bulk operation that waits, or that nobody runs any more.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Runs until the gateway stops; other gateways go on with what is not done.
pub(crate) async fn run(gateway: Data<Gateway>, build: Build) {
    let runner = BulkRunner {
        program: build.name.to_owned(),
        pid: std::process::id(),
        build: build.version.to_owned(),
    };
    join_all((0..MAX_RUNNING_BULKS).map(|_| run_one_by_one(gateway.clone(), runner.clone()))).await;
}

async fn run_one_by_one(gateway: Data<Gateway>, runner: BulkRunner) {
    let (rules, stopping) = (gateway.rules.clone(), gateway.stopping.clone());
    let retention = move |kind: &str| rules.retention(kind);
    let is_stopping = move || stopping.is_cancelled();
    loop {
        match gateway.client.bulks().run_next(&runner, &retention, &is_stopping).await {
            Ok(true) => {}
            Ok(false) => wait(&gateway).await,
            Err(error) => {
                tracing::debug!(%error, "cannot look for bulk operations");
                wait(&gateway).await;
            }
        }
        if is_stopping() {
            return;
        }
    }
}

async fn wait(gateway: &Gateway) {
    tokio::select! {
        () = gateway.bulk_wanted.notified() => {}
        () = gateway.stopping.cancelled() => {}
        () = tokio::time::sleep(LOOK_EVERY) => {}
    }
}
