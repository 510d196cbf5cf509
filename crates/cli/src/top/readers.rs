//! The readers behind the screen. Over HTTP, queues and workers come on the event stream, which is one request per
//! minute, and details come at a pace that stays below the default rate limits. Directly on Redis, everything is read
//! often. Each read is bounded, whatever is stored.

use std::time::Duration;

use atode_jobs::ListRequest;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::address::Endpoint;
use crate::backend::Backend;
use crate::call_error::CallError;
use crate::gateway::Gateway;
use crate::stats::StatsArgs;
use crate::top::change::Change;
use crate::top::news::{Events, News, Part};
use crate::{failures, jobs, queues, stats, workers};

/// Pause after a failed read of the overview.
const RETRY: Duration = Duration::from_secs(2);
/// Streams that end sooner are followed by a pause.
const SHORT_STREAM: Duration = Duration::from_secs(10);
/// A gateway sends something every 15 s.
const SILENCE: Duration = Duration::from_secs(40);
/// Pause of the overview on Redis.
const DIRECT_OVERVIEW: Duration = Duration::from_secs(1);
/// The selection may move on within this time.
const SELECTING: Duration = Duration::from_millis(150);

/// The time for which lateness is shown.
pub(crate) const WINDOW: &str = "5m";
/// Next jobs read per queue.
pub(crate) const NEXT_JOBS: usize = 50;

/// The queue whose next jobs are wanted. The number grows when they should be read again at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) queue: Option<String>,
    pub(crate) changes: u64,
}

/// Time between two reads of the same details.
struct Pace {
    jobs: Duration,
    others: Duration,
}

impl Pace {
    fn of(backend: &Backend) -> Self {
        let (jobs, others) = match backend {
            Backend::Http(_) => (6, 30),
            Backend::Direct(_) => (2, 5),
        };
        Pace { jobs: Duration::from_secs(jobs), others: Duration::from_secs(others) }
    }
}

/// The way from the readers to the screen.
#[derive(Clone)]
pub(crate) struct Readers<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) news: mpsc::UnboundedSender<News>,
}

impl Readers<'_> {
    /// Reads and makes changes until it is dropped.
    pub(crate) async fn run(self, wanted: watch::Receiver<Wanted>, changes: mpsc::UnboundedReceiver<Change>) {
        let overview = async {
            match self.backend {
                Backend::Http(gateway) => self.stream(gateway).await,
                Backend::Direct(_) => self.look_again_and_again().await,
            }
        };
        tokio::join!(overview, self.details(wanted), self.make(changes));
    }

    async fn stream(&self, gateway: &Gateway) {
        loop {
            let begun = Instant::now();
            let (sender, mut lines) = mpsc::unbounded_channel();
            let gateway = gateway.clone();
            let streaming =
                tokio::task::spawn_blocking(move || gateway.stream(Endpoint::v1(["events"]), &sender));
            let mut events = Events::default();
            let ended = loop {
                match timeout(SILENCE, lines.recv()).await {
                    Ok(Some(line)) => events.read(&line).into_iter().for_each(|news| self.send(news)),
                    Ok(None) => break streaming.await,
                    Err(_) => {
                        let why = "the gateway sends no events, perhaps because a proxy holds them back: name the gateway itself with --url";
                        self.send(News::Trouble(Part::Overview, why.to_owned()));
                    }
                }
            };
            match ended {
                Ok(Err(error)) => {
                    self.send(News::Trouble(Part::Overview, error.to_string()));
                    sleep(error.retry_after().unwrap_or(RETRY)).await;
                }
                _ if begun.elapsed() < SHORT_STREAM => sleep(RETRY).await,
                _ => {}
            }
        }
    }

    async fn look_again_and_again(&self) {
        loop {
            if let Err(error) = self.overview().await {
                self.trouble(Part::Overview, &error);
            }
            sleep(DIRECT_OVERVIEW).await;
        }
    }

    async fn details(&self, mut wanted: watch::Receiver<Wanted>) {
        let pace = Pace::of(self.backend);
        let (mut jobs, mut others) = (Instant::now(), Instant::now());
        // A rate limit asked to wait until then, even if the selection moves.
        let mut jobs_not_before = Instant::now();
        loop {
            // Read first, because they bring Redis' clock.
            if others <= Instant::now() {
                let read = self.others().await;
                others = Instant::now() + self.asked_pause(read).max(pace.others);
            }
            let queue = wanted.borrow_and_update().queue.clone();
            if jobs <= Instant::now() {
                let read = match queue {
                    Some(queue) => self.next_jobs(queue).await,
                    None => Ok(()),
                };
                jobs_not_before = Instant::now() + self.asked_pause(read);
                jobs = jobs_not_before.max(Instant::now() + pace.jobs);
            }
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    sleep(SELECTING).await;
                    jobs = jobs_not_before;
                }
                () = sleep_until(jobs.min(others)) => {}
            }
        }
    }

    async fn make(&self, mut changes: mpsc::UnboundedReceiver<Change>) {
        while let Some(change) = changes.recv().await {
            let outcome = change.make(self.backend).await;
            self.send(News::Outcome(outcome.map_err(|error| format!("{error:#}"))));
        }
    }

    pub(crate) async fn overview(&self) -> anyhow::Result<()> {
        let queues = queues::read(self.backend).await?.read()?.items;
        let workers = workers::read(self.backend).await?.read()?.items;
        self.send(News::Overview { queues, workers });
        Ok(())
    }

    pub(crate) async fn others(&self) -> anyhow::Result<()> {
        let stats = stats::read(self.backend, &StatsArgs::of_window(WINDOW)).await?.read()?;
        self.send(News::Stats(Box::new(stats)));
        self.send(News::Failures(failures::read(self.backend, None, None).await?.read()?));
        Ok(())
    }

    pub(crate) async fn next_jobs(&self, queue: String) -> anyhow::Result<()> {
        let request = ListRequest {
            queue: Some(queue.clone()),
            state: Some("scheduled,ready".to_owned()),
            order: Some("asc".to_owned()),
            limit: Some(NEXT_JOBS.to_string()),
            facets: Some("false".to_owned()),
            ..ListRequest::default()
        };
        let jobs = jobs::read(self.backend, &request).await?.read()?.items;
        self.send(News::Jobs { queue, jobs });
        Ok(())
    }

    /// The time that a rate limit asks for before the next read.
    fn asked_pause(&self, read: anyhow::Result<()>) -> Duration {
        let Err(error) = read else { return Duration::ZERO };
        self.trouble(Part::Details, &error);
        error.downcast_ref().and_then(CallError::retry_after).unwrap_or_default()
    }

    fn trouble(&self, part: Part, error: &anyhow::Error) {
        self.send(News::Trouble(part, format!("{error:#}")));
    }

    fn send(&self, news: News) {
        // Nobody needs them when there is no screen.
        let _ = self.news.send(news);
    }
}
