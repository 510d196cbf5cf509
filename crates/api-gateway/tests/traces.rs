//! Traces of requests and of the attempts that follow, at a collector that decodes what it receives.

mod support;

use std::time::{Duration, Instant};

use atode_testkit::{
    Collector, Gateway, GatewayBinary, RedisServer, ServiceBuilder, Span, Worker, WorkerBinary, eventually,
};
use serde_json::{Value, json};
use support::{A_SECOND, DEADLINE, KIND, connected, finished, job, later, text};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn gateway(redis: &RedisServer, collector: &Collector) -> ServiceBuilder<GatewayBinary> {
    Gateway::builder(&redis.addr()).env("APP__TRACES__ENDPOINT", collector.url())
}

fn worker(redis: &RedisServer, collector: &Collector) -> ServiceBuilder<WorkerBinary> {
    Worker::builder(&redis.addr())
        .env("APP__TRACES__ENDPOINT", collector.url())
        .env("APP__LOGGING__FORMAT", "json")
}

/// Posts a request that belongs to the trace of this `traceparent`.
#[track_caller]
fn post(gateway: &Gateway, path: &str, parent: &str, body: &Value) -> Value {
    let request = gateway.request("POST", path).header("traceparent", parent);
    let reply = request.header("tracestate", "vendor=1").json(body).send();
    assert!([200, 201].contains(&reply.status), "{}", reply.text());
    reply.json()
}

/// All spans of this name, once there are so many.
#[track_caller]
fn spans<const N: usize>(collector: &Collector, name: &str) -> [Span; N] {
    let named =
        |spans: &[Span]| -> Vec<Span> { spans.iter().filter(|span| span.name == name).cloned().collect() };
    collector.until(&format!("{N} spans {name}"), |spans| named(spans).try_into().ok())
}

fn traceparent(span: &Span) -> String {
    format!("00-{}-{}-01", span.trace_id, span.span_id)
}

fn is_child(child: &Span, parent: &Span) -> bool {
    child.trace_id == parent.trace_id && child.parent_span_id == parent.span_id
}

/// The ids of the trace and the span in the lines of a log in JSON that have this message.
fn ids_in_log(log: &str, message: &str) -> Vec<(String, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = lines.filter(|line| line["message"].as_str().is_some_and(|text| text.starts_with(message)));
    let id = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    lines.map(|line| (id(&line, "trace_id"), id(&line, "span_id"))).collect()
}

#[test]
fn each_attempt_is_a_trace_linked_to_the_enqueue_and_to_the_attempt_before() {
    let (redis, collector) = (RedisServer::start(), Collector::start());
    let gateway = connected(gateway(&redis, &collector).start());
    let worker = worker(&redis, &collector).start();
    let flaky = json!({"kind": "demo:flaky", "payload": {"failures": 2}});
    let stored = post(&gateway, "/v1/jobs", PARENT, &flaky);

    let [request] = spans(&collector, "POST /v1/jobs");
    assert_eq!((&*request.trace_id, &*request.parent_span_id), (TRACE_ID, "00f067aa0ba902b7"));
    assert_eq!((request.service.as_str(), request.kind.as_str_name()), ("api-gateway", "SPAN_KIND_SERVER"));
    assert_eq!(request.attribute("http.response.status_code"), "201");
    let [enqueue] = spans(&collector, "enqueue default");
    assert!(is_child(&enqueue, &request));
    assert_eq!(enqueue.kind.as_str_name(), "SPAN_KIND_PRODUCER");
    for (key, value) in [
        ("messaging.system", "atode"),
        ("messaging.operation.name", "enqueue"),
        ("messaging.operation.type", "create"),
        ("messaging.destination.name", "default"),
        ("messaging.message.id", text(&stored["id"])),
        ("messaging.atode.kind", "demo:flaky"),
    ] {
        assert_eq!(enqueue.attribute(key), value, "{key}");
    }
    assert_eq!(stored["traceparent"], traceparent(&enqueue));

    let done = finished(&gateway, &stored["id"]);
    let mut attempts: [Span; 3] = spans(&collector, "process default");
    attempts.sort_by_key(|span| span.attribute("messaging.atode.attempt").to_owned());
    let [first, second, third] = &attempts;
    for attempt in &attempts {
        assert_eq!((attempt.service.as_str(), attempt.kind.as_str_name()), ("worker", "SPAN_KIND_CONSUMER"));
        assert!(attempt.parent_span_id.is_empty() && attempt.trace_id != TRACE_ID, "a trace of its own");
        assert!(attempt.is_linked_to(&enqueue));
        assert_eq!(attempt.attribute("messaging.operation.type"), "process");
        assert_eq!(attempt.attribute("messaging.message.id"), text(&stored["id"]));
    }
    assert_eq!(first.links.len(), 1);
    assert!(second.is_linked_to(first) && third.is_linked_to(second) && !third.is_linked_to(first));
    let outcomes = attempts.each_ref().map(|attempt| attempt.attribute("messaging.atode.outcome"));
    assert_eq!(outcomes, ["retry", "retry", "complete"]);
    assert_eq!(second.error.as_deref(), Some("failed on purpose, failure 2 of 2"));
    assert_eq!((second.attribute("error.type"), &third.error), ("error", &None));
    let retries: [Span; 2] = spans(&collector, "retry default");
    let [complete] = spans(&collector, "complete default");
    assert!(is_child(&complete, third) && retries.iter().any(|retry| is_child(retry, first)));
    assert_eq!(complete.attribute("messaging.operation.type"), "settle");

    assert_eq!(done["traceparent"], traceparent(&enqueue));
    assert_eq!(done["attempts"][0]["traceparent"], traceparent(first));
    let logged = ids_in_log(&worker.stderr(), "failed; it will be retried");
    assert_eq!(logged[0], (first.trace_id.clone(), first.span_id.clone()));
    assert_eq!(worker.metric("atode_trace_spans_exported_total"), 6);
    assert_eq!(worker.metric("atode_trace_spans_dropped_total"), 0);
}

