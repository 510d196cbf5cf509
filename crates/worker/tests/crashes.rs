//! Workers that die or freeze while they run jobs.

mod support;

use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::{FailureCause, JobId, State};
use atode_testkit::{Proxy, eventually};
use support::{Act, Child, DEADLINE, Event, Fixture, Killer, Task, causes, registry, registry_without_jobs};
use worker::Settings;

const LEASE: Duration = Duration::from_secs(2);

#[test]
fn child_worker() {
    support::child_worker();
}

fn settings() -> Settings {
    Settings { lease: LEASE, ..support::settings() }
}

#[test]
fn a_job_whose_worker_is_killed_runs_again_elsewhere_and_no_attempt_is_spent() {
    let fixture = Fixture::start();
    let child = fixture.child(&settings());
    let id = fixture.enqueue(Task::KIND, Act::Await);
    let first = fixture.until_started(id, 1);
    assert_eq!(first.pid, child.pid());
    let _other = fixture.worker_with(settings(), registry());
    fixture.until_registered(2);

    child.kill();
    let killed = Instant::now();
    let second = fixture.until_started(id, 2);
    println!("it runs again after {:?}", killed.elapsed());
    assert!(killed.elapsed() < LEASE + Duration::from_secs(10));
    fixture.open_gate();
    let job = fixture.until(id, State::Completed);

    assert_eq!((first.attempt, second.attempt, job.attempt), (1, 1, 1));
    assert!(second.token > first.token);
    assert_eq!(causes(&job), [FailureCause::Crash]);
    let dead = &job.attempts[0].worker;
    assert_eq!((dead.id, dead.pid), (first.worker, child.pid()));
    assert!(job.attempts[0].error.contains(&format!("pid {}", child.pid())), "{:?}", job.attempts);
    assert_eq!(job.worker.expect("its second worker").id, second.worker);
    let live = fixture.until_registered(1);
    assert_eq!(live[0].worker.id, second.worker);
}

#[test]
fn a_job_whose_worker_is_killed_between_its_effect_and_its_settlement_repeats_once_with_its_id() {
    let fixture = Fixture::start();
    let network = Proxy::start(fixture.redis.port());
    let child = Child::start(network.port(), &settings());
    let id = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(id, 1);
    network.black_hole();
    fixture.open_gate();
    fixture.until_event(id, Event::End);
    child.kill();
    let _other = fixture.worker_with(settings(), registry());
    let job = fixture.until(id, State::Completed);
    let starts = fixture.starts(id);
    assert_eq!((starts.len(), job.attempt), (2, 1), "{starts:?}");
    assert!(starts[1].token > starts[0].token && starts[1].worker != starts[0].worker);
    assert_eq!(causes(&job), [FailureCause::Crash]);
}

#[test]
fn a_job_that_kills_its_worker_each_time_is_buried_and_its_neighbours_complete() {
    let fixture = Fixture::start();
    // Only the victims know the kind. The sweepers recover the jobs that the victims leave behind.
    let _sweepers = [(); 2].map(|()| fixture.worker_with(settings(), registry_without_jobs()));
    let killer = fixture.enqueue(Killer::KIND, Act::Kill(100));
    let neighbors: Vec<JobId> = (0..5).map(|_| fixture.enqueue(Task::KIND, Act::Sleep(200))).collect();

    for crashes in 1..=5 {
        let victim = fixture.child(&settings());
        // The backoff grows to minutes, which this test skips.
        let exit = eventually("the victim dies", DEADLINE, || {
            fixture.hurry(Killer::KIND);
            victim.try_exit()
        });
        assert!(!exit.success());
        eventually("its jobs are recovered", DEADLINE, || {
            let recovered = fixture.job(killer).attempts.len() == crashes
                && neighbors.iter().all(|id| fixture.job(*id).state != Some(State::Active));
            recovered.then_some(())
        });
    }
    let job = fixture.until(killer, State::Dead);
    assert_eq!(causes(&job), [FailureCause::Crash; 5]);
    assert_eq!(job.attempt, 1, "crashes spend no attempt");
    assert_eq!(fixture.starts(killer).len(), 5);

    let _survivor = fixture.child(&settings());
    for id in neighbors {
        let job = eventually("a neighbor completes", DEADLINE, || {
            fixture.hurry(Task::KIND);
            Some(fixture.job(id)).filter(|job| job.state == Some(State::Completed))
        });
        // The first two crashes interrupt it as well. From then on the killer runs alone.
        assert!(job.attempts.len() <= 2, "{:?}", job.attempts);
        assert_eq!(job.attempt, 1);
    }
}

