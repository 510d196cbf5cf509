//! The cost of the history per run: two times are counted.

use std::hint::black_box;
use std::time::Duration;

use atode_config::redis::JobqueueRedis;
use atode_queue::Client;
use criterion::{Criterion, criterion_group, criterion_main};

fn counting(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _context = runtime.enter();
    // Counting needs no connection.
    let client = Client::open(&JobqueueRedis::default()).expect("its settings are valid");
    let history = client.history_of("default", "bench:noted");
    criterion.bench_function("history/count a run", |bench| {
        bench.iter(|| {
            history.started(black_box(Duration::from_millis(3)));
            history.ended(black_box(Duration::from_micros(80_500)));
        });
    });
}

criterion_group!(benches, counting);
criterion_main!(benches);
