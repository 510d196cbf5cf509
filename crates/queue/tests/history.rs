//! The history of the last 72 hours, by queue and kind.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::time::Duration;

use atode_queue::{Client, Due, Series, Stats, Window};
use atode_testkit::{Proxy, RedisServer};
use support::{HOUR, KIND, TestQueue, settings};

const NOW: Due = Due::After(Duration::ZERO);
const MINUTE: i64 = 60_000;
/// Begins an hour, and with it buckets of both lengths.
const START: i64 = 1_800_000_000_000;

async fn stats(test: &TestQueue, window: Window) -> Stats {
    test.client.stats(std::slice::from_ref(&test.queue), None, window).await.unwrap()
}

fn hours(hours: u64) -> Window {
    Window::new(HOUR * hours as u32).unwrap()
}

/// enqueued, completed, failed, dead, cancelled, reaped
fn counts(series: &Series) -> [u64; 6] {
    let total = &series.numbers.total;
    [total.enqueued, total.completed, total.failed, total.dead, total.cancelled, total.reaped]
}

/// Sets Redis' clock, and lets the client know.
async fn set_clock(test: &TestQueue, unix_ms: i64) {
    test.redis.clock().freeze_at(unix_ms);
    test.client.queue(&test.queue).await.unwrap();
}

async fn with_clock() -> TestQueue {
    let test = TestQueue::on(RedisServer::builder().with_clock().start()).await;
    set_clock(&test, START).await;
    test
}

