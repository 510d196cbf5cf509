//! Jobs that a later release has stored.

mod support;

use atode_queue::State;
use atode_testkit::Worker;
use support::{DEADLINE, Fixture, NOW, QUEUE};

const KIND: &str = "demo:delay_print";

#[test]
fn a_job_of_a_later_release_is_handed_back_and_spends_nothing() {
    let fixture = Fixture::start();
    let id = fixture.store(QUEUE, KIND, "{}", NOW, None);
    let jobs = format!("atode:{{{QUEUE}}}:jobs");
    let fields = fixture.redis.command(&["HKEYS", &jobs]).texts();
    let stored = fixture.redis.command(&["HGET", &jobs, &fields[0]]).text();
    fixture.redis.command(&["HSET", &jobs, &fields[0], "#2 unknown to this build"]);
    let worker = Worker::start(&fixture.redis);
    worker.wait_for_stderr(|log| log.contains("was stored by a later release"), DEADLINE);
    fixture.until_counts("it waits for another worker", |counts| counts.scheduled == 1 && counts.dead == 0);
    fixture.redis.command(&["HSET", &jobs, &fields[0], &stored]);
    let job = fixture.until(id, State::Completed);
    assert!(job.attempts.is_empty() && job.attempt == 1, "{job:?}");
}
