//! Costs per run outside its handler: finding the kind, parsing the payload, computing a backoff.

use std::hint::black_box;

use atode_jobs::{Backoff, JobContext};
use criterion::{Criterion, criterion_group, criterion_main};

const PAYLOAD: &str = r#"{"message":"hello world 000000001"}"#;

fn kinds(criterion: &mut Criterion) {
    let registry = atode_jobs::registry().expect("the kinds of this build");
    let context = JobContext::for_test();
    let kind = registry.get("demo:delay_print").expect("a kind of this build");
    criterion.bench_function("kind/find", |bench| bench.iter(|| registry.get(black_box("demo:delay_print"))));
    criterion.bench_function("kind/check", |bench| bench.iter(|| kind.check(black_box(PAYLOAD))));
    criterion.bench_function("kind/start", |bench| {
        bench.iter(|| kind.start(black_box(PAYLOAD), context.clone()).is_ok());
    });
    criterion.bench_function("backoff/delay", |bench| {
        bench.iter(|| Backoff::EXPONENTIAL.delay(black_box(7), black_box(0.3)));
    });
}

criterion_group!(benches, kinds);
criterion_main!(benches);
