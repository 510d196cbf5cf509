//! Runs bulk operations: page by page, in small groups, at a pace that leaves Redis to the workers.
//!
//! Before each group the runner writes which jobs it is about to change, and how far it has come. A runner that takes
//! over tries that group again: a job that is where the operation would have brought it was changed before, so each job
//! is changed and counted once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fred::interfaces::SortedSetsInterface;

use crate::bulk::action::SECOND_LOOK;
use crate::bulk::find::{self, Found, Page};
use crate::bulk::hold::{self, Held, Noted};
use crate::bulk::perform::{Outcome, perform};
use crate::bulk::progress::Progress;
use crate::bulk::store::Bulks;
use crate::bulk::target::Target;
use crate::bulk::view::{BulkRunner, BulkState};
use crate::core::Core;
use crate::error::Error;
use crate::list::selection::{Kinds, Retention};
use crate::model::id::{BulkId, JobId};
use crate::model::state::State;

/// Bulk operations that run at the same time. Further ones wait for their turn.
pub const MAX_RUNNING_BULKS: u32 = 2;

/// Jobs per group.
const GROUP: usize = 50;

/// The pause after a call without an answer.
const BACK_OFF: Duration = Duration::from_secs(1);
/// The longest pause of the pace, far below the lease of the runner.
const LONGEST_REST: Duration = Duration::from_secs(1);