/// A job is enqueued, and counted in the minute of Redis' clock.
async fn count_one(test: &TestQueue) {
    test.enqueue(Due::After(HOUR)).await;
    test.client.flush_history().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transition_is_counted_once_by_kind() {
    let test = TestQueue::start().await.with_kinds(&[KIND, "test:other"]);
    test.enqueue_many(8, NOW).await;
    test.enqueue_of("test:other", Due::After(HOUR)).await;
    test.end_eight().await;
    for _ in 0..2 {
        test.client.flush_history().await.unwrap();
        let stats = stats(&test, Window::HOUR).await;
        let series: Vec<_> = stats.series.iter().map(|it| (&*it.queue, &*it.kind, counts(it))).collect();
        let expected = [("default", "test:other", [1, 0, 0, 0, 0, 0]), ("default", KIND, [8, 3, 2, 2, 0, 2])];
        assert_eq!(series, expected);
        assert_eq!(stats.all.total.enqueued, 9);
        assert_eq!((stats.step_seconds, stats.series_left_out), (60, 0));
    }
    let only = test.client.stats(&["default".into()], Some("test:other"), Window::HOUR).await.unwrap();
    assert_eq!((only.series.len(), only.all.total.enqueued), (1, 1));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_and_times_of_all_processes_are_merged() {
    let test = TestQueue::start().await;
    let others = [test.beside("default").await, test.beside("mail").await];
    for (n, process) in [&test, &others[0], &others[1]].into_iter().enumerate() {
        process.enqueue_many(n + 1, Due::After(HOUR)).await;
        let times = process.client.history_of(&process.queue, KIND);
        for _ in 0..98 {
            times.started(Duration::from_millis(2));
            times.ended(Duration::from_millis(100));
        }
        for _ in 0..2 {
            times.started(Duration::from_secs(5));
            times.ended(Duration::from_secs(60));
        }
        process.client.flush_history().await.unwrap();
    }
    let queues = ["default".into(), "mail".into()];
    let stats = test.client.stats(&queues, None, Window::HOUR).await.unwrap();
    let enqueued: Vec<_> = stats.series.iter().map(|it| it.numbers.total.enqueued).collect();
    assert_eq!((enqueued, stats.all.total.enqueued), (vec![3, 3], 6));
    for numbers in stats.series.iter().map(|it| &it.numbers).chain([&stats.all]) {
        let near = |read: Option<f64>, expected: f64| {
            assert!(
                read.is_some_and(|read| (read / expected - 1.0).abs() < 0.1),
                "{read:?} is not {expected}"
            );
        };
        near(numbers.total.lateness_seconds.p50, 0.002);
        near(numbers.total.lateness_seconds.p99, 5.0);
        near(numbers.total.run_seconds.p50, 0.1);
        near(numbers.total.run_seconds.p99, 60.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_reply_is_lost_is_counted_once() {
    let mut test = TestQueue::start().await;
    let proxy = Proxy::start(test.redis.port());
    test.client = Client::open(&settings(proxy.port())).unwrap();
    test.connected_for_the(1).await;
    count_one(&test).await; // so that Redis knows the script
    test.enqueue(Due::After(HOUR)).await;
    proxy.drop_reply_to("EVALSHA");
    test.client.flush_history().await.unwrap_err();
    assert!(proxy.has_dropped());
    test.connected_for_the(2).await;
    test.enqueue(Due::After(HOUR)).await;
    test.client.flush_history().await.unwrap();
    let stats = stats(&test, Window::HOUR).await;
    assert_eq!(counts(&stats.series[0])[0], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn minutes_are_shown_for_2_hours_and_five_minutes_for_72() {
    let test = with_clock().await;
    for minute in [0, 1, 4, 5] {
        set_clock(&test, START + minute * MINUTE).await;
        count_one(&test).await;
    }
    let by_minute = stats(&test, hours(1)).await;
    assert_eq!(by_minute.to.as_millisecond(), START + 5 * MINUTE);
    assert_eq!(by_minute.from.as_millisecond(), START - 54 * MINUTE);
    let minutes = &by_minute.series[0].numbers.buckets.enqueued;
    assert_eq!((minutes.len(), &minutes[54..]), (60, &[1, 1, 0, 0, 1, 1][..]));
    assert_eq!(by_minute.series[0].numbers.buckets.run_seconds.p50, vec![None; 60]);
    let by_five = stats(&test, hours(3)).await;
    assert_eq!(by_five.step_seconds, 300);
    let fives = &by_five.series[0].numbers.buckets.enqueued;
    assert_eq!((fives.len(), &fives[34..]), (36, &[3, 1][..]));

    // Two hours later the fields of these minutes are taken by others, and three days later those of all.
    for (hours_later, by_minute, by_five) in [(2, 3, 5), (72, 1, 3), (200, 1, 1)] {
        set_clock(&test, START + (60 * hours_later + 1) * MINUTE).await;
        count_one(&test).await;
        let total = async |window| stats(&test, window).await.series[0].numbers.total.enqueued;
        assert_eq!((total(hours(2)).await, total(hours(72)).await), (by_minute, by_five), "{hours_later} h");
    }
    let key = format!("atode:history:{{default}}:kind:{KIND}");
    assert!(test.count("HLEN", &key) <= 120 + 864);
    assert!(test.count("PTTL", &key) > 72 * 60 * MINUTE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_goes_on_counting() {
    let test = with_clock().await;
    count_one(&test).await;
    set_clock(&test, START - 120 * MINUTE).await; // the same field
    count_one(&test).await;
    let minutes = stats(&test, hours(1)).await.series[0].numbers.buckets.enqueued.clone();
    assert_eq!(minutes.last(), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_beyond_a_hundred_are_counted_together() {
    let test = TestQueue::start().await;
    for kind in 0..110 {
        test.enqueue_of(&format!("test:kind_{kind}"), Due::After(HOUR)).await;
    }
    for _ in 0..2 {
        test.client.flush_history().await.unwrap();
    }
    let stats = stats(&test, Window::HOUR).await;
    assert_eq!(stats.all.total.enqueued + stats.series_left_out as u64, 110);
    assert_eq!((stats.series.len(), stats.series_left_out), (100, 1));
    assert_eq!(test.count("ZCARD", "atode:history:{default}"), 101);
    let other = test.client.stats(&["default".into()], Some("other"), Window::HOUR).await.unwrap();
    assert_eq!(other.all.total.enqueued, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_a_wrong_type_holds_up_no_other() {
    let test = TestQueue::start().await;
    test.command(&["SET", &format!("atode:history:{{default}}:kind:{KIND}"), "by hand"]);
    test.command(&["SET", "atode:history:{mail}", "by hand"]);
    let mail = test.beside("mail").await;
    for kind in [KIND, "test:other"] {
        test.enqueue_of(kind, Due::After(HOUR)).await;
    }
    mail.enqueue(Due::After(HOUR)).await;
    mail.client.flush_history().await.unwrap();
    test.client.flush_history().await.unwrap();
    let stats = stats(&test, Window::HOUR).await;
    assert_eq!(stats.series.iter().map(|it| &*it.kind).collect::<Vec<_>>(), ["test:other"]);
}
