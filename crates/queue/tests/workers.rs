//! Registrations of workers: they expire unless they are renewed.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use atode_queue::{Client, Departure, Fate, Registration, WorkerState};
use atode_testkit::eventually_async;
use jiff::Timestamp;
use support::{DEADLINE, HOUR, TestQueue, worker};

fn registration(client: &Client, pid: u32) -> Registration {
    let now = Timestamp::from_millisecond(client.now()).unwrap();
    Registration {
        worker: worker(client, pid),
        kinds: vec!["test:print".to_owned(), "é \"quoted\"".to_owned()],
        queues: BTreeMap::from([("default".to_owned(), 3)]),
        slots: 64,
        active: 2,
        state: WorkerState::Running,
        started_at: now,
        seen_at: now,
        http: "127.0.0.1:8082".to_owned(),
    }
}

fn pids(workers: &[Registration]) -> Vec<u32> {
    let mut pids: Vec<u32> = workers.iter().map(|worker| worker.worker.pid).collect();
    pids.sort_unstable();
    pids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_listed_as_it_was_written_last() {
    let test = TestQueue::start().await;
    assert!(test.client.workers().await.unwrap().is_empty());
    let mut one = registration(&test.client, 1);
    test.client.heartbeat(&one, HOUR).await.unwrap();
    assert_eq!(test.client.workers().await.unwrap(), [one.clone()]);
    one.state = WorkerState::Stopping;
    one.active = 0;
    test.client.heartbeat(&one, HOUR).await.unwrap();
    test.client.heartbeat(&registration(&test.client, 2), HOUR).await.unwrap();
    let workers = test.client.workers().await.unwrap();
    assert_eq!(pids(&workers), [1, 2]);
    assert!(workers.contains(&one));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_not_renewed_expires() {
    let test = TestQueue::start().await;
    let (dead, lives) = (registration(&test.client, 1), registration(&test.client, 2));
    test.client.heartbeat(&dead, Duration::from_millis(150)).await.unwrap();
    test.client.heartbeat(&lives, HOUR).await.unwrap();
    let fates = async || test.client.fates(&[dead.worker.id, lives.worker.id]).await.unwrap();
    eventually_async("the dead worker is gone", DEADLINE, async || {
        (fates().await == [Fate::Gone, Fate::Alive]).then_some(())
    })
    .await;
    assert_eq!(pids(&test.client.workers().await.unwrap()), [2]);
    // The next heartbeat of anybody sweeps it out of the list as well.
    test.client.heartbeat(&lives, HOUR).await.unwrap();
    assert_eq!(test.count("ZCARD", "atode:{workers}"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_taken_back_is_gone_at_once() {
    let test = TestQueue::start().await;
    let (one, two) = (registration(&test.client, 1), registration(&test.client, 2));
    for worker in [&one, &two] {
        test.client.heartbeat(worker, HOUR).await.unwrap();
    }
    test.client.unregister(one.worker.id, Departure::Failure).await.unwrap();
    assert_eq!(pids(&test.client.workers().await.unwrap()), [2]);
    let asked = [two.worker.id, one.worker.id];
    assert_eq!(test.client.fates(&asked).await.unwrap(), [Fate::Alive, Fate::Gone]);
    assert!(test.client.fates(&[]).await.unwrap().is_empty());
    assert_eq!(test.command(&["KEYS", "atode:{workers}*"]).array().len(), 2);

    // After an orderly end it is known for a day that it was one.
    test.client.unregister(two.worker.id, Departure::Orderly).await.unwrap();
    assert_eq!(test.client.workers().await.unwrap(), []);
    assert_eq!(test.client.fates(&asked).await.unwrap(), [Fate::Stopped, Fate::Gone]);
    let note = format!("atode:{{workers}}:{}:stopped", two.worker.id);
    assert_eq!(test.command(&["KEYS", "atode:{workers}*"]).texts(), std::slice::from_ref(&note));
    assert!(test.count("PTTL", &note) > 23 * 60 * 60 * 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_cannot_be_read_does_not_hide_the_others() {
    let test = TestQueue::start().await;
    let (one, two) = (registration(&test.client, 1), registration(&test.client, 2));
    for worker in [&one, &two] {
        test.client.heartbeat(worker, HOUR).await.unwrap();
    }
    test.command(&["SET", &format!("atode:{{workers}}:{}", one.worker.id), "by hand"]);
    assert_eq!(pids(&test.client.workers().await.unwrap()), [2]);
    assert_eq!(test.client.fates(&[one.worker.id]).await.unwrap(), [Fate::Alive]);
}