impl Bulks<'_> {
    /// Takes the next bulk operation that nobody runs, if there is one, and runs it until it ends or `is_stopping` says
    /// so; then another runner goes on. Returns whether there was one.
    pub async fn run_next(
        self,
        runner: &BulkRunner,
        retention: Retention<'_>,
        is_stopping: &(dyn Fn() -> bool + Sync),
    ) -> Result<bool, Error> {
        let core = self.core;
        let open: Vec<String> =
            core.connection.client()?.zrange(core.keys.open_bulks(), 0, -1, None, false, None, false).await?;
        let runner = serde_json::to_string(runner).expect("texts and numbers always serialize");
        let mut running = 0;
        for id in open.iter().filter_map(|id| id.parse::<BulkId>().ok()) {
            if running == MAX_RUNNING_BULKS {
                break;
            }
            match hold::take(core, id, &runner).await {
                Ok(None) => running += 1,
                Ok(Some(held)) => {
                    let mut run = Run { core, held, retention, is_stopping, kinds: None, runners: 1 };
                    Box::pin(run.run()).await?;
                    return Ok(true);
                }
                Err(error @ Error::Corrupt(_)) => {
                    tracing::debug!(bulk.id = %id, %error, "a bulk operation is left to other processes");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// The run of a bulk operation by this process.
struct Run<'a> {
    core: &'a Core,
    held: Held,
    retention: Retention<'a>,
    is_stopping: &'a (dyn Fn() -> bool + Sync),
    /// Unset until they are read.
    kinds: Option<Kinds>,
    /// Bulk operations that run now, here and elsewhere.
    runners: u32,
}

/// Why a run does not go on.
enum Stop {
    /// Another runner goes on.
    Lost,
    /// This process stops.
    Stopping,
    Aborted,
    Failed(Error),
}

impl Run<'_> {
    async fn run(&mut self) -> Result<(), Error> {
        let (id, action) = (self.held.id, self.held.action);
        tracing::info!(bulk.id = %id, %action, done = self.held.progress.counts.done, "a bulk operation runs here");
        let (state, why) = match self.go_through().await {
            Ok(()) => (BulkState::Finished, String::new()),
            Err(Stop::Aborted) => (BulkState::Aborted, String::new()),
            Err(Stop::Failed(error)) => {
                tracing::error!(bulk.id = %id, %error, "a bulk operation fails");
                (BulkState::Failed, error.outline().into_owned())
            }
            Err(Stop::Lost) => return Ok(()),
            Err(Stop::Stopping) => return self.held.give_back(self.core).await,
        };
        while let Err(error) = self.held.end(self.core, state, &why).await {
            if self.back_off(&error).await.is_err() {
                return Err(error);
            }
        }
        let counts = self.held.progress.counts;
        tracing::info!(bulk.id = %id, %action, %state, ?counts, "a bulk operation has ended");
        Ok(())
    }

    async fn go_through(&mut self) -> Result<(), Stop> {
        let doing = std::mem::take(&mut self.held.progress.doing);
        if !doing.is_empty() {
            let doubtful = doing.iter().map(|target| target.id).collect();
            self.change(doing, doubtful).await?;
        }
        while self.held.progress.phase < self.held.phases.len() {
            let page = self.page().await?;
            let mut counted = 0;
            for group in page.found.chunks(GROUP) {
                counted += self.change_group(group, counted).await?;
            }
            self.count_looks(page.looked_at - counted);
            let progress = &mut self.held.progress;
            progress.phase += usize::from(page.next.is_none());
            progress.cursor = page.next;
            if page.found.is_empty() {
                self.note().await?;
            }
        }
        Ok(())
    }

    async fn page(&mut self) -> Result<Page, Stop> {
        loop {
            let begun = Instant::now();
            match self.look().await {
                Ok(page) => {
                    self.rest(begun).await;
                    return Ok(page);
                }
                Err(error @ Error::Corrupt(_)) => return Err(Stop::Failed(error)),
                Err(error) => {
                    self.back_off(&error).await?;
                    self.note().await?;
                }
            }
        }
    }

    async fn look(&mut self) -> Result<Page, Error> {
        let Held { phases, progress, as_of, .. } = &self.held;
        let (query, cursor) = (&phases[progress.phase], progress.cursor.as_ref());
        let kinds = match &mut self.kinds {
            Some(kinds) => kinds,
            unset => unset.insert(find::kinds(self.core, query).await?),
        };
        let is_later_look = progress.phase >= SECOND_LOOK;
        find::page(self.core, kinds, query, is_later_look, *as_of, cursor, self.retention).await
    }

    /// A later look counts only the jobs that it changes: the first one has counted the others.
    fn count_looks(&mut self, jobs: u64) {
        if self.held.progress.phase < SECOND_LOOK {
            self.held.progress.counts.done += jobs;
        }
    }

    /// Returns the number of jobs looked at up to the end of the group, without those that were counted before.
    async fn change_group(&mut self, group: &[Found], counted: u64) -> Result<u64, Stop> {
        let Some(last) = group.last() else { return Ok(0) };
        let looked_at = last.looked_at - counted;
        let progress = &mut self.held.progress;
        let before = Progress { doing: Vec::new(), ..progress.clone() };
        progress.doing = group.iter().map(|found| found.target.clone()).collect();
        progress.cursor = Some(last.behind.clone());
        self.count_looks(looked_at);
        if let Err(stop) = self.note().await {
            self.held.progress = before;
            return Err(stop);
        }
        let targets = std::mem::take(&mut self.held.progress.doing);
        self.change(targets, HashSet::new()).await?;
        Ok(looked_at)
    }

    /// Changes these jobs. The doubtful ones may have been changed before.
    async fn change(&mut self, mut targets: Vec<Target>, mut doubtful: HashSet<JobId>) -> Result<(), Stop> {
        let Held { action, phases, progress, .. } = &self.held;
        let (action, is_later_look) = (*action, progress.phase >= SECOND_LOOK);
        let active_come_later = progress.phase == 0 && phases.len() > 1;
        // Between waiting and active, jobs go back and forth.
        let follow_to = match progress.phase {
            0 => Vec::new(),
            _ => phases.iter().take(SECOND_LOOK).flat_map(|query| query.states.clone()).collect(),
        };
        loop {
            let begun = Instant::now();
            let outcomes =
                perform(self.core, action, &targets, &follow_to, |id| doubtful.contains(&id)).await;
            let mut later = Vec::new();
            let mut never = None;
            let progress = &mut self.held.progress;
            for (target, outcome) in targets.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Changed => {
                        progress.counts.changed += 1;
                        progress.counts.done += u64::from(is_later_look);
                    }
                    Outcome::Moved(Some(State::Active)) if active_come_later => {
                        progress.counts.done = progress.counts.done.saturating_sub(1);
                    }
                    Outcome::Later { is_doubtful } => {
                        if is_doubtful {
                            doubtful.insert(target.id);
                        }
                        later.push(target);
                    }
                    Outcome::Never(error) => never = Some(error),
                    Outcome::Moved(_) | Outcome::Failed(_) if is_later_look => {}
                    Outcome::Moved(state) => progress.skip(&target, state),
                    Outcome::Failed(reason) => progress.fail(&target, &reason),
                }
            }
            self.rest(begun).await;
            if let Some(error) = never {
                return Err(Stop::Failed(error));
            }
            if later.is_empty() {
                return Ok(());
            }
            self.held.progress.doing = later;
            self.back_off(&Error::behind_silence()).await?;
            self.note().await?;
            targets = std::mem::take(&mut self.held.progress.doing);
        }
    }

    /// Writes the progress, as often as it takes.
    async fn note(&mut self) -> Result<(), Stop> {
        if (self.is_stopping)() {
            return Err(Stop::Stopping);
        }
        loop {
            match self.held.note(self.core).await {
                Ok(Noted::Written { open }) => {
                    self.runners = u32::try_from(open).unwrap_or(u32::MAX).clamp(1, MAX_RUNNING_BULKS);
                    return Ok(());
                }
                Ok(Noted::ToAbort) => return Err(Stop::Aborted),
                Ok(Noted::Lost) => return Err(Stop::Lost),
                Err(error @ Error::Corrupt(_)) => return Err(Stop::Failed(error)),
                Err(error) => self.back_off(&error).await?,
            }
        }
    }

    /// Works half of the time, and shares that with the other runners.
    async fn rest(&self, begun: Instant) {
        let rest = begun.elapsed() * (2 * self.runners - 1);
        tokio::time::sleep(rest.min(LONGEST_REST)).await;
    }

    async fn back_off(&self, error: &Error) -> Result<(), Stop> {
        tracing::warn!(bulk.id = %self.held.id, %error, "a bulk operation waits for Redis");
        tokio::time::sleep(BACK_OFF).await;
        if (self.is_stopping)() { Err(Stop::Stopping) } else { Ok(()) }
    }
}
