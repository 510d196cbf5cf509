//! A program that is neither gateway nor worker, and enqueues a job.

use std::path::Path;
use std::time::Duration;

use atode_config::{Environment, load};
use atode_jobs::Enqueue;
use atode_queue::Client;
use shop_kinds::charge::Charge;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = load(Environment::Develop, Path::new("../../config"))?;
    let client = Client::open(&config.cache_server.redis.jobqueue)?;
    // Without a connection, enqueueing fails at once instead of waiting for one.
    client.connection().connects().wait_for(|connects| *connects > 0).await?;

    let charge = Charge { order: "42".to_owned(), cents: 1_999 };
    let id = charge.enqueue(&client).delay(Duration::from_secs(10)).max_retries(3).key("charge-42").await?;
    println!("{id}");
    Ok(())
}
