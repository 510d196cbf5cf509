//! The metrics of a worker.

mod support;

use atode_testkit::{Worker, eventually};
use support::{DEADLINE, Fixture, NOW, QUEUE};

const KIND: &str = "demo:delay_print";

#[test]
fn metrics_count_runs_by_queue_kind_and_outcome_and_show_leases_and_slots() {
    let fixture = Fixture::start();
    let worker = Worker::builder(&fixture.redis.addr()).args(["--concurrency", "7"]).start();
    let of_kind = |name: &str, label: &str| format!("{name}{{queue=\"{QUEUE}\",kind=\"{KIND}\"{label}}}");
    let attempts = |outcome: &str| of_kind("atode_attempts_total", &format!(",outcome=\"{outcome}\""));
    let (completed, buried) = (attempts("completed"), attempts("buried"));
    assert_eq!(worker.metric(&completed), 0, "the counter exists before the first run");
    for payload in ["{}", "{}", r#"{"message":7}"#] {
        fixture.store(QUEUE, KIND, payload, NOW, None);
    }
    eventually("they have run", DEADLINE, || {
        (worker.metric(&completed) == 2 && worker.metric(&buried) == 1).then_some(())
    });
    eventually("they are settled", DEADLINE, || {
        (worker.metric("atode_worker_leases") + worker.metric("atode_worker_unsettled_results") == 0)
            .then_some(())
    });
    let finished =
        |state: &str| worker.metric(&of_kind("atode_jobs_finished_total", &format!(",state=\"{state}\"")));
    assert_eq!((finished("completed"), finished("dead"), finished("cancelled")), (2, 1, 0));
    for histogram in ["atode_job_lateness_seconds", "atode_job_run_seconds"] {
        assert_eq!(worker.metric(&of_kind(&format!("{histogram}_count"), "")), 3, "{histogram}");
        let (most, all) = (of_kind(&format!("{histogram}_bucket"), ",le=\"5\""), 3);
        assert_eq!(worker.metric(&most), all, "none was late, and none took long");
    }
    assert_eq!(worker.metric(r#"atode_claimed_jobs_total{queue="default"}"#), 3);
    assert!(worker.metric(r#"atode_claims_total{queue="default",result="answered"}"#) >= 1);
    assert_eq!(worker.metric(r#"atode_worker_slots{state="free"}"#), 7);
    assert_eq!(worker.metric(r#"atode_worker_slots{state="taken"}"#), 0);
    assert_eq!(worker.metric("atode_redis_up"), 1);
    assert!(worker.metric(r#"atode_redis_call_seconds_count{script="claim"}"#) >= 1);
    assert_eq!(worker.metric("atode_redis_reconnects_total"), 0);

    eventually("a sample of the queue and of Redis' memory", DEADLINE, || {
        let dead = worker.metric(r#"atode_queue_jobs{queue="default",state="dead"}"#);
        (dead == 1 && worker.metric("atode_redis_memory_used_bytes") > 100_000).then_some(())
    });
    let text = worker.get("/metrics").text();
    assert!(text.contains("atode_build_info{build=\""), "{text}");
    let is_prefixed = |line: &str| line.is_empty() || line.starts_with('#') || line.starts_with("atode_");
    assert!(text.lines().all(is_prefixed), "{text}");
}

#[test]
fn the_health_checks_answer_head_requests() {
    let fixture = Fixture::start();
    let worker = Worker::start(&fixture.redis);
    fixture.until_registered(1);
    for path in ["/health", "/healthz", "/readyz", "/metrics"] {
        let reply = worker.request("HEAD", path).send();
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{path}");
    }
    fixture.redis.kill();
    eventually("the worker is not ready, and does not reveal the address of Redis", DEADLINE, || {
        let reply = worker.get("/readyz");
        assert!(!reply.text().contains(&fixture.redis.port().to_string()), "{}", reply.text());
        (reply.status == 503).then_some(())
    });
}
