//! Notices jobs that no live worker would take: they wait, and the log says so.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atode_queue::{Client, Registration};

/// How old the list of live workers may be when a job is enqueued.
const FRESH: Duration = Duration::from_secs(5);
/// A queue and kind that nobody serves is said once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Looks at the live workers at most once in [`FRESH`], beside the enqueue that asks, and only when there is one.
#[derive(Default)]
pub(crate) struct Served {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When somebody last began to look.
    looked: Option<Instant>,
    /// Queue → kinds that a live worker claims from it. None: nothing is known.
    seen: Option<HashMap<String, HashSet<String>>>,
    said: HashMap<(Arc<str>, Arc<str>), Instant>,
}

impl Served {
    /// A job of this queue and kind was stored. Returns at once.
    pub(crate) fn enqueued(self: &Arc<Self>, client: &Client, queue: &Arc<str>, kind: &Arc<str>) {
        if !self.lock().is_stale() {
            return self.say_if_unserved(queue, kind);
        }
        let (served, client) = (self.clone(), client.clone());
        let (queue, kind) = (queue.clone(), kind.clone());
        actix_web::rt::spawn(async move {
            let workers = client.workers().await.ok();
            served.lock().seen = workers.map(|workers| claims(&workers));
            served.say_if_unserved(&queue, &kind);
        });
    }

    fn say_if_unserved(&self, queue: &Arc<str>, kind: &Arc<str>) {
        if self.lock().is_to_be_said(queue, kind) {
            tracing::warn!(
                %queue, %kind,
                "a job was enqueued that no live worker takes: it waits for one that has this queue and knows this kind"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True for one caller, who has to look.
    fn is_stale(&mut self) -> bool {
        let is_stale = self.looked.is_none_or(|looked| looked.elapsed() > FRESH);
        if is_stale {
            self.looked = Some(Instant::now());
        }
        is_stale
    }

    fn is_to_be_said(&mut self, queue: &Arc<str>, kind: &Arc<str>) -> bool {
        let Some(seen) = &self.seen else { return false };
        if seen.get(&**queue).is_some_and(|kinds| kinds.contains(&**kind)) {
            return false;
        }
        let name = (queue.clone(), kind.clone());
        if self.said.get(&name).is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            return false;
        }
        self.said.insert(name, Instant::now());
        true
    }
}

fn claims(workers: &[Registration]) -> HashMap<String, HashSet<String>> {
    let mut claims: HashMap<String, HashSet<String>> = HashMap::new();
    for worker in workers {
        for queue in worker.queues.keys().filter(|queue| worker.claims_from(queue)) {
            claims.entry(queue.clone()).or_default().extend(worker.kinds.iter().cloned());
        }
    }
    claims
}
