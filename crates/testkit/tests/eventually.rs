//! [`eventually`] and [`eventually_async`].

use std::future;
use std::time::Duration;

use atode_testkit::{eventually, eventually_async};

#[test]
fn the_first_value_is_returned() {
    let mut asked = 0;
    let value = eventually("the third answer", Duration::from_secs(5), || {
        asked += 1;
        (asked == 3).then_some("here")
    });
    assert_eq!(value, "here");
    assert_eq!(eventually("at once", Duration::ZERO, || Some(1)), 1);
}

#[test]
#[should_panic(expected = "did not happen within 30ms: the moon is full")]
fn it_panics_at_the_deadline_with_the_given_text() {
    eventually("the moon is full", Duration::from_millis(30), || None::<()>);
}

#[tokio::test]
async fn an_async_condition_may_borrow_and_await() {
    let mut asked = 0;
    let value = eventually_async("the third answer", Duration::from_secs(5), async || {
        tokio::task::yield_now().await;
        asked += 1;
        (asked == 3).then_some(asked)
    });
    assert_eq!(value.await, 3);
}

#[tokio::test]
#[should_panic(expected = "did not happen within 30ms: the moon is full")]
async fn an_async_condition_that_hangs_is_cancelled() {
    eventually_async("the moon is full", Duration::from_millis(30), async || {
        future::pending::<Option<()>>().await
    })
    .await;
}
