//! Workers that die or freeze in the middle of jobs.

mod support;

use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::{FailureCause, JobId, State};
use atode_testkit::{Proxy, eventually};
use support::{Act, Child, DEADLINE, Event, Killer, Stand, Task, causes, registry, registry_without_jobs};
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
    let stand = Stand::start();
    let child = stand.child(&settings());
    let id = stand.enqueue(Task::KIND, Act::Await);
    let first = stand.until_started(id, 1);
    assert_eq!(first.pid, child.pid());
    let _other = stand.worker_with(settings(), registry());
    stand.until_registered(2);

    child.kill();
    let killed = Instant::now();
    let second = stand.until_started(id, 2);
    println!("it runs again after {:?}", killed.elapsed());
    assert!(killed.elapsed() < LEASE + Duration::from_secs(10));
    stand.open_gate();
    let job = stand.until(id, State::Completed);

    assert_eq!((first.attempt, second.attempt, job.attempt), (1, 1, 1));
    assert!(second.token > first.token);
    assert_eq!(causes(&job), [FailureCause::Crash]);
    let dead = &job.attempts[0].worker;
    assert_eq!((dead.id, dead.pid), (first.worker, child.pid()));
    assert!(job.attempts[0].error.contains(&format!("pid {}", child.pid())), "{:?}", job.attempts);
    assert_eq!(job.worker.expect("its second worker").id, second.worker);
    let live = stand.until_registered(1);
    assert_eq!(live[0].worker.id, second.worker);
}

#[test]
fn a_job_whose_worker_is_killed_between_its_effect_and_its_settlement_repeats_once_with_its_id() {
    let stand = Stand::start();
    let network = Proxy::start(stand.redis.port());
    let child = Child::start(network.port(), &settings());
    let id = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(id, 1);
    network.black_hole();
    stand.open_gate();
    stand.until_event(id, Event::End);
    child.kill();
    let _other = stand.worker_with(settings(), registry());
    let job = stand.until(id, State::Completed);
    let starts = stand.starts(id);
    assert_eq!((starts.len(), job.attempt), (2, 1), "{starts:?}");
    assert!(starts[1].token > starts[0].token && starts[1].worker != starts[0].worker);
    assert_eq!(causes(&job), [FailureCause::Crash]);
}

#[test]
fn a_job_that_kills_its_worker_each_time_is_buried_and_its_neighbours_complete() {
    let stand = Stand::start();
    // Nobody but the victims has its kind; these recover what the victims leave behind.
    let _sweepers = [(); 2].map(|()| stand.worker_with(settings(), registry_without_jobs()));
    let killer = stand.enqueue(Killer::KIND, Act::Kill(100));
    let neighbours: Vec<JobId> = (0..5).map(|_| stand.enqueue(Task::KIND, Act::Sleep(200))).collect();

    for crashes in 1..=5 {
        let victim = stand.child(&settings());
        // Waiting out a backoff of minutes is not the subject.
        let exit = eventually("the victim dies", DEADLINE, || {
            stand.hurry(Killer::KIND);
            victim.try_exit()
        });
        assert!(!exit.success());
        eventually("its jobs are recovered", DEADLINE, || {
            let recovered = stand.job(killer).attempts.len() == crashes
                && neighbours.iter().all(|id| stand.job(*id).state != Some(State::Active));
            recovered.then_some(())
        });
    }
    let job = stand.until(killer, State::Dead);
    assert_eq!(causes(&job), [FailureCause::Crash; 5]);
    assert_eq!(job.attempt, 1, "crashes spend no attempt");
    assert_eq!(stand.starts(killer).len(), 5);

    let _survivor = stand.child(&settings());
    for id in neighbours {
        let job = eventually("a neighbour completes", DEADLINE, || {
            stand.hurry(Task::KIND);
            Some(stand.job(id)).filter(|job| job.state == Some(State::Completed))
        });
        // It suffers by the first two crashes; from then on the killer has no company.
        assert!(job.attempts.len() <= 2, "{:?}", job.attempts);
        assert_eq!(job.attempt, 1);
    }
}

#[test]
fn a_worker_frozen_beyond_its_lease_cannot_settle_what_went_on_without_it() {
    let stand = Stand::start();
    let frozen = stand.child(&settings());
    let id = stand.enqueue(Task::KIND, Act::Await);
    let still_running = stand.enqueue(Task::KIND, Act::AwaitCancellation);
    let first = stand.until_started(id, 1);
    stand.until_started(still_running, 1);
    let _other = stand.worker_with(settings(), registry());

    frozen.pause();
    let second = stand.until_started(id, 2);
    assert!(second.worker != first.worker && second.token > first.token);
    stand.until_started(still_running, 2);
    stand.open_gate();
    let completed = stand.until(id, State::Completed);
    frozen.resume();

    // Its one handler is cancelled, and the other run of that job goes on.
    frozen.wait_for_stderr(|log| log.contains("lost its lease"), DEADLINE);
    assert_eq!(stand.until_event(still_running, Event::End).pid, frozen.pid());
    let job = stand.job(still_running);
    assert_eq!(job.state, Some(State::Active), "{job:?}");
    assert_eq!(job.worker.expect("its second worker").id, second.worker);
    // The other may have found the gate open before it was cancelled: either way its result is void.
    eventually("its handler ends", DEADLINE, || {
        let ledger = stand.ledger();
        ledger.iter().any(|e| e.id == id && e.pid == frozen.pid() && e.event != Event::Start).then_some(())
    });
    until_idle_again(&stand, &frozen);
    let now = stand.job(id);
    assert_eq!((now.state, now.finished_at), (completed.state, completed.finished_at));
    assert_eq!((&now.worker, now.attempts.len()), (&completed.worker, completed.attempts.len()));
    assert_eq!(now.worker.expect("its second worker").id, second.worker);
}

/// The frozen worker runs jobs again, and has lost no slot.
fn until_idle_again(stand: &Stand, child: &Child) {
    eventually("the frozen worker runs jobs again", DEADLINE, || {
        let id = stand.enqueue(Task::KIND, Act::Sleep(20));
        stand.until(id, State::Completed);
        (stand.starts(id)[0].pid == child.pid()).then_some(())
    });
    eventually("its slots are free", DEADLINE, || {
        let live = stand.wait(stand.client.workers()).expect("looked");
        live.iter().any(|worker| worker.worker.pid == child.pid() && worker.active == 0).then_some(())
    });
}

#[test]
fn leases_that_nobody_can_read_hide_no_other_job_and_cost_one_line() {
    let stand = Stand::start();
    stand.enqueue_many(520, Task::KIND, Act::Succeed);
    // All are active, and their leases have run out; the holders of the last ten are of another version.
    let script = "for n, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        redis.call('ZREM', KEYS[1], id)
        redis.call('ZADD', KEYS[2], n, id)
        redis.call('HSET', KEYS[3], id, n <= 510 and 'by hand' or '7 1 1 1000 {}')
    end";
    let key = |name: &str| format!("atode:{{default}}:{name}");
    let (due, lease) = (key("test:task:due"), key("test:task:lease"));
    stand.redis.command(&["EVAL", script, "3", &due, &lease, &key("active")]);

    let child = stand.child(&settings());
    stand.until_counts("all complete", |counts| counts.completed == 520);
    let log = child.stderr();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("queue=default") && lines[0].contains("jobs=510"), "{}", lines[0]);
    let counts = stand.wait(stand.client.queue("default")).expect("looked").counts;
    assert_eq!(counts.active, 0);
}
