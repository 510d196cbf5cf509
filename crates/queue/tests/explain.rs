//! Explanations of jobs on a real Redis: random set-ups against a model, and what an explanation costs.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod explain_model;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::{CheckResult, Due, Error, Explanation, JobId, Reason, RefusalCode};
use atode_testkit::RedisServer;
use explain_model::{END, Job, START, Setup, Staff, World};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use support::{HOUR, KIND, TestQueue};

async fn explain(test: &TestQueue, id: JobId) -> Explanation {
    let facts = test.client.explain(std::slice::from_ref(&test.queue), id).await.unwrap();
    facts.expect("the job is known").explain()
}

fn worker() -> impl Strategy<Value = Staff> {
    let build = (0..3_usize, 0..2_usize);
    (build, any::<[bool; 2]>(), prop::bool::weighted(0.8), 1..3_u32, 0..3_u32, 0..3_usize, any::<bool>())
        .prop_map(|((state, build), kinds, serves, slots, reported, runs, runs_suspect)| Staff {
            state,
            build,
            kinds,
            serves,
            slots,
            reported,
            runs,
            runs_suspect,
        })
}

fn left() -> impl Strategy<Value = i64> {
    prop_oneof![Just(-4_000), Just(-1), Just(0), Just(1), Just(700), Just(1_000), Just(1_001), Just(90_000)]
}

