//! A gateway whose own clock is wrong. All jobs carry Redis' time, the first one too.

mod support;

use atode_testkit::{Clock, Gateway, RedisServer, eventually};
use support::{DEADLINE, enqueue, instant, later};

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Redis' clock, Unix ms.
fn redis_now(redis: &RedisServer) -> i64 {
    redis.command(&["TIME"]).texts()[0].parse::<i64>().expect("seconds") * 1_000
}

#[test]
fn a_gateway_whose_clock_is_an_hour_off_uses_the_time_of_redis() {
    for ahead in [true, false] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let clock = Clock::build(dir.path());
        if ahead {
            clock.step_forward(HOUR);
        } else {
            clock.step_back(HOUR);
        }
        let redis = RedisServer::builder().prepare();
        let mut gateway = Gateway::builder(&redis.addr());
        for (name, value) in clock.environment() {
            gateway = gateway.env(name, value);
        }
        let gateway = gateway.start();
        // The gateway makes ids before it first connects to Redis.
        assert_eq!(enqueue(&gateway, &later()).status, 503);
        redis.restart();
        for _ in 0..3 {
            let job = eventually("a job is stored", DEADLINE, || {
                Some(enqueue(&gateway, &later())).filter(|reply| reply.status == 201)
            });
            let off = instant(&job.json()["enqueued_at"]) - redis_now(&redis);
            assert!(off.abs() < 60_000, "{off} ms off, ahead: {ahead}");
        }
    }
}
