//! Messages to those who wait for jobs that are due earlier, and for jobs that finish.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{
    Announcement, ClaimOptions, Drained, Due, Finished, Heard, History, JobId, KindSet, Reaped, Verdict,
    Wakeups,
};
use atode_testkit::{Connection, eventually_async};
use futures_util::FutureExt;
use support::{DEADLINE, HOUR, INSTANT, KIND, TestQueue};

const NOW: Due = Due::After(Duration::ZERO);

/// The news that a message may have been missed.
const AT_ONCE: i64 = i64::MIN;

async fn next(wakeups: &Wakeups) -> i64 {
    let heard = hear(wakeups).await;
    if heard.missed { AT_ONCE } else { heard.due.expect("a due time") }
}

async fn hear(wakeups: &Wakeups) -> Heard {
    tokio::time::timeout(DEADLINE, wakeups.next()).await.expect("a wake-up in time")
}

/// A subscription to these queues after its first wake-ups: that of the subscription, and that of a possible later
/// connect.
async fn subscribed(test: &TestQueue, queues: &[&TestQueue]) -> Wakeups {
    let names: Vec<Arc<str>> = queues.iter().map(|queue| queue.queue.clone()).collect();
    let wakeups = test.client.wakeups(&names, &KindSet::default());
    assert_eq!(next(&wakeups).await, AT_ONCE, "a new subscription may have missed something");
    let mut probe = 0;
    while probe == 0 || next(&wakeups).await != probe {
        probe -= 1;
        test.command(&["PUBLISH", &queues[0].key("wake"), &probe.to_string()]);
    }
    wakeups
}

async fn changed(finished: &Finished) {
    tokio::time::timeout(DEADLINE, finished.changed()).await.expect("a change in time");
}

/// A connection that is subscribed to one channel.
struct Listener<'a> {
    test: &'a TestQueue,
    connection: Connection,
    channel: String,
}

impl<'a> Listener<'a> {
    fn new(test: &'a TestQueue, channel: &str) -> Self {
        let channel = test.key(channel);
        let mut connection = test.redis.connect(DEADLINE).unwrap();
        connection.command(&["SUBSCRIBE", &channel]).unwrap();
        Listener { test, connection, channel }
    }

