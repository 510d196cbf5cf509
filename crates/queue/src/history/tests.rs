//! The size of a history that is full, and the time that it takes.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_testkit::{RedisServer, eventually_async};

use crate::client::Client;
use crate::history::cells::{Event, Timing};
use crate::history::flush;
use crate::history::ring::{MINUTE, Window};

const KINDS: usize = 20;
/// Jobs per kind and bucket.
const JOBS: usize = 1_000;
const SAMPLES: usize = 1 << 14;

/// Times around this median. Two thirds are within a factor of 2.
fn times(median: f64) -> Vec<Duration> {
    let time = |_| {
        let normal = (-2.0 * (1.0 - rand::random::<f64>()).ln()).sqrt() * (TAU * rand::random::<f64>()).cos();
        Duration::from_secs_f64(median * 2_f64.powf(normal))
    };
    (0..SAMPLES).map(time).collect()
}

/// `cargo test -p atode-queue --lib history::tests -- --nocapture` prints the size, and the times
/// of a flush and of an answer.
#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_20_kinds_over_72_hours_takes_at_most_3_mb() {
    let redis = RedisServer::builder().with_clock().no_aof().start();
    let endpoint = Endpoint::Server { host: "127.0.0.1".to_owned(), port: redis.port() };
    let client = Client::open(&JobqueueRedis { endpoint, ..JobqueueRedis::default() }).expect("its settings");
    let connects = client.connection().connects();
    eventually_async("a connection", Duration::from_secs(20), async || {
        (*connects.borrow() > 0).then_some(())
    })
    .await;
    let used = || redis.info("memory", "used_memory").and_then(|n| n.parse::<i64>().ok()).expect("a number");
    let core = client.core();
    let (lateness, run) = (times(0.003), times(0.080));
    let fill = async |minute: i64| {
        for kind in 0..KINDS {
            let tally = core.counters.tally("default", &format!("demo:some_kind_{kind}"));
            for event in [Event::Enqueued, Event::Completed] {
                tally.count(event, JOBS as u64);
            }
            for event in [Event::Failed, Event::Dead, Event::Cancelled, Event::Reaped] {
                tally.count(event, rand::random_range(0..JOBS as u64 / 10));
            }
            let first = rand::random_range(0..SAMPLES - JOBS);
            for n in first..first + JOBS {
                tally.time(Timing::Lateness, lateness[n]);
                tally.time(Timing::Run, run[n]);
            }
        }
        redis.clock().freeze_at(minute * MINUTE);
        flush::gather(core, minute * MINUTE).await;
        let start = Instant::now();
        flush::send(core).await.expect("written");
        start.elapsed()
    };
    let end = 1_800_000_000_000 / MINUTE;
    fill(end - 72 * 60).await; // the scripts are loaded
    let empty = used();
    for minute in (end - 72 * 60..end - 120).step_by(5).chain(end - 120..end) {
        fill(minute).await;
    }
    let of_a_kind = redis.command(&[
        "MEMORY",
        "USAGE",
        &core.keys.history_of("default", "demo:some_kind_0"),
        "SAMPLES",
        "0",
    ]);
    let taken = used() - empty;
    println!("{KINDS} kinds: {taken} bytes more in use; one kind: {} bytes", of_a_kind.int());
    fill(end).await;
    println!("a flush of {KINDS} kinds: {:?}", fill(end).await);
    let queues = [Arc::from("default")];
    for (hours, filled) in [(1, 61), (72, 839 + 120 + 2)] {
        let window = Window::new(Duration::from_secs(hours * 60 * 60)).expect("at most 72 hours");
        let start = Instant::now();
        let stats = client.stats(&queues, None, window).await.expect("read");
        println!("{hours} h of {} series: read in {:?}", stats.series.len(), start.elapsed());
        assert_eq!(stats.series.len(), KINDS);
        assert_eq!(stats.all.total.completed, (KINDS * JOBS * filled) as u64);
    }
    assert!(KINDS as i64 * of_a_kind.int() < 3_000_000, "{} bytes per kind", of_a_kind.int());
    assert!(taken < 3_000_000, "{taken} bytes");
}
