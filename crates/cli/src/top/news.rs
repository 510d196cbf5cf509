//! The news that readers send to the screen, and the event stream of a gateway as news.

use atode_queue::{Failures, JobSummary, QueueView, Registration, Stats, WorkerId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) enum News {
    Overview {
        queues: Vec<QueueView>,
        workers: Vec<Registration>,
    },
    Queue(QueueView),
    Worker(Box<Registration>),
    WorkerGone(WorkerId),
    Stats(Box<Stats>),
    Failures(Failures),
    /// The next jobs of a queue.
    Jobs {
        queue: String,
        jobs: Vec<JobSummary>,
    },
    /// A read failed. The text says why, and what to do.
    Trouble(Part, String),
    /// A change was made, or was refused.
    Outcome(Result<String, String>),
}

/// The parts of the screen that are read independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Queues and workers.
    Overview,
    /// Lateness, failures, next jobs.
    Details,
}

/// Reads the lines of `GET /v1/events`.
#[derive(Default)]
pub(crate) struct Events {
    name: String,
}

#[derive(Deserialize)]
struct Snapshot {
    queues: Vec<QueueView>,
    workers: Vec<Registration>,
}

#[derive(Deserialize)]
struct Gone {
    id: WorkerId,
}

#[derive(Deserialize)]
struct Unavailable {
    detail: String,
}

impl Events {
    /// The news of a line, if it ends an event. Events that a newer gateway has added are skipped.
    pub(crate) fn read(&mut self, line: &str) -> Option<News> {
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut self.name);
        }
        let data = line.strip_prefix("data: ")?;
        let news = match self.name.as_str() {
            "snapshot" => parse(data, |Snapshot { queues, workers }| News::Overview { queues, workers }),
            "queue" => parse(data, News::Queue),
            "worker" => parse(data, |worker| News::Worker(Box::new(worker))),
            "worker_gone" => parse(data, |Gone { id }| News::WorkerGone(id)),
            "unavailable" => parse(data, |Unavailable { detail }| News::Trouble(Part::Overview, detail)),
            _ => return None,
        };
        Some(news.unwrap_or_else(|error| {
            let event = &self.name;
            let text = format!(
                "the event `{event}` cannot be read ({error}); the gateway may be of another version"
            );
            News::Trouble(Part::Overview, text)
        }))
    }
}

fn parse<T: DeserializeOwned>(data: &str, news: impl FnOnce(T) -> News) -> Result<News, serde_json::Error> {
    serde_json::from_str(data).map(news)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_stream_become_news() {
        let mut events = Events::default();
        let mut read = |lines: &str| lines.lines().filter_map(|line| events.read(line)).last();
        assert!(read("retry: 2000\n\n: keep-alive\n").is_none());
        assert!(matches!(
            read("event: snapshot\ndata: {\"queues\":[],\"workers\":[]}\n"),
            Some(News::Overview { .. })
        ));
        let id = "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b";
        assert!(matches!(
            read(&format!("event: worker_gone\ndata: {{\"id\":\"{id}\"}}\n")),
            Some(News::WorkerGone(gone)) if gone.to_string() == id
        ));
        assert!(matches!(
            read("event: unavailable\ndata: {\"detail\":\"Redis is away\"}\n"),
            Some(News::Trouble(Part::Overview, text)) if text == "Redis is away"
        ));
        assert!(read("event: later\ndata: 1\n").is_none());
        assert!(matches!(read("event: queue\ndata: 1\n"), Some(News::Trouble(..))));
    }
}
