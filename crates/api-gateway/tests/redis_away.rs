//! Redis is down, does not answer, or refuses writes: the gateway says so within a second, stays up, and recovers by
//! itself when Redis is back.

mod support;

use std::thread;
use std::time::Instant;

use atode_testkit::{Gateway, RedisServer, Response, Worker, eventually};
use serde_json::{Value, json};
use support::{
    A_SECOND, DEADLINE, UNKNOWN, address, connected, enqueue, enqueue_with_key, enqueued, finished, job,
    later, problem, start, stored, text, until_watched, within_a_second,
};

/// Waits until an enqueue works again. Returns its job.
fn recovered(gateway: &Gateway) -> Value {
    eventually("an enqueue works again", DEADLINE, || {
        Some(enqueue(gateway, &later())).filter(|reply| reply.status == 201)
    })
    .json()
}

/// Asserts that the reply is a 503 that says what to do. Returns its slug.
#[track_caller]
fn unavailable(reply: &Response) -> String {
    let slug = if reply.text().contains("outcome-unknown") { "outcome-unknown" } else { "unavailable" };
    let problem = problem(reply, 503, slug);
    let advice = if slug == "unavailable" { "Nothing was stored" } else { "Idempotency-Key" };
    assert!(text(&problem["detail"]).contains(advice), "{problem}");
    slug.to_owned()
}

/// Asserts that every enqueue and every read fails within a second.
fn assert_redis_is_away(gateway: &Gateway) {
    let batch = json!({"jobs": [{"kind": "no:such"}, later()]});
    let atomic = json!({"jobs": [later()], "atomic": true});
    for (path, body) in [
        ("/v1/jobs", &later()),
        ("/v1/jobs/batch", &batch),
        ("/v1/jobs/batch", &atomic),
        ("/api/dm-jobqueue/register", &json!({})),
    ] {
        unavailable(&within_a_second(|| gateway.post(path, body)));
    }
    let job = format!("/v1/jobs/{UNKNOWN}");
    let waiting = format!("{job}?wait=30s");
    for path in [&job, &waiting, "/v1/queues", "/v1/queues/default", "/v1/workers", "/readyz"] {
        let problem = problem(&within_a_second(|| gateway.get(path)), 503, "unavailable");
        assert!(!text(&problem["detail"]).contains("outcome"), "a read has no outcome: {problem}");
    }
    // An invalid request is still reported as such, and endpoints that need no Redis work.
    let wrong = within_a_second(|| enqueue(gateway, &json!({"kind": support::KIND, "delay": "soon"})));
    problem(&wrong, 422, "invalid-request");
    for path in ["/healthz", "/health", "/v1/kinds"] {
        assert_eq!(within_a_second(|| gateway.get(path)).status, 200, "{path}");
    }
}

#[test]
fn a_redis_that_refuses_connections_is_reported_and_found_again() {
    let (redis, gateway) = start();
    let before = enqueued(&gateway, &later());
    redis.stop();
    eventually("the gateway notices the loss", DEADLINE, || {
        (gateway.get("/readyz").status == 503).then_some(())
    });
    assert_redis_is_away(&gateway);
    redis.restart();
    recovered(&gateway);
    assert_eq!(job(&gateway, &before["id"])["state"], "scheduled");
    assert_eq!(gateway.get("/readyz").status, 200);
}

#[test]
fn a_redis_that_does_not_answer_is_reported_and_found_again() {
    let (redis, gateway) = start();
    enqueued(&gateway, &later());
    redis.pause();
    assert_eq!(unavailable(&within_a_second(|| enqueue(&gateway, &later()))), "outcome-unknown");
    assert_redis_is_away(&gateway);
    redis.resume();
    recovered(&gateway);
}

#[test]
fn two_hundred_concurrent_requests_wait_no_longer_for_a_silent_redis_than_one() {
    let (redis, gateway) = start();
    let two_hundred = || {
        thread::scope(|scope| {
            let ask = |n| {
                let start = Instant::now();
                let reply = if n % 4 == 0 { gateway.get("/v1/queues") } else { enqueue(&gateway, &later()) };
                (start.elapsed(), n, reply)
            };
            let asks: Vec<_> = (0..200).map(|n| scope.spawn(move || ask(n))).collect();
            asks.into_iter().map(|ask| ask.join().expect("a reply")).collect::<Vec<_>>()
        })
    };
    // The time that as many requests take on this machine while Redis answers.
    let usual = two_hundred().into_iter().map(|(took, ..)| took).max().expect("many");
    redis.pause();
    for (took, n, reply) in two_hundred() {
        assert!(took < A_SECOND + 2 * usual, "{took:?}, usually {usual:?}");
        if n % 4 == 0 {
            problem(&reply, 503, "unavailable");
        } else {
            unavailable(&reply);
        }
    }
    redis.resume();
    recovered(&gateway);
}

