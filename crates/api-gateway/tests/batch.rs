//! `POST /v1/jobs/batch`: many jobs in one request, each on its own, or all or none.

mod support;

use atode_testkit::{Gateway, Proxy, RedisServer, Response, eventually};
use serde_json::{Value, json};
use support::{
    DEADLINE, KIND, connected, gateway_with_mail, instant, job, keys, later, pointers, problem, start,
    stored, text,
};

fn batch(gateway: &Gateway, jobs: &[Value]) -> Response {
    gateway.post("/v1/jobs/batch", &json!({"jobs": jobs}))
}

fn batch_with_key(gateway: &Gateway, key: &str, jobs: &[Value]) -> Response {
    let request = gateway.request("POST", "/v1/jobs/batch").header("Idempotency-Key", key);
    request.json(&json!({"jobs": jobs})).send()
}

fn atomic(gateway: &Gateway, jobs: &[Value]) -> Response {
    gateway.post("/v1/jobs/batch", &json!({"jobs": jobs, "atomic": true}))
}

/// Asserts that the batch was accepted and that its counts match its results. Returns the results.
#[track_caller]
fn results(reply: &Response, created: usize, duplicate: usize, rejected: usize) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(keys(&answer), ["created", "duplicate", "rejected", "results"]);
    let results = answer["results"].as_array().expect("a list").clone();
    let count = |wanted: fn(u64) -> bool| {
        results.iter().filter(|result| wanted(result["status"].as_u64().expect("a status"))).count()
    };
    for (name, expected, counted) in [
        ("created", created, count(|status| status == 201)),
        ("duplicate", duplicate, count(|status| status == 200)),
        ("rejected", rejected, count(|status| status >= 400)),
    ] {
        assert_eq!((&answer[name], counted), (&json!(expected), expected), "{name}: {}", reply.text());
    }
    results
}

fn message(n: usize) -> Value {
    json!({"kind": KIND, "delay": "1h", "payload": {"message": n.to_string()}})
}

fn keyed(key: &str, delay: &str) -> Value {
    json!({"kind": KIND, "delay": delay, "idempotency_key": key})
}

#[test]
fn each_item_has_its_result_in_order() {
    let (_redis, gateway) = start();
    let before = batch(&gateway, &[keyed("seen", "1h")]);
    let seen = results(&before, 1, 0, 0)[0]["job"]["id"].clone();
    let items = [
        message(0),
        json!({"kind": "no:such"}),
        keyed("seen", "1h"),
        json!("no object"),
        keyed("seen", "2h"),
        json!({"kind": KIND, "delay": -1, "max_retries": 1001, "payload": {"mesage": "x"}}),
        message(6),
    ];
    let reply = batch(&gateway, &items);
    let results = results(&reply, 2, 1, 4);
    let statuses: Vec<u64> = results.iter().filter_map(|result| result["status"].as_u64()).collect();
    assert_eq!(statuses, [201, 422, 200, 400, 422, 422, 201]);
    for (n, result) in results.iter().enumerate() {
        let is_job = statuses[n] < 400;
        assert_eq!(keys(result), if is_job { ["job", "status"] } else { ["problem", "status"] });
        if is_job {
            assert_eq!(keys(&result["job"]).len(), 16);
            job(&gateway, &result["job"]["id"]);
        } else {
            assert_eq!(result["problem"]["status"], result["status"]);
        }
    }
    assert_eq!(results[0]["job"]["payload"]["message"], "0");
    assert_eq!(results[6]["job"]["payload"]["message"], "6");
    assert_eq!(results[2]["job"]["id"], seen);
    assert_eq!(pointers(&results[1]["problem"]), ["/jobs/1/kind"]);
    assert_eq!(results[4]["problem"]["type"], "/problems/idempotency-key-reused");
    assert_eq!(
        pointers(&results[5]["problem"]),
        ["/jobs/5/payload/mesage", "/jobs/5/delay", "/jobs/5/max_retries"]
    );
    assert_eq!(stored(&gateway, "default"), 3);
}

