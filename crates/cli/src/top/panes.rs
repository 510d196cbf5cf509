//! The four panes: which columns fit, and the values of a row.

use atode_config::one_line;
use atode_queue::{FailureGroup, JobSummary, QueueView, Registration};
use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::stats;
use crate::style::Tone;
use crate::top::app::{App, Pane};
use crate::top::grid::{Column, Grid, Side, Value, filling, fixed};
use crate::top::readers::NEXT_JOBS;
use crate::top::theme::Theme;
use crate::top::words::{ago, count, due, length};

/// Widths from which more columns fit.
const WITH_LATENESS: u16 = 56;
const WITH_BUILDS: u16 = 60;
const WITH_JOB_IDS: u16 = 64;
const WITH_ATTEMPTS: u16 = 72;
const WITH_RATES: u16 = 76;
const WITH_ALL_STATES: u16 = 108;
const WITH_WORKER_IDS: u16 = 120;

/// In a pane about which nothing is known yet.
const UNREAD: &str = "not read yet";

/// The place and the look of a pane.
pub(crate) struct Canvas<'a> {
    pub(crate) buffer: &'a mut Buffer,
    pub(crate) theme: Theme,
    pub(crate) now: Timestamp,
}

pub(crate) fn draw(pane: Pane, app: &App, area: Rect, canvas: &mut Canvas<'_>) {
    match pane {
        Pane::Queues => queues(app, area, canvas),
        Pane::Workers => workers(app, area, canvas),
        Pane::Jobs => jobs(app, area, canvas),
        Pane::Failures => failures(app, area, canvas),
    }
}

/// The number of rows that a pane would show if there were room.
pub(crate) fn rows(pane: Pane, app: &App) -> usize {
    match pane {
        Pane::Queues => app.board.queues.len(),
        Pane::Workers => app.board.workers.len(),
        Pane::Jobs => app.board.jobs.len(),
        Pane::Failures => app.board.failures.len(),
    }
}

fn queues(app: &App, area: Rect, canvas: &mut Canvas<'_>) {
    let all = &app.board.queues;
    let width = area.width;
    let has_paused = all.iter().any(|queue| queue.paused);
    let number = |title, width| fixed(title, width, Side::Right);
    let (fits, columns) = shown(vec![
        (true, filling("QUEUE")),
        (has_paused, fixed("PAUSED", 6, Side::Left)),
        (true, number("SCHEDULED", 9)),
        (true, number("READY", 6)),
        (true, number("ACTIVE", 6)),
        (width >= WITH_ALL_STATES, number("COMPLETED", 9)),
        (true, number("DEAD", 6)),
        (width >= WITH_ALL_STATES, number("CANCELLED", 9)),
        (width >= WITH_RATES, number("OLDEST", 7)),
        (width >= WITH_RATES, number("IN/MIN", 6)),
        (width >= WITH_RATES, number("OUT/MIN", 7)),
        (width >= WITH_LATENESS, number("LATE P99", 8)),
    ]);
    let row = |queue: &QueueView| {
        let (counts, rates) = (queue.counts, queue.rates);
        let values = [
            plain(&queue.name),
            (if queue.paused { "paused" } else { "" }.to_owned(), Tone::Warning),
            plain(count(counts.scheduled)),
            plain(count(counts.ready)),
            toned(counts.active, Tone::Busy),
            plain(count(counts.completed)),
            toned(counts.dead, Tone::Bad),
            plain(count(counts.cancelled)),
            plain(queue.oldest_ready_age.map_or("–".to_owned(), |age| length(age.0))),
            plain(count(rates.enqueued)),
            plain(count(rates.completed + rates.buried + rates.cancelled)),
            plain(stats::time(app.board.lateness(&queue.name))),
        ];
        kept(values, &fits)
    };
    let grid = grid(app, Pane::Queues, &columns, UNREAD);
    grid.draw(area, canvas.buffer, canvas.theme, |n| row(&all[n]));
}

fn workers(app: &App, area: Rect, canvas: &mut Canvas<'_>) {
    let width = area.width;
    let (fits, columns) = shown(vec![
        (width >= WITH_WORKER_IDS, fixed("WORKER", 36, Side::Left)),
        (true, filling("HOST")),
        (true, fixed("PID", 7, Side::Right)),
        (width >= WITH_BUILDS, fixed("BUILD", 18, Side::Left)),
        (true, fixed("STATE", 8, Side::Left)),
        (true, fixed("ACTIVE", 9, Side::Right)),
        (width >= WITH_RATES, fixed("QUEUES", 14, Side::Left)),
    ]);
    let all = &app.board.workers;
    let row = |it: &Registration| {
        let state = it.state.to_string();
        let tone = if it.active >= it.slots { Tone::Warning } else { Tone::Plain };
        let values = [
            plain(it.worker.id.to_string()),
            plain(&it.worker.host),
            plain(it.worker.pid.to_string()),
            plain(&it.worker.build),
            (state.clone(), Tone::of_state(&state)),
            (format!("{}/{}", it.active, it.slots), tone),
            plain(it.queues.keys().cloned().collect::<Vec<_>>().join(", ")),
        ];
        kept(values, &fits)
    };
    let none = "no worker is running; jobs wait until one does";
    let empty = if app.board.seen_at.is_some() { none } else { UNREAD };
    let grid = grid(app, Pane::Workers, &columns, empty);
    grid.draw(area, canvas.buffer, canvas.theme, |n| row(&all[n]));
}