    /// The messages so far.
    #[track_caller]
    fn heard(&mut self) -> Vec<String> {
        self.test.command(&["PUBLISH", &self.channel, "the end"]);
        let mut heard = Vec::new();
        loop {
            let message = self.connection.read().unwrap().texts().pop().unwrap();
            if message == "the end" {
                return heard;
            }
            heard.push(message);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_job_that_is_due_earlier_than_all_others_of_its_kind_wakes() {
    let test = TestQueue::start().await;
    let mut wakes = Listener::new(&test, "wake");
    let base = test.now() + 1_000_000;
    test.enqueue(Due::At(base)).await;
    assert_eq!(wakes.heard(), [base.to_string()]);
    test.enqueue(Due::At(base + 1)).await;
    test.enqueue(Due::At(base)).await;
    assert!(wakes.heard().is_empty());
    test.enqueue(Due::At(base - 1)).await;
    assert_eq!(wakes.heard(), [(base - 1).to_string()]);
    // Another kind may have other workers.
    test.enqueue_of("test:other", Due::At(base + 5)).await;
    assert_eq!(wakes.heard(), [(base + 5).to_string()]);
    // One message a call, with the earliest that is news to its kind.
    let jobs = [
        test.new_job(Due::At(base + 2)),
        test.new_job_of("test:other", Due::At(base + 4)),
        test.new_job_of("test:other", Due::At(base + 3)),
        test.new_job_of("test:third", Due::At(base + 9)),
    ];
    test.client.enqueue_all_or_nothing(&test.queue, &jobs).await.unwrap();
    assert_eq!(wakes.heard(), [(base + 3).to_string()]);
    // A refused batch is no news.
    let job = test.new_job(Due::At(1));
    let idempotency = Some(atode_queue::Idempotency::new("", "k", b"1"));
    let conflict = atode_queue::NewJob {
        idempotency: Some(atode_queue::Idempotency::new("", "k", b"2")),
        ..test.new_job(NOW)
    };
    let jobs = [atode_queue::NewJob { idempotency, ..job }, conflict];
    test.client.enqueue_all_or_nothing(&test.queue, &jobs).await.unwrap();
    assert!(wakes.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transition_that_brings_a_job_back_wakes() {
    let test = TestQueue::start().await;
    let mut wakes = Listener::new(&test, "wake");
    let id = test.enqueue_now().await;
    assert_eq!(wakes.heard().len(), 1);
    let due = |test: &TestQueue| vec![test.score("due", id).unwrap().to_string()];

    let job = test.claim_one().await;
    assert!(wakes.heard().is_empty());
    test.done(job.lease.retry(Duration::ZERO, History::default())).await;
    assert_eq!(wakes.heard(), due(&test));
    let job = test.claim_one().await;
    test.done(job.lease.release(Duration::ZERO)).await;
    assert_eq!(wakes.heard(), due(&test));
    test.claim_one_for_an_instant().await;
    let job = test.until_expired(1).await.remove(0);
    let reaped = Reaped { lease: job.lease, history: job.history, due_after: Some(Duration::ZERO) };
    assert_eq!(test.reap(reaped).await, Verdict::Done);
    assert_eq!(wakes.heard(), due(&test));
    // The snoozed job is the only one that waits: who sleeps for want of jobs has to know.
    let job = test.claim_one().await;
    test.done(job.lease.release(HOUR)).await;
    assert_eq!(wakes.heard(), due(&test));

    // Behind another one that waits it is no news.
    let other = test.enqueue_now().await;
    assert_eq!(wakes.heard().len(), 1);
    let job = test.claim_one().await;
    assert_eq!(job.lease.id(), other);
    test.done(job.lease.retry(2 * HOUR, History::default())).await;
    assert!(wakes.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_hears_the_earliest_due_time_since_it_last_asked() {
    let test = TestQueue::start().await;
    let other = test.beside("other").await;
    let unheard = test.beside("unheard").await;
    let wakeups = subscribed(&test, &[&test, &other]).await;
    let base = test.now() + 1_000_000;
    unheard.enqueue(Due::At(1)).await;
    test.enqueue(Due::At(base)).await;
    assert_eq!(next(&wakeups).await, base);
    other.enqueue(Due::At(base + 5)).await;
    assert_eq!(next(&wakeups).await, base + 5);
    assert!(wakeups.next().now_or_never().is_none());

    // It gives the earliest of several due times, whichever came last. A second subscriber, asked after the first, shows
    // that both have arrived.
    let marker = test.client.wakeups(std::slice::from_ref(&other.queue), &KindSet::default());
    assert_eq!(next(&marker).await, AT_ONCE);
    test.enqueue(Due::At(base - 9)).await;
    other.enqueue(Due::At(base + 4)).await;
    assert_eq!(next(&marker).await, base + 4);
    assert_eq!(next(&wakeups).await, base - 9);
    assert!(wakeups.next().now_or_never().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_all_due_jobs_publishes_the_next_due_time_and_the_watcher() {
    let test = TestQueue::start().await;
    let wakeups = subscribed(&test, &[&test]).await;
    let claim = async |limit, spare| {
        let kinds = KindSet::default();
        let announcement = Some(Announcement { kinds: &kinds, worker: test.worker.id, spare, workers: 7 });
        test.client.claim(&ClaimOptions { announcement, ..test.options(limit) }).await.unwrap()
    };
    test.enqueue_many(3, NOW).await;
    hear(&wakeups).await;
    assert_eq!(claim(2, 9).await.listeners, None, "one job is still due: the others may have it");
    let heard = async |next_due, watcher| {
        assert_eq!(hear(&wakeups).await.drained, Some(Drained { next_due, watcher, workers: 7 }));
    };
    assert_eq!(claim(2, 9).await.listeners, Some(1));
    heard(None, Some(test.worker.id)).await;
    let later = test.now() + 1_000_000;
    test.enqueue(Due::At(later)).await;
    assert_eq!(hear(&wakeups).await.due, Some(later));
    test.enqueue_now().await;
    hear(&wakeups).await;
    assert_eq!(claim(2, 1).await.jobs.len(), 1);
    heard(Some(later), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_wakes_and_the_wake_ups_go_on() {
    let test = TestQueue::start().await;
    let wakeups = subscribed(&test, &[&test]).await;
    let due = test.now() + 1_000_000;
    let id = test.enqueue(Due::At(due)).await;
    assert_eq!(next(&wakeups).await, due);
    let finished = test.client.watch_finish(&test.queue, id);
    changed(&finished).await;
    assert!(test.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).int() >= 1);
    assert_eq!(next(&wakeups).await, AT_ONCE);
    changed(&finished).await;
    let due = test.now() + 1_000;
    test.enqueue(Due::At(due)).await;
    assert_eq!(next(&wakeups).await, due);
    finish_now(&test, id).await;
    changed(&finished).await;
}

/// Makes the job due, claims and completes it.
async fn finish_now(test: &TestQueue, id: JobId) {
    test.command(&["ZADD", &test.set("due"), "1", &id.short()]);
    let job = test.claim(1).await.jobs.remove(0);
    assert_eq!(job.lease.id(), id);
    test.done(job.lease.complete(HOUR, job.history)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_reports_the_end_of_its_job_and_of_no_other() {
    let test = TestQueue::start().await;
    subscribed(&test, &[&test]).await;
    let watch = async |id: JobId| {
        let finished = test.client.watch_finish(&test.queue, id);
        changed(&finished).await;
        assert!(finished.changed().now_or_never().is_none());
        finished
    };
    let (completed, buried) = (test.enqueue_now().await, test.enqueue_now().await);
    let (removed, reaped) = (test.enqueue_now().await, test.enqueue_now().await);
    let bystander = test.enqueue(Due::After(HOUR)).await;
    let watches = [
        watch(completed).await,
        watch(completed).await,
        watch(buried).await,
        watch(removed).await,
        watch(reaped).await,
    ];
    let stays = watch(bystander).await;

    let mut jobs = test.claim(3).await.jobs.into_iter();
    let mut job = || jobs.next().unwrap();
    let (a, b, c) = (job(), job(), job());
    test.done(a.lease.complete(HOUR, a.history)).await;
    test.done(b.lease.bury(b.history)).await;
    test.done(c.lease.complete(Duration::ZERO, c.history)).await;
    test.claim_for(1, INSTANT).await;
    let job = test.until_expired(1).await.remove(0);
    let bury = Reaped { lease: job.lease, history: job.history, due_after: None };
    assert_eq!(test.reap(bury).await, Verdict::Done);
    for watch in &watches {
        changed(watch).await;
    }
    assert!(stays.changed().now_or_never().is_none());

    // Nobody watches anymore: the channel is left.
    let channel = test.key("finished");
    let subscribers = || test.command(&["PUBSUB", "NUMSUB", &channel]).array()[1].int();
    assert_eq!(subscribers(), 1);
    drop((watches, stays));
    eventually_async("the channel is left", DEADLINE, async || (subscribers() == 0).then_some(())).await;
    let again = watch(bystander).await;
    finish_now(&test, bystander).await;
    changed(&again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_names_all_jobs_that_finished_in_a_call() {
    let test = TestQueue::start().await;
    let mut finished = Listener::new(&test, "finished");
    test.enqueue_many(3, NOW).await;
    let jobs = test.claim(3).await.jobs;
    let expected: Vec<String> = jobs.iter().map(|job| job.lease.id().short()).collect();
    let settlements = jobs.into_iter().map(|job| job.lease.complete(HOUR, job.history)).collect();
    test.client.settle(settlements).await;
    assert_eq!(finished.heard(), [expected.join(" ")]);
    test.enqueue_of(KIND, NOW).await;
    let job = test.claim_one().await;
    test.done(job.lease.retry(HOUR, job.history)).await;
    assert!(finished.heard().is_empty());
}
