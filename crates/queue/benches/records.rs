//! The cost of a job without Redis: its id, its record.

use std::hint::black_box;

use atode_queue::{JobId, Record};
use criterion::{Criterion, criterion_group, criterion_main};

const PAYLOAD: &str = r#"{"message":"hello world 000000001","t":1700000000000}"#;

fn records(criterion: &mut Criterion) {
    let record = Record::new(serde_json::from_str(PAYLOAD).expect("JSON"));
    let stored = record.encode("bench:noted");
    criterion
        .bench_function("record/encode", |bench| bench.iter(|| black_box(&record).encode("bench:noted")));
    criterion.bench_function("record/decode", |bench| {
        bench.iter(|| Record::decode(black_box(&stored)).expect("a record").payload.get().len());
    });
}

fn ids(criterion: &mut Criterion) {
    let id = JobId::new(1_700_000_000_000);
    let (long, short) = (id.to_string(), id.short());
    criterion.bench_function("id/new", |bench| bench.iter(|| JobId::new(black_box(1_700_000_000_000))));
    criterion.bench_function("id/short", |bench| bench.iter(|| black_box(id).short()));
    criterion.bench_function("id/to_string", |bench| bench.iter(|| black_box(id).to_string()));
    criterion.bench_function("id/parse", |bench| {
        bench.iter(|| black_box(&long).parse::<JobId>().expect("an id"));
    });
    criterion.bench_function("id/parse short", |bench| {
        bench.iter(|| black_box(&short).parse::<JobId>().expect("an id"));
    });
    // Earlier versions made such ids.
    let earlier = "01a20ae0-e7a9-74d9-a81f-9cb53c56386d".parse::<JobId>().expect("an id").short();
    criterion.bench_function("id/parse 22 characters", |bench| {
        bench.iter(|| black_box(&earlier).parse::<JobId>().expect("an id"));
    });
}

criterion_group!(benches, records, ids);
criterion_main!(benches);
