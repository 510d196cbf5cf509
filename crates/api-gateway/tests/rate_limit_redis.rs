//! The Redis of the rate limits: shared by several gateways, lost, and wrongly configured.

mod support;

use std::time::Duration;

use atode_testkit::{Gateway, RedisCluster, RedisServer, eventually};
use serde_json::json;
use support::limited::{kinds, limited, statuses};

#[test]
fn four_gateways_share_one_limit_through_redis_and_through_a_cluster() {
    let jobs = RedisServer::start();
    let one = RedisServer::builder().no_aof().start();
    let cluster = RedisCluster::start();
    for addrs in [vec![one.addr()], cluster.addrs()] {
        let addrs = json!(addrs).to_string();
        let gateways: Vec<Gateway> = (0..4)
            .map(|_| {
                limited(&jobs, 40).env("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS", &addrs).start()
            })
            .collect();
        let replies = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..80)
                .map(|n| {
                    scope.spawn({
                        let gateway = &gateways[n % 4];
                        move || gateway.get("/v1/kinds").status
                    })
                })
                .collect();
            calls.into_iter().map(|call| call.join().expect("a reply")).collect::<Vec<u16>>()
        });
        let allowed = replies.iter().filter(|status| **status == 200).count();
        assert!(replies.iter().all(|status| [200, 429].contains(status)));
        // One more is allowed every 1.5 s.
        assert!((40..=44).contains(&allowed), "{allowed} of 80 allowed: {addrs}");
    }
}

#[test]
fn the_loss_of_the_limiters_redis_causes_no_5xx_and_ends_when_it_is_back() {
    let jobs = RedisServer::start();
    let limits = RedisServer::builder().no_aof().start();
    let gateway = limited(&jobs, 1_000)
        .env("APP__API__RATE_LIMIT__DEADLINE", "200ms")
        .env("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS", json!([limits.addr()]).to_string())
        .start();
    assert_eq!(gateway.get("/v1/kinds").status, 200);
    let (fallbacks, breaker) = ("atode_ratelimit_fallbacks_total", "atode_ratelimit_breaker_open");
    let by_redis = r#"atode_ratelimit_decisions_total{by="redis",result="allowed"}"#;
    assert_eq!((gateway.metric(fallbacks), gateway.metric(breaker), gateway.metric(by_redis)), (0, 0, 1));
    limits.kill();
    for _ in 0..50 {
        let reply = gateway.get("/v1/kinds");
        assert_eq!(reply.status, 200);
        assert!(reply.header("ratelimit").is_some(), "the local limiter reports quotas too");
    }
    gateway.wait_for_stderr(|log| log.contains("rate limiter's Redis is away"), Duration::from_secs(5));
    assert_eq!(gateway.stderr().matches("rate limiter's Redis is away").count(), 1, "said once");
    let by_memory = r#"atode_ratelimit_decisions_total{by="memory",result="allowed"}"#;
    assert_eq!((gateway.metric(fallbacks), gateway.metric(by_memory), gateway.metric(breaker)), (50, 50, 1));
    limits.restart();
    eventually("limits are kept in Redis again", Duration::from_secs(5), || {
        gateway.get("/v1/kinds");
        (limits.command(&["DBSIZE"]).int() > 0).then_some(())
    });
    assert!(gateway.metric(by_redis) > 1);
    assert_eq!(gateway.metric(breaker), 0);
}

#[test]
fn the_loss_of_a_master_of_the_limiters_cluster_causes_no_5xx() {
    let (jobs, cluster) = (RedisServer::start(), RedisCluster::start());
    let gateway = limited(&jobs, 1_000)
        .env("APP__API__RATE_LIMIT__DEADLINE", "200ms")
        .env("APP__API__RATE_LIMIT__TRUSTED_PROXIES", "1")
        .env("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS", json!(cluster.addrs()).to_string())
        .start();
    // Their keys are spread over all three masters.
    let everybody = || (0..60).map(|n| kinds(&gateway, "x-forwarded-for", &format!("10.0.0.{n}")));
    assert!(statuses(everybody()).iter().all(|status| *status == 200));
    assert!(gateway.metric("atode_ratelimit_fallbacks_total") == 0, "all three masters are asked");
    cluster.nodes()[1].kill();
    assert!(statuses(everybody()).iter().all(|status| *status == 200));
    assert!(gateway.metric("atode_ratelimit_fallbacks_total") > 0);
}

#[test]
fn deny_refuses_requests_while_the_limits_are_unavailable() {
    let jobs = RedisServer::start();
    let nobody = RedisServer::builder().prepare();
    let gateway = limited(&jobs, 10)
        .env("APP__API__RATE_LIMIT__ON_ERROR", "deny")
        .env("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS", json!([nobody.addr()]).to_string())
        .start();
    let refused = gateway.get("/v1/kinds");
    assert_eq!(
        (refused.status, &refused.json()["type"]),
        (503, &json!("/problems/rate-limiter-unavailable"))
    );
    assert_eq!(gateway.get("/healthz").status, 200);
}

#[test]
fn addresses_of_several_single_servers_are_refused_at_the_start() {
    let (jobs, one, two) = (RedisServer::start(), RedisServer::start(), RedisServer::start());
    let process = limited(&jobs, 10)
        .env("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS", json!([one.addr(), two.addr()]).to_string())
        .spawn();
    let status = process.wait(Duration::from_secs(20));
    assert!(!status.success());
    assert!(process.stderr().contains("cache_server.redis.default.cluster.addrs"), "{}", process.stderr());
}
