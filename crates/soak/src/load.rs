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
    /// Jobs answered with 201, or with 200 after a repetition.
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

/// Runs one client until enough jobs are stored. `pause` limits its load.
pub(crate) fn run(system: &System, promises: &Promises, seed: u64, client: u64, pause: Duration) {
    let mut dice = SmallRng::seed_from_u64(seed ^ (client << 32));
    let mut request = 0_u64;
    while !promises.is_enough() {
        request += 1;
        let key = format!("{client}-{request}");
        let jobs = if dice.random_bool(0.2) { dice.random_range(2..=40) } else { 1 };
        let bodies: Vec<Value> = (0..jobs).map(|n| job(system, &mut dice, format!("{key}-{n}"))).collect();
        let ids = store(system, promises, &mut dice, &key, bodies);
        if let Some(id) = ids.first().filter(|_| dice.random_bool(0.02)) {
            cancel(system, promises, &mut dice, *id);
        }
        lock(&promises.stored).extend(ids);
        std::thread::sleep(pause);
    }
}

fn job(system: &System, dice: &mut SmallRng, key: String) -> Value {
    let end = match dice.random_range(0..100) {
        0..4 => End::AfterARetry,
        4..5 => End::AfterAPanic,
        5..6 => End::Dead,
        _ => End::Well,
    };
    let task = Task {
        dir: system.dir.path().display().to_string(),
        key,
        ms: if dice.random_bool(0.05) { dice.random_range(200..1_500) } else { dice.random_range(0..20) },
        end,
        padding: padding(system, dice),
    };
    json!({"kind": Task::KIND, "payload": task, "delay": format!("{}ms", dice.random_range(0..2_000))})
}

/// Padding of up to 200 kB for one job in 20 while large payloads are on.
fn padding(system: &System, dice: &mut SmallRng) -> String {
    if !system.large_payloads.load(Ordering::Relaxed) || dice.random_bool(0.95) {
        return String::new();
    }
    let bytes = dice.random_range(1_000..LARGEST);
    (0..bytes).map(|_| char::from(dice.random_range(b'a'..=b'z'))).collect()
}

/// Enqueues the jobs and returns their ids once the outcome is known.
fn store(
    system: &System,
    promises: &Promises,
    dice: &mut SmallRng,
    key: &str,
    bodies: Vec<Value>,
) -> Vec<JobId> {
    let jobs = bodies.len() as u64;
    let (path, body) = match bodies.len() {
        1 => ("/v1/jobs", bodies.into_iter().next().unwrap_or_default()),
        _ => {
            let keyed = bodies.into_iter().enumerate().map(|(n, mut job)| {
                job["idempotency_key"] = format!("{key}-{n}").into();
                job
            });
            ("/v1/jobs/batch", json!({"jobs": keyed.collect::<Vec<_>>()}))
        }
    };
    for _ in 0..REPEATS {
        match ask(system, promises, dice, "POST", path, Some((key, &body))) {
            Some((201 | 200, reply)) if reply["id"].is_string() => {
                return id_of(&reply).into_iter().collect();
            }
            Some((200, reply)) if reply["rejected"] == 0 => {
                let results = reply["results"].as_array().map(Vec::as_slice).unwrap_or_default();
                return results.iter().filter_map(|result| id_of(&result["job"])).collect();
            }
            // Some jobs of a batch may be stored by now, and are promised. The repetition answers for all of them.
            Some((200, reply)) => {
                let results = reply["results"].as_array().map(Vec::as_slice).unwrap_or_default();
                lock(&promises.stored).extend(results.iter().filter_map(|result| id_of(&result["job"])));
            }
            None | Some((503 | 408, _)) => {}
            Some((status, reply)) => {
                lock(&promises.wrong).push(format!("POST {path}: {status} {reply}"));
                return Vec::new();
            }
        }
        if promises.is_enough() {
            break;
        }
        promises.repeated.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(REPEAT_INTERVAL);
    }
    promises.unknown.fetch_add(jobs, Ordering::Relaxed);
    Vec::new()
}

fn id_of(job: &Value) -> Option<JobId> {
    job["id"].as_str()?.parse().ok()
}

fn cancel(system: &System, promises: &Promises, dice: &mut SmallRng, id: JobId) {
    match ask(system, promises, dice, "POST", &format!("/v1/jobs/{id}/cancel"), None) {
        // Without an answer the job may still be cancelled.
        None | Some((200 | 202 | 503, _)) => drop(lock(&promises.cancelled).insert(id)),
        // The job has run and may be gone.
        Some((409 | 404, _)) => {}
        Some((status, reply)) => lock(&promises.wrong).push(format!("cancel {id}: {status} {reply}")),
    }
}

/// Sends a request. `None` if there was no reply, for example while a gateway is killed.
fn ask(
    system: &System,
    promises: &Promises,
    dice: &mut SmallRng,
    method: &str,
    path: &str,
    body: Option<(&str, &Value)>,
) -> Option<(u16, Value)> {
    let gateway = &system.gateways[dice.random_range(0..system.gateways.len())];
    let http = Http::new(gateway.url());
    let mut request = http.request(method, path);
    if let Some((key, body)) = body {
        request = request.json(body);
        if path == "/v1/jobs" {
            request = request.header("Idempotency-Key", key);
        }
    }
    let since = Instant::now();
    let reply = request.try_send().ok()?;
    promises.slowest_ms.fetch_max(since.elapsed().as_millis() as u64, Ordering::Relaxed);
    Some((reply.status, serde_json::from_slice(&reply.body).unwrap_or_default()))
}