#[test]
fn a_thousand_jobs_are_stored_in_order_except_one_invalid_job() {
    let (_redis, gateway) = start();
    let mut items: Vec<Value> = (0..1_000).map(message).collect();
    let all = results(&batch(&gateway, &items), 1_000, 0, 0);
    let ids: Vec<&str> = all.iter().map(|result| text(&result["job"]["id"])).collect();
    assert!(ids.is_sorted());
    for (n, result) in all.iter().enumerate() {
        assert_eq!(result["job"]["payload"]["message"], n.to_string());
    }
    items[500] = json!({"kind": KIND, "dleay": "1s"});
    let results = results(&batch(&gateway, &items), 999, 0, 1);
    assert_eq!(pointers(&results[500]["problem"]), ["/jobs/500/dleay"]);
    assert_eq!(stored(&gateway, "default"), 1_999);
}

#[test]
fn an_invalid_batch_is_refused_as_a_whole() {
    let (_redis, gateway) = start();
    let too_many = vec![later(); 1_001];
    for (body, pointer) in [
        (json!({"jobs": []}), "/jobs"),
        (json!({"jobs": too_many}), "/jobs"),
        (json!({"jobs": later()}), "/jobs"),
        (json!({"jobs": null}), "/jobs"),
        (json!({}), ""),
        (json!({"jobs": [later()], "atomic": "yes"}), "/atomic"),
        (json!({"jobs": [later()], "atomic": null}), "/atomic"),
        (json!({"jobs": [later()], "Atomic": true}), "/Atomic"),
    ] {
        let reply = gateway.post("/v1/jobs/batch", &body);
        assert_eq!(pointers(&problem(&reply, 422, "invalid-request")), [pointer]);
    }
    for body in [json!([later()]), json!(null)] {
        problem(&gateway.post("/v1/jobs/batch", &body), 400, "malformed-request");
    }
    assert_eq!(stored(&gateway, "default"), 0);
}

#[test]
fn a_batch_may_be_larger_than_a_job_up_to_its_own_limit() {
    let (_redis, gateway) = start();
    let long = |n: usize| json!({"kind": KIND, "delay": "1h", "payload": {"message": "x".repeat(n)}});
    results(&batch(&gateway, &vec![long(100_000); 30]), 30, 0, 0);
    problem(&batch(&gateway, &vec![long(100_000); 90]), 413, "payload-too-large");
}

#[test]
fn an_item_beyond_the_size_limit_of_a_job_is_refused() {
    let (_redis, gateway) = start();
    let item = |n: usize| json!({"kind": KIND, "delay": "1h", "payload": {"message": "x".repeat(n)}});
    let items = [message(0), item(262_144), item(250_000)];
    let results = results(&batch(&gateway, &items), 2, 0, 1);
    assert_eq!(results[1]["status"], 413);
    assert_eq!(results[1]["problem"]["type"], "/problems/payload-too-large");
    problem(&support::enqueue(&gateway, &items[1]), 413, "payload-too-large");
    let refused = problem(&atomic(&gateway, &items), 422, "invalid-request");
    assert_eq!(pointers(&refused), ["/jobs/1"]);
    assert_eq!(stored(&gateway, "default"), 2);
}