fn job() -> impl Strategy<Value = Job> {
    prop_oneof![
        3 => left().prop_map(Job::New),
        2 => (1..4_u32, left()).prop_map(|(failures, left)| Job::Retried { failures, left }),
        5 => (1..5_u32, left()).prop_map(|(crashes, left)| Job::Crashed { crashes, left }),
        2 => (0..3_u32, left()).prop_map(|(failures, left)| Job::Snoozed { failures, left }),
        3 => (1..3_usize, left()).prop_map(|(builds, left)| Job::HandedBack { builds, left }),
        1 => left().prop_map(Job::Redriven),
        3 => (prop::option::of(0..3_usize), any::<bool>(), prop_oneof![Just(-5), Just(0), Just(20_000)])
            .prop_map(|(by, cancel, left)| Job::Active { by, cancel, left }),
        1 => Just(Job::Completed),
        1 => any::<bool>().prop_map(|while_active| Job::Cancelled { while_active }),
        2 => (0..3_usize).prop_map(|end| Job::Dead(END[end])),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let staff = prop::collection::vec(worker(), 0..4);
    (staff, prop::bool::weighted(0.2), job()).prop_map(|(staff, is_paused, job)| Setup {
        staff,
        is_paused,
        job,
    })
}

#[test]
fn in_random_set_ups_the_reason_is_that_of_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let redis = Arc::new(RedisServer::builder().with_clock().start());
    let mut config = ProptestConfig { cases: 256, ..ProptestConfig::default() };
    config.failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")));
    if let Some(cases) = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()) {
        config.cases = cases;
    }
    let test = runtime.block_on(async {
        redis.clock().freeze_at(START);
        let test = TestQueue::open(&redis, "default").with_kinds(&explain_model::KINDS);
        test.connected_for_the(1).await;
        test
    });
    proptest!(config, |(setup in setup())| {
        redis.clock().freeze_at(START);
        redis.command(&["FLUSHALL"]);
        let (expected, left) = setup.expected();
        let explanation = runtime.block_on(async {
            let id = World::new(&test).build(&setup).await;
            explain(&test, id).await
        });
        prop_assert_eq!(explanation.reason, expected, "{:#?}", explanation);
        prop_assert_eq!(explanation.runs_at_earliest.is_some(), left.is_some_and(|left| left > 0), "{:#?}", explanation);
        let open = explanation.checks.iter().filter(|check| check.result != CheckResult::Passed).count();
        prop_assert_eq!(open == 0, explanation.checks.is_empty() || expected == Reason::DueNow);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_found_in_each_queue_among_hundreds_of_kinds_and_in_the_form_of_earlier_versions() {
    let test = TestQueue::start().await;
    let id = test.enqueue(Due::After(HOUR)).await;
    assert_eq!(explain(&test, id).await.reason, Reason::NotDue);
    for n in 0..300 {
        test.enqueue_of(&format!("test:k{n}"), Due::After(HOUR)).await;
    }
    let last = test.enqueue_of("test:last", Due::After(HOUR)).await;
    assert_eq!(
        (explain(&test, last).await.kind, explain(&test, id).await.kind),
        ("test:last".into(), KIND.into())
    );

    let mail = test.beside("mail").await;
    let elsewhere = mail.enqueue(Due::After(HOUR)).await;
    let queues = [test.queue.clone(), mail.queue.clone()];
    let facts = test.client.explain(&queues, elsewhere).await.unwrap().expect("it is in the other queue");
    assert_eq!(facts.queue, "mail");
    assert!(test.client.explain(&queues, test.client.new_id()).await.unwrap().is_none());

    let mut old = mail.new_job(Due::After(HOUR));
    old.record = format!(r#"{{"kind":"{KIND}","payload":{{}},"max_retries":3}}"#).into();
    let old_id = old.id;
    mail.client.enqueue(old).await.unwrap();
    let facts = mail.client.explain(&queues, old_id).await.unwrap().unwrap();
    assert_eq!((facts.max_retries, facts.explain().reason), (Some(3), Reason::NotDue));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_no_set_is_an_error_that_names_the_audit() {
    let test = TestQueue::start().await;
    let id = test.enqueue(Due::After(HOUR)).await;
    test.command(&["ZREM", &test.set("due"), &id.short()]);
    let error = test.client.explain(std::slice::from_ref(&test.queue), id).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(why) if why.contains("atode audit")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_cannot_save_is_the_reason_and_a_full_memory_is_not() {
    let test = TestQueue::start().await.with_kinds(&explain_model::KINDS);
    let mut world = World::new(&test);
    world.register(&[Staff::idle()]).await;
    let id = test.enqueue_of(explain_model::KINDS[0], Due::At(1)).await;
    test.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(matches!(
        test.client.enqueue(test.new_job(Due::At(1))).await,
        Err(Error::Refused { code: RefusalCode::OutOfMemory, .. })
    ));
    assert_eq!(explain(&test, id).await.reason, Reason::DueNow);
    assert_eq!(test.claim(1).await.jobs.len(), 1, "stored jobs still run");
    test.command(&["CONFIG", "SET", "maxmemory", "0"]);

    let id = test.enqueue_of(explain_model::KINDS[0], Due::At(1)).await;
    test.redis.break_saves();
    let explanation = explain(&test, id).await;
    assert_eq!(explanation.reason, Reason::RedisFull);
    assert!(explanation.sentence.contains("MISCONF"), "{}", explanation.sentence);
    assert!(test.client.claim(&test.options(1)).await.is_err(), "so no claim takes it");
    test.redis.restore_saves();
}

/// The commands that clients send while `work` runs, without those inside scripts and those in the background.
async fn commands_of(test: &TestQueue, work: impl Future<Output = ()>) -> Vec<String> {
    let mut monitor = test.redis.connect(Duration::from_millis(200)).unwrap();
    monitor.command(&["MONITOR"]).unwrap();
    work.await;
    test.command(&["ECHO", "the end"]);
    let mut sent = Vec::new();
    loop {
        let line = monitor.read().unwrap().text();
        if line.contains("the end") {
            return sent;
        }
        let is_background = line.contains("PUBLISH") || line.contains("atode:identity");
        if !line.contains(" lua] ") && line.contains("atode:{") && !is_background {
            sent.push(line);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_is_two_calls_and_finds_new_workers_and_kinds_with_one_more_each() {
    let test = TestQueue::start().await.with_kinds(&explain_model::KINDS);
    let mut world = World::new(&test);
    world.register(&[Staff::idle()]).await;
    let id = test.enqueue_of(explain_model::KINDS[0], Due::After(HOUR)).await;
    // Redis knows the scripts from now on.
    explain(&test.beside("default").await, id).await;
    let calls = async || commands_of(&test, async { drop(explain(&test, id).await) }).await.len();
    assert_eq!(calls().await, 4, "a process that knows neither the kinds nor the workers");
    assert_eq!(calls().await, 2);
    world.register(&[Staff::idle()]).await;
    assert_eq!(calls().await, 3, "one worker is new");
    assert_eq!(calls().await, 2);
    test.enqueue_of("test:new", Due::After(HOUR)).await;
    assert_eq!(calls().await, 3, "one kind is new, and its jobs may take slots");
    assert_eq!(calls().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it in a release build, with --nocapture"]
async fn with_a_million_waiting_jobs_an_explanation_takes_milliseconds() {
    let test = TestQueue::start().await.with_kinds(&explain_model::KINDS);
    let mut world = World::new(&test);
    let busy = Staff { slots: 500, runs: 450, ..Staff::idle() };
    world.register(&[busy, busy]).await;
    let id = test.enqueue_of(explain_model::KINDS[0], Due::At(500_000)).await;
    let fill = "local due = {} for n = 1, 1000 do local id = string.format('%014d', ARGV[1] * 1000 + n) \
                due[2 * n - 1], due[2 * n] = ARGV[1] * 1000 + n, id \
                redis.call('HSET', KEYS[2], id, 'QHGI {}') end redis.call('ZADD', KEYS[1], unpack(due))";
    let keys = [test.set_of(explain_model::KINDS[0], "due"), test.key("jobs")];
    for n in 0..1_000 {
        test.command(&["EVAL", fill, "2", &keys[0], &keys[1], &n.to_string()]);
    }
    assert!(test.count("ZCARD", &keys[0]) > 1_000_000);
    test.command(&["CONFIG", "SET", "slowlog-log-slower-than", "5000"]);
    test.command(&["SLOWLOG", "RESET"]);
    for (name, command) in [("a waiting job", "0 0 0 {}"), ("a suspect", "0 0 2 {\"crashes\":2}")] {
        test.command(&["HSET", &test.key("state"), &id.short(), command]);
        test.command(&["CONFIG", "RESETSTAT"]);
        let mut took: Vec<Duration> = Vec::new();
        for _ in 0..1_000 {
            let start = Instant::now();
            explain(&test, id).await;
            took.push(start.elapsed());
        }
        took.sort_unstable();
        let in_redis = test.redis.info("commandstats", "cmdstat_evalsha").unwrap_or_default();
        println!("{name}: p50 {:?}, p99 {:?}, max {:?}; {in_redis}", took[500], took[990], took[999]);
        // A busy machine delays some of them.
        assert!(took[500] < Duration::from_millis(5), "p50 {:?}", took[500]);
    }
    let explanation = explain(&test, id).await;
    println!("{}", explanation.sentence);
    assert_eq!(test.command(&["SLOWLOG", "LEN"]).int(), 0, "{:?}", test.command(&["SLOWLOG", "GET", "10"]));
}