#[test]
fn with_follow_parent_an_attempt_that_starts_soon_belongs_to_the_trace_of_the_request() {
    let (redis, collector) = (RedisServer::start(), Collector::start());
    let gateway = connected(gateway(&redis, &collector).start());
    let print = json!({"kind": KIND, "delay": "0s"});
    let follow = |within| {
        let worker = worker(&redis, &collector).env("APP__TRACES__FOLLOW", "parent");
        worker.env("APP__TRACES__FOLLOW_WITHIN", within).start()
    };
    let soon = follow("1h");
    post(&gateway, "/v1/jobs", PARENT, &print);
    let [attempt] = spans(&collector, "process default");
    let [enqueue] = spans(&collector, "enqueue default");
    assert!(is_child(&attempt, &enqueue) && attempt.links.is_empty());
    assert_eq!(attempt.trace_id, TRACE_ID);

    soon.terminate();
    soon.wait(DEADLINE);
    post(&gateway, "/v1/jobs", PARENT, &print);
    let _late = follow("0s");
    let attempts: [Span; 2] = spans(&collector, "process default");
    let late = attempts.iter().find(|span| span.span_id != attempt.span_id).expect("the second");
    assert!(late.parent_span_id.is_empty() && late.links.len() == 1, "{late:?}");
}

#[test]
fn a_batch_is_one_span_that_all_of_its_jobs_carry() {
    let (redis, collector) = (RedisServer::start(), Collector::start());
    let gateway = connected(gateway(&redis, &collector).start());
    let jobs = json!({"jobs": [later(), {"kind": "no:kind"}, later()]});
    let reply = post(&gateway, "/v1/jobs/batch", PARENT, &jobs);
    let [enqueue] = spans(&collector, "enqueue default");
    assert_eq!(enqueue.attribute("messaging.batch.message_count"), "2");
    assert_eq!(enqueue.attribute("messaging.operation.type"), "send");
    for n in [0, 2] {
        let job = job(&gateway, &reply["results"][n]["job"]["id"]);
        assert_eq!(job["traceparent"], traceparent(&enqueue));
    }
}

#[test]
fn refused_and_limited_requests_have_spans_too() {
    let (redis, collector) = (RedisServer::start(), Collector::start());
    let gateway = gateway(&redis, &collector)
        .env("APP__API__RATE_LIMIT__ENABLED", "true")
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE", "2")
        .start();
    let gateway = connected(gateway);
    let job = json!({"kind": "no:kind"});
    redis.kill();
    for expected in [422, 503, 429] {
        let body = if expected == 503 { later() } else { job.clone() };
        assert_eq!(gateway.request("POST", "/v1/jobs").json(&body).send().status, expected);
    }
    let requests: [Span; 3] = spans(&collector, "POST /v1/jobs");
    let of = |status: &str| {
        let mut found = requests.iter().filter(|span| span.attribute("http.response.status_code") == status);
        found.next().expect("a span of each reply")
    };
    assert_eq!((of("422").attribute("atode.problem"), &of("422").error), ("invalid-request", &None));
    assert_eq!((of("429").attribute("atode.problem"), &of("429").error), ("rate-limited", &None));
    assert_eq!(of("503").attribute("error.type"), "503");
    let [enqueue] = spans(&collector, "enqueue default");
    assert!(is_child(&enqueue, of("503")) && enqueue.error.is_some());
    assert!(collector.spans().iter().all(|span| !span.name.contains("readyz")), "probes are left out");
}