fn jobs(app: &App, area: Rect, canvas: &mut Canvas<'_>) {
    let (fits, columns) = shown(vec![
        (true, fixed("DUE", 12, Side::Right)),
        (true, filling("KIND")),
        (area.width >= WITH_ATTEMPTS, fixed("ATTEMPT", 7, Side::Right)),
        (area.width >= WITH_JOB_IDS, fixed("JOB", 36, Side::Left)),
    ]);
    let all = &app.board.jobs;
    let now = canvas.now;
    let row = |job: &JobSummary| {
        let at = job.due_at.map_or(String::new(), |at| due(app.board.relative(at, now)));
        let values =
            [plain(at), plain(&job.kind), plain((job.attempt + 1).to_string()), plain(job.id.to_string())];
        kept(values, &fits)
    };
    let empty = if app.board.jobs_of.is_some() { "no job waits in this queue" } else { UNREAD };
    let grid = grid(app, Pane::Jobs, &columns, empty);
    grid.draw(area, canvas.buffer, canvas.theme, |n| row(&all[n]));
}

fn failures(app: &App, area: Rect, canvas: &mut Canvas<'_>) {
    let columns = [
        fixed("DEAD", 6, Side::Right),
        fixed("KIND", 18, Side::Left),
        fixed("LAST SEEN", 11, Side::Right),
        filling("ERROR"),
    ];
    let all = &app.board.failures;
    let now = canvas.now;
    let row = |group: &FailureGroup| {
        let seen = group.last_seen.map_or("–".to_owned(), |at| ago(app.board.relative(at, now)));
        let error = group.error.clone().unwrap_or_else(|| "(in no group)".to_owned());
        vec![toned(group.count, Tone::Bad), plain(&group.kind), plain(seen), plain(error)]
    };
    let empty = if app.board.failures_seen { "no job is dead" } else { UNREAD };
    let grid = grid(app, Pane::Failures, &columns, empty);
    grid.draw(area, canvas.buffer, canvas.theme, |n| row(&all[n]));
}

fn grid<'a>(app: &App, pane: Pane, columns: &'a [Column], empty: &'static str) -> Grid<'a> {
    let queue = app.row(Pane::Queues).and_then(|row| app.board.queues.get(row));
    let (title, note) = match pane {
        Pane::Queues => ("Queues".to_owned(), String::new()),
        Pane::Workers => {
            let (active, slots) = app.board.workers.iter().fold((0, 0), |(active, slots), worker| {
                (active + u64::from(worker.active), slots + u64::from(worker.slots))
            });
            ("Workers".to_owned(), format!("{active} of {slots} slots in use"))
        }
        Pane::Jobs => {
            let name = queue.map_or("–", |queue| &queue.name);
            let note = queue.map_or(String::new(), |queue| {
                format!(
                    "{} completed, {} cancelled",
                    count(queue.counts.completed),
                    count(queue.counts.cancelled)
                )
            });
            (format!("Next jobs of {name}"), note)
        }
        Pane::Failures => ("What fails most".to_owned(), String::new()),
    };
    Grid {
        title,
        note,
        columns,
        rows: rows(pane, app),
        is_cut: pane == Pane::Jobs && app.board.jobs.len() >= NEXT_JOBS,
        selected: app.row(pane),
        is_active: app.pane == pane,
        empty,
    }
}

/// The columns that are shown, after a mark for each column that says whether it is.
fn shown(columns: Vec<(bool, Column)>) -> (Vec<bool>, Vec<Column>) {
    let fits = columns.iter().map(|(fits, _)| *fits).collect();
    (fits, columns.into_iter().filter_map(|(fits, column)| fits.then_some(column)).collect())
}

/// The values of the columns that are shown.
fn kept<const N: usize>(values: [Value; N], fits: &[bool]) -> Vec<Value> {
    values.into_iter().zip(fits).filter_map(|(value, fits)| fits.then_some(value)).collect()
}

/// Names and errors come from others: no control characters, one line.
fn plain(text: impl AsRef<str>) -> Value {
    (one_line(text.as_ref()).to_string(), Tone::Plain)
}

/// A number that is emphasized unless it is zero.
fn toned(n: u64, tone: Tone) -> Value {
    (count(n), if n > 0 { tone } else { Tone::Plain })
}
