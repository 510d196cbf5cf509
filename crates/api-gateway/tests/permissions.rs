//! Gateway and worker with a restricted Redis user: `/readyz` and the log name the missing permissions, and everything
//! that is permitted works.

mod support;

use std::time::Duration;

use atode_testkit::{AclUser, Gateway, RedisCluster, RedisServer, Response, Worker, eventually};
use serde_json::json;
use support::{DEADLINE, KIND, enqueue, enqueued, finished, instant, later, problem, stored};

const ALL: &str = "~atode:* &atode:* +@all";
/// How late a job may run if its worker only polls, twice per second, on a busy machine.
const BLIND: Duration = Duration::from_secs(2);

struct Both {
    redis: RedisServer,
    gateway: Gateway,
    worker: Worker,
}

fn both(rules: &str) -> Both {
    let user = AclUser::new("some", rules);
    let redis = RedisServer::builder().user(&user).start();
    let gateway = Gateway::builder(&redis.addr()).redis_user(&user).start();
    let worker = Worker::builder(&redis.addr()).redis_user(&user).start();
    Both { redis, gateway, worker }
}

impl Both {
    /// Waits until both answer `/readyz` with this status and word.
    fn until(&self, status: u16, word: &str) {
        let says = |reply: Response| reply.status == status && reply.text().contains(word);
        eventually(&format!("{status} and {word} on /readyz"), DEADLINE, || {
            (says(self.gateway.get("/readyz")) && says(self.worker.get("/readyz"))).then_some(())
        });
    }

    /// Asserts that each has logged the word once. Both check Redis every few seconds and repeat nothing.
    fn logged_once(&self, word: &str) {
        for log in [self.gateway.stderr(), self.worker.stderr()] {
            let of_redis = log.lines().filter(|line| line.contains("atode_queue::health"));
            let lines = of_redis.filter(|line| line.contains(word)).count();
            assert_eq!(lines, 1, "{word}:\n{log}");
        }
    }
}

#[test]
fn without_channels_jobs_are_stored_once_and_run_in_time() {
    let both = both("~atode:* +@all");
    both.until(200, "&atode:*");
    both.until(200, "degraded");
    for _ in 0..3 {
        let job = enqueued(&both.gateway, &json!({"kind": KIND, "delay": "700ms"}));
        let job = finished(&both.gateway, &job["id"]);
        let late = instant(&job["started_at"]) - instant(&job["due_at"]);
        assert!(late < BLIND.as_millis() as i64, "{late} ms late: {job}");
    }
    assert_eq!(stored(&both.gateway, "default"), 3);
    both.logged_once("&atode:*");
}

#[test]
fn without_info_both_are_ready_and_report_the_missing_permission() {
    let both = both("~atode:* &atode:* +@all -info");
    both.until(200, "+info");
    let job = enqueued(&both.gateway, &json!({"kind": KIND, "delay": "0s"}));
    assert_eq!(finished(&both.gateway, &job["id"])["state"], "completed");
    both.logged_once("+info");
}

#[test]
fn without_evalsha_or_keys_neither_is_ready_until_they_are_granted() {
    for (rules, word) in
        [("~atode:* &atode:* +@all -evalsha", "+evalsha"), ("~x:* &atode:* +@all", "~atode:*")]
    {
        let both = both(rules);
        both.until(503, word);
        problem(&enqueue(&both.gateway, &later()), 503, "unavailable");
        both.logged_once(word);
        both.redis.set_user(&AclUser::new("some", ALL));
        both.until(200, "ready");
        let job = enqueued(&both.gateway, &json!({"kind": KIND, "delay": "0s"}));
        assert_eq!(finished(&both.gateway, &job["id"])["state"], "completed");
    }
}

#[test]
fn with_a_cluster_node_the_gateway_is_not_ready_and_refuses_jobs() {
    let cluster = RedisCluster::start();
    let gateway = Gateway::builder(&cluster.addrs()[0]).start();
    let worker = Worker::builder(&cluster.addrs()[0]).start();
    for readyz in [&|| gateway.get("/readyz"), &|| worker.get("/readyz")] as [&dyn Fn() -> Response; 2] {
        eventually("the cluster is reported", DEADLINE, || {
            let reply = readyz();
            (reply.status == 503 && reply.text().contains("cluster")).then_some(())
        });
    }
    problem(&enqueue(&gateway, &later()), 503, "unavailable");
}