#[test]
fn a_worker_frozen_beyond_its_lease_cannot_settle_jobs_that_moved_on() {
    let fixture = Fixture::start();
    let frozen = fixture.child(&settings());
    let id = fixture.enqueue(Task::KIND, Act::Await);
    let still_running = fixture.enqueue(Task::KIND, Act::AwaitCancellation);
    let first = fixture.until_started(id, 1);
    fixture.until_started(still_running, 1);
    let _other = fixture.worker_with(settings(), registry());

    frozen.pause();
    let second = fixture.until_started(id, 2);
    assert!(second.worker != first.worker && second.token > first.token);
    fixture.until_started(still_running, 2);
    fixture.open_gate();
    let completed = fixture.until(id, State::Completed);
    frozen.resume();

    // Its handler is cancelled. The job's other run goes on.
    frozen.wait_for_stderr(|log| log.contains("lost its lease"), DEADLINE);
    assert_eq!(fixture.until_event(still_running, Event::End).pid, frozen.pid());
    let job = fixture.job(still_running);
    assert_eq!(job.state, Some(State::Active), "{job:?}");
    assert_eq!(job.worker.expect("its second worker").id, second.worker);
    // The other handler may have seen the open gate before its cancellation. Its result is ignored in both cases.
    eventually("its handler ends", DEADLINE, || {
        let ledger = fixture.ledger();
        ledger.iter().any(|e| e.id == id && e.pid == frozen.pid() && e.event != Event::Start).then_some(())
    });
    until_idle_again(&fixture, &frozen);
    let now = fixture.job(id);
    assert_eq!((now.state, now.finished_at), (completed.state, completed.finished_at));
    assert_eq!((&now.worker, now.attempts.len()), (&completed.worker, completed.attempts.len()));
    assert_eq!(now.worker.expect("its second worker").id, second.worker);
}

/// Waits until the frozen worker runs jobs again, and all of its slots are free.
fn until_idle_again(fixture: &Fixture, child: &Child) {
    eventually("the frozen worker runs jobs again", DEADLINE, || {
        let id = fixture.enqueue(Task::KIND, Act::Sleep(20));
        fixture.until(id, State::Completed);
        (fixture.starts(id)[0].pid == child.pid()).then_some(())
    });
    eventually("its slots are free", DEADLINE, || {
        let live = fixture.wait(fixture.client.workers()).expect("looked");
        live.iter().any(|worker| worker.worker.pid == child.pid() && worker.active == 0).then_some(())
    });
}

#[test]
fn unreadable_leases_hide_no_other_job_and_cost_one_log_line() {
    let fixture = Fixture::start();
    fixture.enqueue_many(520, Task::KIND, Act::Succeed);
    // Makes all jobs active with expired leases. The last ten holders have the format of another version.
    let script = "for n, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        redis.call('ZREM', KEYS[1], id)
        redis.call('ZADD', KEYS[2], n, id)
        redis.call('HSET', KEYS[3], id, n <= 510 and 'by hand' or '7 1 1 1000 {}')
    end";
    let key = |name: &str| format!("atode:{{default}}:{name}");
    let (due, lease) = (key("test:task:due"), key("test:task:lease"));
    fixture.redis.command(&["EVAL", script, "3", &due, &lease, &key("active")]);

    let child = fixture.child(&settings());
    fixture.until_counts("all complete", |counts| counts.completed == 520);
    let log = child.stderr();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("queue=default") && lines[0].contains("jobs=510"), "{}", lines[0]);
    let counts = fixture.wait(fixture.client.queue("default")).expect("looked").counts;
    assert_eq!(counts.active, 0);
}
