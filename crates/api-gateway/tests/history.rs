//! `GET /v1/stats`: what happened in the last hours.

mod support;

use std::time::Duration;

use atode_testkit::{Gateway, RedisServer, Worker, eventually};
use serde_json::{Value, json};
use support::{DEADLINE, KIND, enqueued, finished, gateway, gateway_with_mail, problem};

/// A worker whose lost jobs are recovered soon.
fn worker(redis: &RedisServer) -> Worker {
    Worker::builder(&redis.addr()).env("APP__WORKER__LEASE", "5s").start()
}

fn stats(gateway: &Gateway, query: &str) -> Value {
    let reply = gateway.get(&format!("/v1/stats{query}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The counts of each kind. Its buckets add up to them.
fn totals(stats: &Value) -> Value {
    let of = |series: &Value| {
        let counts = ["enqueued", "completed", "failed", "dead", "cancelled", "reaped"].map(|name| {
            let total = series["total"][name].as_u64().expect("a count");
            let buckets = series["buckets"][name].as_array().expect("buckets");
            assert_eq!(buckets.iter().map(|n| n.as_u64().expect("a count")).sum::<u64>(), total, "{series}");
            total
        });
        (series["kind"].as_str().expect("a kind").to_owned(), json!(counts))
    };
    stats["series"].as_array().expect("series").iter().map(of).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn the_history_has_each_job_once_and_survives_a_restart() {
    let redis = RedisServer::start();
    let first = gateway(&redis);
    // The first worker crashes while it runs a job.
    let crashing = worker(&redis);
    let slow = enqueued(&first, &json!({"kind": "demo:slow", "payload": {"seconds": 3}}));
    eventually("it runs", DEADLINE, || {
        (support::job(&first, &slow["id"])["state"] == "active").then_some(())
    });
    crashing.kill();
    let working = worker(&redis);
    let completed = [0, 1].map(|_| enqueued(&first, &json!({"kind": KIND, "delay": "0s"})));
    let retried = enqueued(&first, &json!({"kind": "demo:flaky", "payload": {"failures": 2}}));
    let dead = enqueued(&first, &json!({"kind": "demo:flaky", "payload": {"failures": 9}, "max_retries": 0}));
    let cancelled = enqueued(&first, &support::later());
    first.post(&format!("{}/cancel", support::address(&cancelled["id"])), &json!({}));
    for job in completed.iter().chain([&slow, &retried, &dead]) {
        finished(&first, &job["id"]);
    }
    // enqueued, completed, failed, dead, cancelled, reaped
    let expected = json!({
        KIND: [3, 2, 0, 0, 1, 0], "demo:flaky": [2, 1, 2, 1, 0, 0], "demo:slow": [1, 1, 0, 0, 0, 1],
    });
    eventually("the history is written", DEADLINE, || (totals(&stats(&first, "")) == expected).then_some(()));

    first.terminate();
    first.wait(DEADLINE);
    working.terminate();
    working.wait(DEADLINE);
    let gateway = gateway(&redis);
    for window in ["", "?window=2h", "?window=24h", "?window=72h"] {
        assert_eq!(totals(&stats(&gateway, window)), expected, "{window}");
    }
    let day = stats(&gateway, "?window=24h&kind=demo:slow&queue=default");
    assert_eq!(day["step_seconds"], 300);
    assert_eq!(day["series"].as_array().map(Vec::len), Some(1));
    assert_eq!(day["all"]["buckets"]["enqueued"].as_array().map(Vec::len), Some(288));
    let run = day["series"][0]["total"]["run_seconds"]["p50"].as_f64().expect("it ran");
    assert!((2.7..10.0).contains(&run), "{run} s");
    // The clock of the lateness starts when the job was due again, after it had been recovered.
    let late = day["all"]["total"]["lateness_seconds"]["p99"].as_f64().expect("it started");
    assert!((0.0..5.0).contains(&late), "{late} s");
    assert_eq!(day["all"]["buckets"]["run_seconds"]["p50"][0], Value::Null);
    assert_eq!(day["series_left_out"], 0);
}

#[test]
fn jobs_are_counted_when_their_process_stops_and_within_seconds_while_it_runs() {
    let redis = RedisServer::start();
    let (stopping, running) = (gateway(&redis), gateway(&redis));
    enqueued(&stopping, &support::later());
    stopping.terminate();
    stopping.wait(DEADLINE);
    assert_eq!(totals(&stats(&running, "")), json!({KIND: [1, 0, 0, 0, 0, 0]}));
    enqueued(&running, &support::later());
    let two = json!({KIND: [2, 0, 0, 0, 0, 0]});
    eventually("the next flush", Duration::from_secs(15), || {
        (totals(&stats(&running, "")) == two).then_some(())
    });
}

#[test]
fn builds_are_listed_with_their_first_start() {
    let redis = RedisServer::start();
    let gateway = gateway(&redis);
    let builds = |n: usize| {
        eventually("the builds", DEADLINE, || {
            let builds = stats(&gateway, "")["builds"].clone();
            (builds.as_array().map(Vec::len) == Some(n)).then_some(builds)
        })
    };
    let first = builds(1);
    assert_eq!(first[0]["program"], "api-gateway");
    let _worker = Worker::start(&redis);
    let both = builds(2);
    assert_eq!((&both[0], &both[1]["program"]), (&first[0], &json!("worker")));
    assert!(support::text(&both[1]["build"]).starts_with("0."), "{both}");
    assert!(support::instant(&both[1]["started_at"]) >= support::instant(&both[0]["started_at"]));
}

#[test]
fn an_empty_history_and_wrong_queries_are_answered() {
    let redis = RedisServer::start();
    let gateway = gateway_with_mail(&redis);
    let empty = stats(&gateway, "?queue=mail");
    assert_eq!((&empty["series"], &empty["all"]["total"]["enqueued"]), (&json!([]), &json!(0)));
    assert_eq!(empty["all"]["buckets"]["lateness_seconds"]["p99"], json!(vec![Value::Null; 60]));
    for wrong in ["0s", "73h", "-1h", "soon", ""] {
        problem(&gateway.get(&format!("/v1/stats?window={wrong}")), 422, "invalid-request");
    }
    problem(&gateway.get("/v1/stats?since=1h"), 400, "malformed-request");
    for unknown in ["queue=none", "kind=none:such"] {
        problem(&gateway.get(&format!("/v1/stats?{unknown}")), 422, "invalid-request");
    }
    redis.kill();
    eventually("503 without Redis", DEADLINE, || (gateway.get("/v1/stats").status == 503).then_some(()));
}
