//! Clients that enqueue over HTTP, repeat requests of unknown outcome with the same key, and record the answers.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::JobId;
use atode_testkit::Http;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::system::{System, lock};
use crate::task::{End, Task};

/// The number of times that a client repeats a request before it gives up. The outcome then stays unknown.
const REPEATS: u32 = 40;
const REPEAT_INTERVAL: Duration = Duration::from_millis(250);
/// The most bytes of padding. The whole job stays below `server.max_body_bytes`.
const LARGEST: usize = 200_000;

/// The answers that clients got.
#[derive(Default)]
pub(crate) struct Promises {
    /// Jobs that got 201, or 200 after a repetition.
    pub(crate) stored: Mutex<BTreeSet<JobId>>,
    /// Jobs that may have been cancelled: the answer was 200 or 202, or its outcome is unknown.
    pub(crate) cancelled: Mutex<BTreeSet<JobId>>,
    /// The number of jobs whose clients gave up.
    pub(crate) unknown: AtomicU64,
    /// The number of repeated requests, after a 503 or a broken connection.
    pub(crate) repeated: AtomicU64,
    /// Answers that no fault explains.
    pub(crate) wrong: Mutex<Vec<String>>,
    /// The longest time to an answer, ms.
    pub(crate) slowest_ms: AtomicU64,
    pub(crate) enough: AtomicBool,
}

impl Promises {
    pub(crate) fn count(&self) -> usize {
        lock(&self.stored).len()
    }

    fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }
}

/// A client, which makes its own random choices.
pub(crate) struct Client<'a> {
    system: &'a System,
    promises: &'a Promises,
    number: u64,
    dice: SmallRng,
}

impl<'a> Client<'a> {
    pub(crate) fn new(system: &'a System, promises: &'a Promises, seed: u64, number: u64) -> Self {
        Client { system, promises, number, dice: SmallRng::seed_from_u64(seed ^ (number << 32)) }
    }

    /// Runs until enough jobs are stored. `pause` limits the load.
    pub(crate) fn run(&mut self, pause: Duration) {
        let mut request = 0_u64;
        while !self.promises.is_enough() {
            request += 1;
            let key = format!("{}-{request}", self.number);
            let jobs = if self.dice.random_bool(0.2) { self.dice.random_range(2..=40) } else { 1 };
            let bodies: Vec<Value> = (0..jobs).map(|n| self.job(format!("{key}-{n}"))).collect();
            let ids = self.store(&key, bodies);
            if let Some(id) = ids.first().filter(|_| self.dice.random_bool(0.02)) {
                self.cancel(*id);
            }
            lock(&self.promises.stored).extend(ids);
            std::thread::sleep(pause);
        }
    }

    fn job(&mut self, key: String) -> Value {
        let end = match self.dice.random_range(0..100) {
            0..4 => End::AfterARetry,
            4..5 => End::AfterAPanic,
            5..6 => End::Dead,
            _ => End::Well,
        };
        let is_long = self.dice.random_bool(0.05);
        let task = Task {
            dir: self.system.dir.path().display().to_string(),
            key,
            ms: if is_long { self.dice.random_range(200..1_500) } else { self.dice.random_range(0..20) },
            end,
            padding: self.padding(),
        };
        json!({"kind": Task::KIND, "payload": task, "delay": format!("{}ms", self.dice.random_range(0..2_000))})
    }

    /// Padding of up to 200 kB for one job in 20 while large payloads are on.
    fn padding(&mut self) -> String {
        if !self.system.large_payloads.load(Ordering::Relaxed) || self.dice.random_bool(0.95) {
            return String::new();
        }
        let bytes = self.dice.random_range(1_000..LARGEST);
        (0..bytes).map(|_| char::from(self.dice.random_range(b'a'..=b'z'))).collect()
    }

    /// Enqueues the jobs and returns their ids once the outcome is known.
    fn store(&mut self, key: &str, mut bodies: Vec<Value>) -> Vec<JobId> {
        let jobs = bodies.len() as u64;
        let (path, body) = if jobs == 1 {
            ("/v1/jobs", bodies.remove(0))
        } else {
            for (n, job) in bodies.iter_mut().enumerate() {
                job["idempotency_key"] = format!("{key}-{n}").into();
            }
            ("/v1/jobs/batch", json!({ "jobs": bodies }))
        };
        for _ in 0..REPEATS {
            match self.ask(path, Some((key, &body))) {
                Some((201 | 200, reply)) if reply["id"].is_string() => {
                    return id_of(&reply).into_iter().collect();
                }
                Some((200, reply)) => {
                    let results = reply["results"].as_array().map(Vec::as_slice).unwrap_or_default();
                    let ids = results.iter().filter_map(|result| id_of(&result["job"]));
                    if reply["rejected"] == 0 {
                        return ids.collect();
                    }
                    // Some jobs may be stored by now, and are promised. The repetition answers for all of them.
                    lock(&self.promises.stored).extend(ids);
                }
                None | Some((503 | 408, _)) => {}
                Some((status, reply)) => {
                    lock(&self.promises.wrong).push(format!("POST {path}: {status} {reply}"));
                    return Vec::new();
                }
            }
            if self.promises.is_enough() {
                break;
            }
            self.promises.repeated.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(REPEAT_INTERVAL);
        }
        self.promises.unknown.fetch_add(jobs, Ordering::Relaxed);
        Vec::new()
    }

    fn cancel(&mut self, id: JobId) {
        match self.ask(&format!("/v1/jobs/{id}/cancel"), None) {
            // Without an answer the job may still be cancelled.
            None | Some((200 | 202 | 503, _)) => drop(lock(&self.promises.cancelled).insert(id)),
            // The job has run and may be gone.
            Some((409 | 404, _)) => {}
            Some((status, reply)) => {
                lock(&self.promises.wrong).push(format!("cancel {id}: {status} {reply}"));
            }
        }
    }

    /// Posts a request. `None` if there was no reply, for example while a gateway is killed.
    fn ask(&mut self, path: &str, body: Option<(&str, &Value)>) -> Option<(u16, Value)> {
        let gateway = &self.system.gateways[self.dice.random_range(0..self.system.gateways.len())];
        let http = Http::new(gateway.url());
        let mut request = http.request("POST", path);
        if let Some((key, body)) = body {
            request = request.json(body);
            if path == "/v1/jobs" {
                request = request.header("Idempotency-Key", key);
            }
        }
        let since = Instant::now();
        let reply = request.try_send().ok()?;
        self.promises.slowest_ms.fetch_max(since.elapsed().as_millis() as u64, Ordering::Relaxed);
        Some((reply.status, serde_json::from_slice(&reply.body).unwrap_or_default()))
    }
}

fn id_of(job: &Value) -> Option<JobId> {
    job["id"].as_str()?.parse().ok()
}