#[test]
fn when_redis_stops_answering_each_item_is_stored_unknown_or_not_sent() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let gateway = connected(Gateway::builder(&proxy.addr()).start());
    support::enqueued(&gateway, &later());
    // Four jobs per call.
    let item = |n: usize| {
        let message = format!("call {} {}", n / 4, "x".repeat(240_000));
        json!({"kind": KIND, "delay": "1h", "payload": {"message": message}})
    };
    proxy.drop_reply_to("call 1");
    let reply = batch(&gateway, &(0..12).map(item).collect::<Vec<_>>());
    let results = results(&reply, 4, 0, 8);
    assert!(results[..4].iter().all(|result| result["status"] == 201), "{}", reply.text());
    for (n, slug, advice) in
        [(4, "outcome-unknown", "Idempotency-Key"), (8, "unavailable", "Nothing was stored")]
    {
        for result in &results[n..n + 4] {
            assert_eq!(result["status"], 503);
            assert_eq!(result["problem"]["type"], format!("/problems/{slug}"));
            assert!(text(&result["problem"]["detail"]).contains(advice), "{result}");
        }
    }
    assert!(proxy.has_dropped());
    eventually("the gateway is connected again", DEADLINE, || {
        (gateway.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(stored(&gateway, "default"), 1 + 8);
    let id = reply.header("x-request-id").expect("an id");
    gateway
        .wait_for_stderr(|log| log.lines().any(|line| line.contains(id) && line.contains("WARN")), DEADLINE);
}

#[test]
fn each_item_is_stored_in_its_queue() {
    let (redis, _) = start();
    let gateway = gateway_with_mail(&redis);
    let to = |queue: &str| json!({"kind": KIND, "delay": "1h", "queue": queue});
    let items = [to("mail"), to("default"), to("nowhere"), to("mail")];
    let results = results(&batch(&gateway, &items), 3, 0, 1);
    assert_eq!(pointers(&results[2]["problem"]), ["/jobs/2/queue"]);
    for (n, queue) in [(0, "mail"), (1, "default"), (3, "mail")] {
        assert_eq!(results[n]["job"]["queue"], queue);
        assert_eq!(job(&gateway, &results[n]["job"]["id"])["queue"], queue);
    }
    assert_eq!((stored(&gateway, "mail"), stored(&gateway, "default")), (2, 1));
}

#[test]
fn the_first_of_several_items_with_the_same_key_is_stored() {
    let (_redis, gateway) = start();
    let items = [keyed("k", "1h"), keyed("k", "1h"), keyed("k", "2h"), keyed("other", "1h")];
    let results = results(&batch(&gateway, &items), 2, 1, 1);
    assert_eq!(results[0]["job"]["id"], results[1]["job"]["id"]);
    assert_eq!(results[2]["problem"]["type"], "/problems/idempotency-key-reused");
    assert_eq!(stored(&gateway, "default"), 2);
}

#[test]
fn a_key_in_the_header_applies_to_the_whole_batch_and_a_repetition_completes_it() {
    let (_redis, gateway) = start();
    let items: Vec<Value> = (0..5).map(message).collect();
    let half = results(&batch_with_key(&gateway, "b", &items[..3]), 3, 0, 0);
    let whole = results(&batch_with_key(&gateway, "b", &items), 2, 3, 0);
    let again = results(&batch_with_key(&gateway, "b", &items), 0, 5, 0);
    let ids =
        |results: &[Value]| results.iter().map(|result| result["job"]["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&half), ids(&whole)[..3]);
    assert_eq!(ids(&whole), ids(&again));
    assert_eq!(stored(&gateway, "default"), 5);

    // The keys of its items belong to this batch only.
    for other in ["b", "b 0", "b0", "b\t0"].iter().take(3) {
        assert_eq!(support::enqueue_with_key(&gateway, other, &message(0)).status, 201, "{other}");
    }
    problem(&batch_with_key(&gateway, "", &items), 400, "malformed-request");
}

#[test]
fn an_atomic_batch_stores_all_jobs_or_none() {
    let (redis, _) = start();
    let gateway = gateway_with_mail(&redis);
    let good: Vec<Value> = (0..20).map(message).collect();
    let mut bad = good.clone();
    bad[7] = json!({"kind": "no:such"});
    bad[9] = json!({"kind": KIND, "queue": "mail", "delay": "no"});
    bad[11] = json!(7);
    let refused = problem(&atomic(&gateway, &bad), 422, "invalid-request");
    assert_eq!(pointers(&refused), ["/jobs/7/kind", "/jobs/9/delay", "/jobs/11"]);

    let mut torn = good.clone();
    torn[5] = json!({"kind": KIND, "queue": "mail"});
    let refused = problem(&atomic(&gateway, &torn), 422, "invalid-request");
    assert_eq!(pointers(&refused), ["/jobs/5/queue"]);
    assert_eq!((stored(&gateway, "default"), stored(&gateway, "mail")), (0, 0));

    results(&atomic(&gateway, &good), 20, 0, 0);
    assert_eq!(stored(&gateway, "default"), 20);
}

#[test]
fn an_atomic_batch_stores_nothing_if_a_key_was_used_with_another_body() {
    let (_redis, gateway) = start();
    results(&batch(&gateway, &[keyed("taken", "1h")]), 1, 0, 0);
    let refused = problem(&atomic(&gateway, &[message(0), keyed("taken", "2h")]), 422, "invalid-request");
    assert_eq!(pointers(&refused), ["/jobs/1/idempotency_key"]);
    assert_eq!(stored(&gateway, "default"), 1);
    results(&atomic(&gateway, &[message(0), keyed("taken", "1h")]), 1, 1, 0);
}

#[test]
fn the_delays_of_a_batch_start_at_the_same_time() {
    let (_redis, gateway) = start();
    let results = results(&batch(&gateway, &vec![later(); 100]), 100, 0, 0);
    let due = |result: &Value| instant(&job(&gateway, &result["job"]["id"])["due_at"]);
    assert_eq!(due(&results[0]), due(&results[99]));
}
