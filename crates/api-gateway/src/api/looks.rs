//! The last look at the queues and workers, which all streams of `events.rs` share, and the events that lead to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, watch};

/// Streams at the same time.
pub(crate) const MAX_STREAMS: usize = 500;

/// The looks that all streams share.
pub(crate) struct Looks {
    pub(crate) latest: watch::Sender<Look>,
    /// A stream has begun.
    pub(crate) begun: Notify,
    pub(crate) streams: Arc<Semaphore>,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Look {
    /// Nobody has looked since the last stream ended.
    Never,
    Seen(Arc<Overview>),
    /// Redis did not answer. The text is for the client.
    Away(String),
}

/// Queues and live workers as JSON, by name and id.
#[derive(PartialEq)]
pub(crate) struct Overview {
    pub(crate) queues: BTreeMap<String, String>,
    pub(crate) workers: BTreeMap<String, String>,
}

impl Default for Looks {
    fn default() -> Self {
        Looks {
            latest: watch::Sender::new(Look::Never),
            begun: Notify::new(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }
}

impl Overview {
    pub(crate) fn snapshot(&self) -> String {
        let list = |items: &BTreeMap<_, String>| items.values().cloned().collect::<Vec<_>>().join(",");
        let (queues, workers) = (list(&self.queues), list(&self.workers));
        event("snapshot", &format!("{{\"queues\":[{queues}],\"workers\":[{workers}]}}"))
    }

    /// Events for everything that differs from an earlier overview.
    pub(crate) fn changes(&self, before: &Overview) -> String {
        let mut events = String::new();
        for (name, queue) in &self.queues {
            if before.queues.get(name) != Some(queue) {
                events += &event("queue", queue);
            }
        }
        for (id, worker) in &self.workers {
            if before.workers.get(id) != Some(worker) {
                events += &event("worker", worker);
            }
        }
        for id in before.workers.keys().filter(|id| !self.workers.contains_key(*id)) {
            events += &event("worker_gone", &serde_json::json!({ "id": id }).to_string());
        }
        events
    }
}

/// One event. JSON has no line breaks, so its data is one line.
pub(crate) fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
