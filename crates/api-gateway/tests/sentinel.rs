//! Gateway and worker on a Redis under Sentinel: the master is killed under load, its replica takes over, and both
//! processes follow by themselves.
//!
//! Replication is asynchronous, so there is no promise for the last answers of the master: a job may be lost after its
//! 201, or run again after it has run. The test prints how many.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use atode_testkit::{Gateway, RedisSentinel, Worker, eventually};
use serde_json::{Value, json};
use support::{DEADLINE, KIND, address, connected, enqueue, finished, text, within_a_second};

const PRODUCERS: usize = 4;
const BEFORE: usize = 250;
const ALL: usize = 500;

#[derive(Default)]
struct Load {
    /// Jobs that were posted, with 201 or an unknown outcome.
    posted: AtomicUsize,
    stored: AtomicUsize,
    refused: AtomicUsize,
}

impl Load {
    /// Posts jobs until enough are stored. Returns the ids of its jobs, and the longest time without one.
    fn produce(&self, gateway: &Gateway) -> (Vec<Value>, Duration) {
        let (mut ids, mut last, mut longest) = (vec![], Instant::now(), Duration::ZERO);
        while self.stored.load(Ordering::Relaxed) < ALL {
            assert!(last.elapsed() < DEADLINE, "nothing was stored for {DEADLINE:?}");
            let n = self.posted.fetch_add(1, Ordering::Relaxed);
            let job = json!({"kind": KIND, "delay": "0s", "payload": {"message": format!("job {n}.")}});
            let reply = within_a_second(|| enqueue(gateway, &job));
            if reply.status == 201 {
                self.stored.fetch_add(1, Ordering::Relaxed);
                longest = longest.max(last.elapsed());
                last = Instant::now();
                ids.push(reply.json()["id"].clone());
            } else {
                assert_eq!(reply.status, 503, "{}", reply.text());
                self.refused.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        }
        (ids, longest)
    }
}

/// The number of times that each message was printed.
fn runs(worker: &Worker) -> HashMap<String, usize> {
    let mut runs = HashMap::new();
    for line in worker.stdout().lines() {
        if let Some((_, message)) = line.split_once("] ") {
            *runs.entry(message.to_owned()).or_default() += 1;
        }
    }
    runs
}

#[test]
fn a_replica_replaces_a_master_killed_under_load_and_all_stored_jobs_run() {
    let redis = RedisSentinel::start();
    let gateway = connected(Gateway::builder_under(&redis).start());
    // Claims that only the old master stored come back when their lease expires.
    let worker = Worker::builder_under(&redis).env("APP__WORKER__LEASE", "5s").start();
    let load = Load::default();
    let (killed, produced) = thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS).map(|_| scope.spawn(|| load.produce(&gateway))).collect();
        eventually("half of the load is stored", DEADLINE, || {
            (load.stored.load(Ordering::Relaxed) >= BEFORE).then_some(())
        });
        let killed = redis.kill_master();
        let produced = producers.into_iter().map(|producer| producer.join().expect("no failure"));
        (killed, produced.collect::<Vec<_>>())
    });
    assert_ne!(redis.wait_for_another_master(killed).addr(), killed.addr());

    let outage = produced.iter().map(|(_, longest)| *longest).max().expect("producers");
    let ids: Vec<&Value> = produced.iter().flat_map(|(ids, _)| ids).collect();
    let mut lost = 0;
    for id in &ids {
        match gateway.get(&address(id)).status {
            200 => assert_eq!(finished(&gateway, id)["state"], "completed", "{id}"),
            404 => lost += 1,
            status => panic!("{id}: {status}"),
        }
    }
    let runs = runs(&worker);
    let again = runs.values().filter(|runs| **runs > 1).count();
    println!(
        "{} jobs got 201, {} times 503 within {outage:.1?}; {lost} of the 201 were lost, {again} ran again",
        ids.len(),
        load.refused.load(Ordering::Relaxed),
    );
    assert!(runs.len() + lost >= ids.len(), "{} messages were printed", runs.len());

    // Wake-ups work again, so the job does not wait for the poll of 5 s.
    let woken = enqueue(&gateway, &json!({"kind": KIND, "delay": "0s"})).json()["id"].clone();
    let asked = Instant::now();
    let waited = gateway.get(&format!("{}?wait=4s", address(&woken)));
    assert_eq!(text(&waited.json()["state"]), "completed", "after {:?}", asked.elapsed());
    for ready in [gateway.get("/readyz"), worker.get("/readyz")] {
        assert_eq!(ready.json()["status"], "ready", "{}", ready.text());
    }
    assert_eq!((gateway.try_exit(), worker.try_exit()), (None, None));
}
