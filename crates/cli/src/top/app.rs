//! The state of the screen: the selection in each pane, an open dialog, and the meaning of each key.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use jiff::Timestamp;

use crate::top::board::Board;
use crate::top::change::Change;
use crate::top::news::News;

/// Rows of a page.
const PAGE: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    Queues,
    Workers,
    Jobs,
    Failures,
}

impl Pane {
    pub(crate) const ALL: [Pane; 4] = [Pane::Queues, Pane::Workers, Pane::Jobs, Pane::Failures];
}

pub(crate) enum Dialog {
    Help,
    Confirm(Change),
}

/// The selected row of a pane. It follows its object when rows come and go.
#[derive(Default, Clone)]
pub(crate) struct Choice {
    id: Option<String>,
    pub(crate) row: usize,
}

/// The request that a key makes of the program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Nothing,
    Quit,
    Redraw,
    Make(Change),
}

pub(crate) struct App {
    /// The gateway or Redis that is shown.
    pub(crate) source: String,
    pub(crate) board: Board,
    pub(crate) pane: Pane,
    pub(crate) dialog: Option<Dialog>,
    /// The outcome of the last change, until the next key.
    pub(crate) outcome: Option<Result<String, String>>,
    choices: [Choice; 4],
}

impl App {
    pub(crate) fn new(source: String) -> Self {
        App {
            source,
            board: Board::default(),
            pane: Pane::Queues,
            dialog: None,
            outcome: None,
            choices: Default::default(),
        }
    }

    pub(crate) fn take(&mut self, news: News, local: Timestamp) {
        match news {
            News::Outcome(outcome) => self.outcome = Some(outcome),
            // The selection has moved on.
            News::Jobs { queue, .. } if self.selected_queue() != Some(&queue) => {}
            news => self.board.take(news, local),
        }
        self.follow();
    }

    fn follow(&mut self) {
        for pane in Pane::ALL {
            if pane == Pane::Jobs && self.board.jobs_of.as_deref() != self.selected_queue() {
                (self.board.jobs_of, self.board.jobs) = (None, Vec::new());
            }
            let ids = self.ids(pane);
            self.choices[pane as usize].follow(&ids);
        }
    }

    /// The row that is selected in a pane, if the pane has rows.
    pub(crate) fn row(&self, pane: Pane) -> Option<usize> {
        let choice = &self.choices[pane as usize];
        choice.id.as_ref().map(|_| choice.row)
    }

    pub(crate) fn selected_queue(&self) -> Option<&str> {
        self.choices[Pane::Queues as usize].id.as_deref()
    }

    pub(crate) fn key(&mut self, key: KeyEvent) -> Request {
        if key.kind == KeyEventKind::Release {
            return Request::Nothing;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Request::Quit,
                KeyCode::Char('l') => Request::Redraw,
                _ => Request::Nothing,
            };
        }
        self.outcome = None;
        match self.dialog.take() {
            Some(Dialog::Confirm(change)) if key.code == KeyCode::Char('y') => return Request::Make(change),
            // Any other key keeps everything as it is.
            Some(_) => return Request::Nothing,
            None => {}
        }
        match key.code {
            KeyCode::Char('q') => return Request::Quit,
            KeyCode::Char('?') => self.dialog = Some(Dialog::Help),
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.next_pane(1),
            KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => self.next_pane(Pane::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.go(|row, _| row + 1),
            KeyCode::Up | KeyCode::Char('k') => self.go(|row, _| row.saturating_sub(1)),
            KeyCode::PageDown => self.go(|row, _| row + PAGE),
            KeyCode::PageUp => self.go(|row, _| row.saturating_sub(PAGE)),
            KeyCode::Home | KeyCode::Char('g') => self.go(|_, _| 0),
            KeyCode::End | KeyCode::Char('G') => self.go(|_, rows| rows),
            KeyCode::Char('p') => self.ask(App::pause_or_resume, "no queue is selected"),
            KeyCode::Char('Q') => self.ask(App::quiet, "no worker is selected"),
            KeyCode::Char('r') => self.ask(App::run_now, "no waiting job is selected"),
            _ => {}
        }
        Request::Nothing
    }

    /// Opens the dialog about a change of what is selected.
    fn ask(&mut self, change: fn(&App) -> Option<Change>, nothing: &str) {
        match change(self) {
            Some(change) => self.dialog = Some(Dialog::Confirm(change)),
            None => self.outcome = Some(Err(nothing.to_owned())),
        }
    }

    fn pause_or_resume(&self) -> Option<Change> {
        let queue = self.board.queues.get(self.row(Pane::Queues)?)?;
        let name = queue.name.clone();
        Some(if queue.paused { Change::Resume(name) } else { Change::Pause(name) })
    }

    fn quiet(&self) -> Option<Change> {
        let worker = &self.board.workers.get(self.row(Pane::Workers)?)?.worker;
        Some(Change::Quiet { id: worker.id, name: format!("{} on {}", worker.pid, worker.host) })
    }

    fn run_now(&self) -> Option<Change> {
        let job = self.board.jobs.get(self.row(Pane::Jobs)?)?;
        Some(Change::RunNow { id: job.id, kind: job.kind.clone() })
    }

    fn next_pane(&mut self, steps: usize) {
        self.pane = Pane::ALL[(self.pane as usize + steps) % Pane::ALL.len()];
    }

    fn go(&mut self, to: fn(usize, usize) -> usize) {
        let ids = self.ids(self.pane);
        self.choices[self.pane as usize].go(to, &ids);
        self.follow();
    }

    /// The ids of the rows of a pane.
    fn ids(&self, pane: Pane) -> Vec<String> {
        let board = &self.board;
        match pane {
            Pane::Queues => board.queues.iter().map(|queue| queue.name.clone()).collect(),
            Pane::Workers => board.workers.iter().map(|worker| worker.worker.id.to_string()).collect(),
            Pane::Jobs => board.jobs.iter().map(|job| job.id.to_string()).collect(),
            Pane::Failures => board.failures.iter().map(|group| group.fingerprint.to_string()).collect(),
        }
    }
}

impl Choice {
    fn follow(&mut self, ids: &[String]) {
        let found = self.id.as_ref().and_then(|id| ids.iter().position(|known| known == id));
        self.row = found.unwrap_or(self.row).min(ids.len().saturating_sub(1));
        self.id = ids.get(self.row).cloned();
    }

    fn go(&mut self, to: fn(usize, usize) -> usize, ids: &[String]) {
        let last = ids.len().saturating_sub(1);
        self.row = to(self.row, last).min(last);
        self.id = ids.get(self.row).cloned();
    }
}
