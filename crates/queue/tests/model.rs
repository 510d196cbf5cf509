//! Random sequences of all calls, on a Redis whose clock moves only by explicit steps, compared with a small model.
//! After each step Redis stores exactly what the model has, and no invariant is broken. `PROPTEST_CASES=1000` runs
//! longer.

mod model_of_a_queue;
mod support;

use std::sync::Arc;

use model_of_a_queue::{How, Step, World};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use support::TestQueue;

const STEPS: usize = 60;

fn ms() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(1), Just(40), Just(5_000), Just(3_600_000)]
}

fn short_ms() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(1), Just(40), Just(5_000)]
}

/// An instant relative to now.
fn due() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 1 => Just(-40), 1 => Just(-5_000), 3 => ms()]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        2 => ms().prop_map(How::Complete),
        3 => short_ms().prop_map(How::Retry),
        2 => Just(How::Bury),
        2 => short_ms().prop_map(How::Release),
        2 => Just(How::HandBack),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = 0..2_usize;
    let any_kind = prop::option::of(0..2_usize);
    let pick = any::<Index>;
    prop_oneof![
        8 => (kind, due(), any::<bool>()).prop_map(|(kind, due, at)| Step::Enqueue { kind, due, at }),
        2 => (0..3_u8, 0..2_u8).prop_map(|(key, body)| Step::EnqueueWithKey { key, body }),
        8 => (1..6_usize, 0..4_usize, short_ms(), 0..3_u32)
            .prop_map(|(limit, kinds, lease, suspects)| Step::Claim { limit, kinds, lease, suspects }),
        3 => (pick(), short_ms()).prop_map(|(lease, ms)| Step::Extend { lease, ms }),
        8 => (pick(), how()).prop_map(|(lease, how)| Step::Settle { lease, how }),
        3 => Just(Step::Look),
        3 => (prop::option::weighted(0.7, short_ms()), any::<bool>())
            .prop_map(|(due_after, crash)| Step::Reap { due_after, crash }),
        3 => pick().prop_map(Step::Cancel),
        1 => pick().prop_map(Step::RunNow),
        2 => (pick(), due(), any::<bool>()).prop_map(|(job, due, at)| Step::Reschedule { job, due, at }),
        2 => pick().prop_map(Step::Redrive),
        1 => pick().prop_map(Step::Delete),
        1 => (any_kind.clone(), 1..4_usize).prop_map(|(kind, limit)| Step::RedriveQueue { kind, limit }),
        1 => (0..6_usize, any_kind, 1..4_usize)
            .prop_map(|(state, kind, limit)| Step::Purge { state, kind, limit }),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => Just(Step::Trim),
        4 => ms().prop_map(Step::Clock),
        1 => ms().prop_map(|ms| Step::Clock(-ms)),
        1 => Just(Step::ForgetScripts),
    ]
}

#[test]
fn redis_equals_the_model_after_every_step() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let redis = Arc::new(atode_testkit::RedisServer::builder().with_clock().start());
    let mut config = ProptestConfig { cases: 64, ..ProptestConfig::default() };
    config.failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")));
    if let Some(cases) = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()) {
        config.cases = cases;
    }
    proptest!(config, |(steps in prop::collection::vec(step(), 1..STEPS))| {
        redis.clock().freeze_at(model_of_a_queue::START);
        redis.command(&["FLUSHALL"]);
        runtime.block_on(async {
            let test = TestQueue::open(&redis, "default").with_kinds(&model_of_a_queue::KINDS);
            test.connected_for_the(1).await;
            let mut world = World::new(test);
            for step in steps {
                world.take(step).await;
                world.check();
            }
        });
    });
}