#[test]
fn the_decision_of_the_caller_is_followed_and_roots_are_chosen_by_the_ratio() {
    let (redis, collector) = (RedisServer::start(), Collector::start());
    let gateway = connected(gateway(&redis, &collector).env("APP__TRACES__SAMPLE_RATIO", "0").start());
    let worker = worker(&redis, &collector).start();
    let unsampled = PARENT.replace("-01", "-00");
    let print = json!({"kind": KIND, "delay": "0s"});
    for parent in [&*unsampled, "no traceparent"] {
        let stored = post(&gateway, "/v1/jobs", parent, &print);
        let done = finished(&gateway, &stored["id"]);
        assert_eq!(done["traceparent"].as_str(), Some(parent).filter(|parent| *parent == unsampled));
    }
    let sampled = post(&gateway, "/v1/jobs", PARENT, &print);
    let [attempt] = spans(&collector, "process default");
    assert_eq!(attempt.attribute("messaging.message.id"), text(&sampled["id"]));
    let [request] = spans(&collector, "POST /v1/jobs");
    let [enqueue] = spans(&collector, "enqueue default");
    assert!(is_child(&enqueue, &request) && attempt.is_linked_to(&enqueue));
    assert_eq!(spans::<1>(&collector, "complete default").len(), 1);
    assert_eq!(worker.metric("atode_trace_spans_dropped_total"), 0);
}

#[test]
fn without_an_endpoint_no_connection_is_opened_and_the_trace_still_travels() {
    let (redis, collector) = (RedisServer::start(), Collector::start());
    let gateway = Gateway::builder(&redis.addr()).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let gateway = connected(gateway.start());
    let worker = Worker::builder(&redis.addr())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("APP__LOGGING__FORMAT", "json")
        .env("APP__LOGGING__LEVEL", "info,job=debug")
        .start();
    let print = json!({"kind": KIND, "delay": "0s"});
    let stored = post(&gateway, "/v1/jobs", PARENT, &print);
    assert_eq!(finished(&gateway, &stored["id"])["traceparent"], PARENT);
    let logged = ids_in_log(&worker.stderr(), "completed");
    assert_eq!(logged, [(TRACE_ID.to_owned(), "00f067aa0ba902b7".to_owned())]);
    let plain = support::enqueued(&gateway, &print);
    assert!(finished(&gateway, &plain["id"]).get("traceparent").is_none());
    let logged = ids_in_log(&worker.stderr(), "completed");
    assert_eq!(logged[1], (String::new(), String::new()));
    for process in [&*gateway, &*worker] {
        process.terminate();
        process.wait(DEADLINE);
    }
    assert_eq!(collector.connections(), 0);
}

#[test]
fn a_collector_that_never_answers_delays_no_enqueue_no_job_and_no_end() {
    let (redis, silent) = (RedisServer::start(), Collector::silent());
    let gateway = gateway(&redis, &silent).env("APP__SERVER__SHUTDOWN_TIMEOUT", "1s").start();
    let gateway = connected(gateway);
    let worker = worker(&redis, &silent).env("APP__WORKER__SHUTDOWN_TIMEOUT", "1s").start();
    let print = json!({"kind": KIND, "delay": "0s"});
    let run_a_job = || {
        let start = Instant::now();
        let stored = post(&gateway, "/v1/jobs", PARENT, &print);
        assert!(start.elapsed() < A_SECOND, "{:?}", start.elapsed());
        finished(&gateway, &stored["id"])
    };
    let dropped = || worker.metric("atode_trace_spans_dropped_total");
    let is_reported = || worker.stderr().matches("spans were dropped").count();
    eventually("spans are dropped and counted", DEADLINE, || {
        run_a_job();
        (dropped() > 0 && gateway.metric("atode_trace_spans_dropped_total") > 0).then_some(())
    });
    assert!(silent.connections() > 0);
    eventually("the loss is reported", DEADLINE, || (is_reported() == 1).then_some(()));
    run_a_job();
    for process in [&*gateway, &*worker] {
        let start = Instant::now();
        process.terminate();
        assert!(process.wait(DEADLINE).success(), "{}", process.stderr());
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
    assert_eq!(is_reported(), 1, "once per minute");
}

#[test]
fn the_last_spans_are_sent_at_the_end_of_a_process() {
    let (redis, collector) = (RedisServer::start(), Collector::start());
    let gateway = connected(gateway(&redis, &collector).start());
    post(&gateway, "/v1/jobs", PARENT, &later());
    gateway.terminate();
    assert!(gateway.wait(DEADLINE).success(), "{}", gateway.stderr());
    let names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["enqueue default", "POST /v1/jobs"]);
}
