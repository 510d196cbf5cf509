//! Clients that enqueue over HTTP, repeat what got no clear answer under the same key, and write
//! down what was answered.

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

use crate::stand::{Stand, lock};
use crate::task::{End, Task};

/// How often a client repeats a request before it gives up; its outcome stays unknown then.
const REPEATS: u32 = 40;
const BETWEEN_REPEATS: Duration = Duration::from_millis(250);
/// Bytes of padding: with all the rest the job stays below `server.max_body_bytes`.
const LARGEST: usize = 200_000;

/// What clients were told. Outside of Redis.
#[derive(Default)]
pub(crate) struct Promises {
    /// Answered 201, or 200 on a repeat.
    pub(crate) stored: Mutex<BTreeSet<JobId>>,
    /// Of these a cancellation was answered 200 or 202.
    pub(crate) cancelled: Mutex<BTreeSet<JobId>>,
    /// Jobs whose clients gave up.
    pub(crate) unknown: AtomicU64,
    /// 503 and broken connections, all repeated.
    pub(crate) repeated: AtomicU64,
    /// Anything that no fault excuses.
    pub(crate) wrong: Mutex<Vec<String>>,
    /// The longest that an answer took, ms.
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

/// One client, until enough jobs are stored. `pause` bounds what it asks of the system.
pub(crate) fn run(stand: &Stand, promises: &Promises, seed: u64, client: u64, pause: Duration) {
    let mut dice = SmallRng::seed_from_u64(seed ^ (client << 32));
    let mut request = 0_u64;
    while !promises.is_enough() {
        request += 1;
        let key = format!("{client}-{request}");
        let jobs = if dice.random_bool(0.2) { dice.random_range(2..=40) } else { 1 };
        let bodies: Vec<Value> = (0..jobs).map(|n| job(stand, &mut dice, format!("{key}-{n}"))).collect();
        let ids = store(stand, promises, &mut dice, &key, bodies);
        if let Some(id) = ids.first().filter(|_| dice.random_bool(0.02)) {
            cancel(stand, promises, &mut dice, *id);
        }
        lock(&promises.stored).extend(ids);
        std::thread::sleep(pause);
    }
}

fn job(stand: &Stand, dice: &mut SmallRng, key: String) -> Value {
    let end = match dice.random_range(0..100) {
        0..4 => End::AfterARetry,
        4..5 => End::AfterAPanic,
        5..6 => End::Dead,
        _ => End::Well,
    };
    let task = Task {
        dir: stand.dir.path().display().to_string(),
        key,
        ms: if dice.random_bool(0.05) { dice.random_range(200..1_500) } else { dice.random_range(0..20) },
        end,
        padding: padding(stand, dice),
    };
    json!({"kind": Task::KIND, "payload": task, "delay": format!("{}ms", dice.random_range(0..2_000))})
}

/// Up to 200 kB, in one job of 20 while large payloads are wanted.
fn padding(stand: &Stand, dice: &mut SmallRng) -> String {
    if !stand.large_payloads.load(Ordering::Relaxed) || dice.random_bool(0.95) {
        return String::new();
    }
    let bytes = dice.random_range(1_000..LARGEST);
    (0..bytes).map(|_| char::from(dice.random_range(b'a'..=b'z'))).collect()
}

/// The ids of the jobs once the outcome is known.
fn store(
    stand: &Stand,
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
        match ask(stand, promises, dice, "POST", path, Some((key, &body))) {
            Some((201 | 200, reply)) if reply["id"].is_string() => {
                return id_of(&reply).into_iter().collect();
            }
            Some((200, reply)) if reply["rejected"] == 0 => {
                let results = reply["results"].as_array().map(Vec::as_slice).unwrap_or_default();
                return results.iter().filter_map(|result| id_of(&result["job"])).collect();
            }
            // Of a batch some may be stored by now: promised. The repeat answers for all.
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
        std::thread::sleep(BETWEEN_REPEATS);
    }
    promises.unknown.fetch_add(jobs, Ordering::Relaxed);
    Vec::new()
}

fn id_of(job: &Value) -> Option<JobId> {
    job["id"].as_str()?.parse().ok()
}

fn cancel(stand: &Stand, promises: &Promises, dice: &mut SmallRng, id: JobId) {
    match ask(stand, promises, dice, "POST", &format!("/v1/jobs/{id}/cancel"), None) {
        // Without an answer it may be cancelled all the same.
        None | Some((200 | 202 | 503, _)) => drop(lock(&promises.cancelled).insert(id)),
        // It has run, and may be gone.
        Some((409 | 404, _)) => {}
        Some((status, reply)) => lock(&promises.wrong).push(format!("cancel {id}: {status} {reply}")),
    }
}

/// None: there was no reply, as while a gateway is killed.
fn ask(
    stand: &Stand,
    promises: &Promises,
    dice: &mut SmallRng,
    method: &str,
    path: &str,
    body: Option<(&str, &Value)>,
) -> Option<(u16, Value)> {
    let gateway = &stand.gateways[dice.random_range(0..stand.gateways.len())];
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
