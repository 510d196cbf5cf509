//! The number of the format in which jobs are stored.

mod support;

use std::time::Duration;

use atode_queue::{Due, Error};
use atode_testkit::eventually_async;
use support::{DEADLINE, TestQueue};

const FORMAT: &str = "atode:format";
const NOW: Due = Due::After(Duration::ZERO);

#[tokio::test(flavor = "multi_thread")]
async fn a_new_redis_gets_the_format_of_this_build() {
    let test = TestQueue::start().await;
    eventually_async("the format is written", DEADLINE, async || {
        let format = test.command(&["GET", FORMAT]);
        (!format.is_null() && format.text() == "1").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_too_old_leaves_the_jobs_alone_and_says_why() {
    let test = TestQueue::start().await;
    test.enqueue(NOW).await;
    for newer in ["2", "not a number"] {
        test.command(&["SET", FORMAT, newer]);
        let refused = eventually_async("a newer release is noticed", DEADLINE, async || {
            test.client.queue("default").await.err()
        })
        .await;
        let why = refused.to_string();
        assert!(
            why.contains(&format!("have the format {newer}")) && why.contains("start the release"),
            "{why}"
        );
        let stored = test.client.enqueue(test.new_job(NOW)).await.expect_err("nothing is stored");
        assert!(matches!(stored, Error::Refused { .. }) && stored.nothing_happened(), "{stored}");
        assert!(test.client.claim(&test.options(1)).await.is_err(), "nothing is claimed");
        let facts = test.client.server_facts().await.expect("Redis answers");
        assert_eq!(facts.obstacle().as_deref().map(|obstacle| why.contains(obstacle)), Some(true));
        assert_eq!(test.command(&["GET", FORMAT]).text(), newer, "it is not lowered");

        test.command(&["SET", FORMAT, "1"]);
        eventually_async("the jobs are usable again", DEADLINE, async || {
            let queue = test.client.queue("default").await.ok()?;
            assert_eq!(queue.counts.ready, 1, "nothing was touched");
            Some(())
        })
        .await;
    }
}
