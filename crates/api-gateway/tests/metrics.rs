//! The metrics that Prometheus scrapes.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use atode_testkit::{Gateway, RedisServer, Worker, eventually, poll};
use serde_json::json;
use support::{DEADLINE, UNKNOWN, start};

#[test]
fn requests_are_timed_and_counted_by_method_route_and_status() {
    let (_redis, gateway) = start();
    gateway.post("/v1/jobs", &json!({"kind": "demo:delay_print"}));
    gateway.post("/v1/jobs", &json!({"kind": "none:such"}));
    for _ in 0..2 {
        gateway.get(&format!("/v1/jobs/{UNKNOWN}"));
    }
    gateway.get("/nowhere/at/all");
    gateway.request("BREW", "/v1/jobs").send();

    let reply = gateway.get("/metrics");
    assert_eq!((reply.status, reply.header("ratelimit")), (200, None));
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = reply.text();
    for line in [
        r#"atode_http_requests_total{method="POST",route="/v1/jobs",status="201"} 1"#,
        r#"atode_http_requests_total{method="POST",route="/v1/jobs",status="422"} 1"#,
        r#"atode_http_requests_total{method="GET",route="/v1/jobs/{id}",status="404"} 2"#,
        r#"atode_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"atode_http_requests_total{method="other",route="/v1/jobs",status="405"} 1"#,
        r#"atode_http_request_duration_seconds_count{method="POST",route="/v1/jobs"} 2"#,
        "atode_redis_up 1",
        "# TYPE atode_http_request_duration_seconds histogram",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
    assert!(text.contains("atode_build_info{build=\""), "{text}");
    assert!(!text.contains("nowhere") && !text.contains(UNKNOWN), "no label holds a raw path: {text}");
    let is_prefixed = |line: &str| line.is_empty() || line.starts_with('#') || line.starts_with("atode_");
    assert!(text.lines().all(is_prefixed), "{text}");
}

#[test]
fn scrapes_read_the_queues_the_workers_and_redis_memory_once_per_five_seconds() {
    let (redis, gateway) = start();
    for _ in 0..2 {
        support::enqueued(&gateway, &json!({"kind": support::KIND, "delay": "0s"}));
    }
    support::enqueued(&gateway, &support::later());
    let cancelled = support::enqueued(&gateway, &support::later());
    gateway.post(&format!("/v1/jobs/{}/cancel", cancelled["id"].as_str().expect("an id")), &json!({}));
    // So that no call below is one of the history.
    eventually("the history is written", DEADLINE, || {
        let total = gateway.get("/v1/stats").json()["all"]["total"].clone();
        (total["enqueued"] == 4 && total["cancelled"] == 1).then_some(())
    });
    redis.command(&["CONFIG", "RESETSTAT"]);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(11) {
        gateway.get("/metrics");
    }
    let stats = redis.command(&["INFO", "commandstats"]).text();
    let calls = |command: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().expect("a number").parse::<u32>().expect("a number"))
    };
    // At 0, 5 and 10 s, and three calls each: permissions, whether Redis would store a job, counts. The first call of a
    // script is repeated with its source.
    assert!((6..=12).contains(&(calls("evalsha") + calls("eval"))), "{stats}");
    for (state, jobs) in [("scheduled", 1), ("ready", 2), ("active", 0), ("dead", 0), ("cancelled", 1)] {
        let name = format!(r#"atode_queue_jobs{{queue="default",state="{state}"}}"#);
        assert_eq!(gateway.metric(&name), jobs, "{state}");
    }
    let kind = support::KIND;
    assert_eq!(gateway.metric(&format!(r#"atode_jobs_enqueued_total{{queue="default",kind="{kind}"}}"#)), 4);
    let ended = format!(r#"atode_jobs_finished_total{{queue="default",kind="{kind}",state="cancelled"}}"#);
    assert_eq!(gateway.metric(&ended), 1);
    let unserved = format!(r#"atode_queue_unserved_ready_jobs{{queue="default",kind="{kind}"}}"#);
    assert_eq!(gateway.metric(&unserved), 2, "no worker lives");
    assert!(gateway.metric("atode_redis_memory_used_bytes") > 100_000);
    let text = gateway.get("/metrics").text();
    let name = r#"atode_queue_oldest_ready_seconds{queue="default"} "#;
    let age: f64 = text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).expect("an age");
    assert!((0.0..60.0).contains(&age), "{age}");
}

#[test]
fn a_refused_atomic_batch_counts_no_job() {
    let (_redis, gateway) = start();
    let job = |payload: &str| json!({"kind": support::KIND, "payload": {"message": payload}});
    gateway.request("POST", "/v1/jobs").header("Idempotency-Key", "k").json(&job("first")).send();
    let mut other = job("other");
    other["idempotency_key"] = "k".into();
    let reply = gateway.post("/v1/jobs/batch", &json!({"atomic": true, "jobs": [job("new"), other]}));
    assert_eq!(reply.status, 422, "{}", reply.text());
    let enqueued = format!(r#"atode_jobs_enqueued_total{{queue="default",kind="{}"}}"#, support::KIND);
    assert_eq!(gateway.metric(&enqueued), 1);
}

#[test]
fn the_loss_of_redis_shows() {
    let (redis, gateway) = start();
    redis.kill();
    eventually("the gateway notices it", DEADLINE, || (gateway.metric("atode_redis_up") == 0).then_some(()));
    redis.restart();
    eventually("the gateway notices it", Duration::from_secs(10), || {
        (gateway.metric("atode_redis_up") == 1).then_some(())
    });
    eventually("it is counted", DEADLINE, || {
        (gateway.metric("atode_redis_reconnects_total") == 1).then_some(())
    });
}

#[test]
fn decisions_of_the_limiter_are_counted_by_result_and_backend() {
    let redis = RedisServer::start();
    let gateway = Gateway::builder(&redis.addr())
        .env("APP__API__RATE_LIMIT__ENABLED", "true")
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE", "2")
        .start();
    for expected in [200, 200, 429] {
        assert_eq!(gateway.get("/v1/kinds").status, expected);
    }
    for _ in 0..5 {
        assert_eq!(gateway.get("/metrics").status, 200, "not limited");
    }
    let decisions = |by, result| {
        gateway.metric(&format!("atode_ratelimit_decisions_total{{by=\"{by}\",result=\"{result}\"}}"))
    };
    assert_eq!((decisions("memory", "allowed"), decisions("memory", "denied")), (2, 1));
    assert_eq!(gateway.metric("atode_ratelimit_fallbacks_total"), 0);
    let refused = r#"atode_http_requests_total{method="GET",route="/v1/kinds",status="429"}"#;
    assert_eq!(gateway.metric(refused), 1);
}

/// Type and labels of each metric, by name. Label `le` is the bucket of a histogram.
type Metrics = BTreeMap<String, (String, String)>;

fn documented(process: &str) -> Metrics {
    let doc = include_str!("../../../docs/metrics.md");
    let rows = doc.lines().filter(|line| line.starts_with("| `atode_"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let own = cells.filter(|cells| [process, "both"].contains(&cells[4]));
    own.map(|cells| {
        let mut labels: Vec<&str> =
            cells[3].split(", ").filter(|label| *label != "–").map(|label| label.trim_matches('`')).collect();
        labels.sort_unstable();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels.join(", ")))
    })
    .collect()
}

fn reported(text: &str) -> Metrics {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| {
            let mut samples = text.lines().filter(|line| !line.starts_with('#') && line.starts_with(name));
            // The value of `route` may have braces of its own: the last one ends the labels.
            let labels = samples.find_map(|line| Some(line.split_once('{')?.1.rsplit_once('}')?.0));
            let labels = labels.unwrap_or_default();
            let mut labels: Vec<&str> =
                labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect();
            labels.retain(|label| *label != "le");
            labels.sort_unstable();
            (name.to_owned(), (kind.to_owned(), labels.join(", ")))
        })
        .collect()
}

#[test]
fn the_documentation_lists_exactly_the_metrics_of_each_process() {
    let redis = RedisServer::start();
    let gateway = Gateway::builder(&redis.addr())
        .env("APP__API__RATE_LIMIT__ENABLED", "true")
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE", "100000")
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_HOUR", "0")
        .start();
    let worker = Worker::start(&redis);
    support::enqueued(&gateway, &json!({"kind": support::KIND, "delay": "0s"}));
    // After an outage, and with a job that no worker runs, all metrics are there.
    redis.kill();
    let refused = || gateway.post("/v1/jobs", &json!({"kind": support::KIND})).status == 503;
    eventually("the gateway notices the loss of Redis", DEADLINE, || refused().then_some(()));
    redis.restart();
    let quiet = || {
        let workers = gateway.get("/v1/workers").json();
        let worker = &workers["items"][0];
        gateway.post(&format!("/v1/workers/{}/quiet", worker["id"].as_str()?), &json!({}));
        (worker["state"] == "quiet").then_some(())
    };
    eventually("the worker is back, and quiet", DEADLINE, quiet);
    support::enqueued(&gateway, &json!({"kind": support::KIND, "delay": "0s"}));
    let gateway = || gateway.get("/metrics").text();
    let worker = || worker.get("/metrics").text();
    for (process, scrape) in [("gateway", &gateway as &dyn Fn() -> String), ("worker", &worker)] {
        let expected = documented(process);
        // A difference that stays is shown by the assertion.
        let _ = poll(DEADLINE, || (reported(&scrape()) == expected).then_some(()));
        assert_eq!(reported(&scrape()), expected, "{process}");
    }
}