#[test]
fn a_request_with_unknown_outcome_is_stored_once_if_repeated_with_its_key() {
    let (redis, gateway) = start();
    // The first job of a queue adds it to the catalogue. A failure of that step has a known outcome.
    enqueued(&gateway, &later());
    redis.pause();
    let unknown = enqueue_with_key(&gateway, "k", &later());
    assert_eq!(unavailable(&unknown), "outcome-unknown");
    redis.resume();
    let again = eventually("the request is answered", DEADLINE, || {
        Some(enqueue_with_key(&gateway, "k", &later())).filter(|reply| reply.status != 503)
    });
    assert!([200, 201].contains(&again.status), "{}", again.text());
    assert_eq!(enqueue_with_key(&gateway, "k", &later()).status, 200);
    assert_eq!(stored(&gateway, "default"), 2);
}

#[test]
fn a_gateway_that_starts_before_redis_says_so_and_works_once_redis_is_up() {
    let redis = RedisServer::builder().prepare();
    let gateway = Gateway::builder(&redis.addr()).start();
    assert_redis_is_away(&gateway);
    let log = gateway.wait_for_stderr(|log| log.contains("cannot connect to Redis"), DEADLINE);
    assert!(log.contains(&redis.addr()), "{log}");
    assert_eq!(gateway.try_exit(), None);

    redis.restart();
    let _worker = Worker::start(&redis);
    recovered(&gateway);
    let job = enqueued(&gateway, &json!({"kind": support::KIND, "delay": "0s"}));
    assert_eq!(finished(&gateway, &job["id"])["state"], "completed");
}

#[test]
fn a_redis_that_refuses_writes_still_shows_jobs() {
    let (redis, gateway) = start();
    let before = enqueued(&gateway, &later());
    for (refuse, accept, code, reason) in [
        (
            vec!["CONFIG", "SET", "maxmemory", "1"],
            vec!["CONFIG", "SET", "maxmemory", "0"],
            "OOM",
            "memory is full",
        ),
        (
            vec!["CONFIG", "SET", "min-replicas-to-write", "1"],
            vec!["CONFIG", "SET", "min-replicas-to-write", "0"],
            "NOREPLICAS",
            "fewer replicas",
        ),
        (vec!["REPLICAOF", "127.0.0.1", "1"], vec!["REPLICAOF", "NO", "ONE"], "READONLY", "takes no changes"),
    ] {
        redis.command(&refuse);
        eventually("the enqueue is refused for this reason", DEADLINE, || {
            let reply = within_a_second(|| enqueue(&gateway, &later()));
            assert_eq!(unavailable(&reply), "unavailable");
            assert!(!reply.text().contains(code), "{}", reply.text());
            reply.text().contains(reason).then_some(())
        });
        gateway.wait_for_stderr(|log| log.contains(code), DEADLINE);
        // The gateway may have to reconnect first.
        eventually("reads work", DEADLINE, || {
            (gateway.get(&address(&before["id"])).status == 200).then_some(())
        });
        assert_eq!(stored(&gateway, "default"), 1 + u64::from(code != "OOM") + u64::from(code == "READONLY"));
        redis.command(&accept);
        recovered(&gateway);
    }
}

#[test]
fn a_wait_for_a_job_fails_when_redis_goes_away() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| gateway.get(&format!("{}?wait=60s", address(&id))));
        until_watched(&redis);
        redis.kill();
        problem(&waiting.join().expect("a reply"), 503, "unavailable");
    });
}

#[test]
fn a_redis_that_refuses_jobs_is_degraded_and_the_503_says_what_to_do() {
    let redis = RedisServer::start();
    let gateway = connected(Gateway::start(&redis));
    let degraded = |words: &str| {
        let ready = gateway.get("/readyz");
        assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("degraded")), "{}", ready.text());
        assert!(ready.text().contains(words), "{}", ready.text());
    };
    redis.command(&["SET", "ballast", &"x".repeat(20 << 20)]);
    let used = redis.command(&["INFO", "memory"]).text();
    let used: u64 =
        used.lines().find_map(|line| line.strip_prefix("used_memory:")?.parse().ok()).expect("told");
    redis.command(&["CONFIG", "SET", "maxmemory", &(used * 20 / 19).to_string()]);
    degraded("% full");
    redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]);
    degraded("memory is full");
    let refused = problem(&enqueue(&gateway, &later()), 503, "unavailable");
    let detail = refused["detail"].as_str().expect("a text");
    assert!(detail.contains("purge?state=completed") && detail.contains("maxmemory"), "{detail}");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.break_saves();
    degraded("MISCONF");
    redis.restore_saves();
    assert_eq!(gateway.get("/readyz").json()["status"], "ready");
}

#[test]
fn a_redis_that_may_lose_jobs_is_reported_and_used() {
    let redis = RedisServer::builder().no_aof().arg("maxmemory-policy", "allkeys-lru").start();
    let gateway = connected(Gateway::start(&redis));
    let ready = gateway.get("/readyz").json();
    assert_eq!(ready["status"], "degraded");
    let warnings = ready["warnings"].to_string();
    assert!(warnings.contains("AOF is off") && warnings.contains("allkeys-lru"), "{warnings}");
    gateway.wait_for_stderr(|log| log.contains("WARN") && log.contains("AOF is off"), DEADLINE);
    enqueued(&gateway, &later());
}
