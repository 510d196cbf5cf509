//! The whole screen: a header, as many panes as fit, messages, the keys, and a dialog above it all.

use atode_config::one_line;
use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear, Widget};

use crate::style::Tone;
use crate::top::app::{App, Dialog, Pane};
use crate::top::grid::HEADER;
use crate::top::panes::{self, Canvas};
use crate::top::theme::{FAINT, Theme};
use crate::top::words::wrapped;

/// In less room than this, nothing can be read.
const NARROWEST: u16 = 20;
const LOWEST: u16 = 4;

/// The lowest pane: its header and a row.
const PANE: u16 = HEADER + 1;

/// Lines of a message at most.
const MESSAGE: u16 = 4;

const KEYS: [(&str, &str); 7] = [
    ("↑↓", "select"),
    ("tab", "pane"),
    ("p", "pause/resume"),
    ("Q", "quiet"),
    ("r", "run now"),
    ("?", "help"),
    ("q", "quit"),
];

const HELP: &str = "\
↑ ↓ j k   select a row        PgUp PgDn Home End
tab h l   go to the next pane
p         pause or resume the selected queue
Q         quiet the selected worker
r         run the selected job now
Ctrl-L    draw again          q  quit

Keys that change something ask first.
OLDEST    time since the earliest ready job was due
IN, OUT   jobs enqueued and ended in the last full minute
LATE P99  from due time to start, of the worst kind, 5 min
ACTIVE    jobs that run, of the slots of a worker";

pub(crate) fn draw(app: &App, area: Rect, buffer: &mut Buffer, theme: Theme, now: Timestamp) {
    if area.width < NARROWEST || area.height < LOWEST {
        buffer.set_stringn(area.x, area.y, "the terminal is too small", area.width.into(), Style::new());
        return;
    }
    let mut rest = area;
    header(app, take_top(&mut rest, 1), buffer, theme, now);
    keys(app, take_bottom(&mut rest, 1), buffer);
    if let Some((text, tone)) = message(app) {
        let lines = wrapped(&one_line(&text), rest.width.into());
        let height = (lines.len() as u16).min(MESSAGE).min(rest.height.saturating_sub(PANE));
        Text::from_iter(lines).style(theme.style(tone)).render(take_bottom(&mut rest, height), buffer);
    }
    let mut canvas = Canvas { buffer, theme, now };
    for (pane, height) in heights(app, rest.height) {
        panes::draw(pane, app, take_top(&mut rest, height), &mut canvas);
    }
    match &app.dialog {
        Some(Dialog::Help) => dialog("Keys and columns", HELP, area, buffer, theme),
        Some(Dialog::Confirm(change)) => {
            let text = format!("{}\n\ny  yes      any other key  no", one_line(&change.effect()));
            dialog(&one_line(&change.question()), &text, area, buffer, theme);
        }
        None => {}
    }
}

fn header(app: &App, area: Rect, buffer: &mut Buffer, theme: Theme, now: Timestamp) {
    let seen = app.board.seen_at.map(|at| at.strftime("%H:%M:%SZ").to_string());
    let (state, tone) = match seen {
        _ if app.board.is_live() => (format!("live {}", now.strftime("%H:%M:%SZ")), Tone::Good),
        Some(seen) => (format!("not live, seen {seen}"), Tone::Bad),
        None if app.board.trouble().is_some() => ("not live".to_owned(), Tone::Bad),
        None => ("connecting".to_owned(), Tone::Plain),
    };
    let room = usize::from(area.width).saturating_sub(state.chars().count() + 2);
    Line::from(state).style(theme.style(tone)).right_aligned().render(area, buffer);
    let title = format!("atode top  {}", one_line(&app.source));
    buffer.set_stringn(area.x, area.y, title, room, theme.style(Tone::Title));
}

fn keys(app: &App, area: Rect, buffer: &mut Buffer) {
    let text = match &app.dialog {
        Some(Dialog::Confirm(_)) => "y yes  any other key no".to_owned(),
        Some(Dialog::Help) => "any key closes this".to_owned(),
        None => KEYS.map(|(key, meaning)| format!("{key} {meaning}")).join("  "),
    };
    buffer.set_stringn(area.x, area.y, text, area.width.into(), FAINT);
}

/// A refusal, or else the trouble with reading, or else the outcome of a change.
fn message(app: &App) -> Option<(String, Tone)> {
    match (&app.outcome, app.board.trouble()) {
        (Some(Err(refused)), _) => Some((refused.clone(), Tone::Bad)),
        (_, Some(why)) => Some((format!("{why} (trying again)"), Tone::Bad)),
        (Some(Ok(done)), None) => Some((done.clone(), Tone::Good)),
        (None, None) => None,
    }
}

/// The panes that fit and their heights: the active pane if there is no room for all, otherwise each gets what it
/// needs, and the last one the rest.
fn heights(app: &App, height: u16) -> Vec<(Pane, u16)> {
    if height < PANE * Pane::ALL.len() as u16 {
        return vec![(app.pane, height)];
    }
    let wanted = Pane::ALL.map(|pane| HEADER + panes::rows(pane, app).clamp(1, 1_000) as u16);
    let mut given = Pane::ALL.map(|_| PANE);
    let mut left = height - given.iter().sum::<u16>();
    // One row for each pane that needs one, in turns.
    while left > 0 {
        let mut is_used = false;
        for (given, wanted) in given.iter_mut().zip(wanted) {
            if left > 0 && *given < wanted {
                (*given, left, is_used) = (*given + 1, left - 1, true);
            }
        }
        if !is_used {
            break;
        }
    }
    Pane::ALL.into_iter().zip(given).collect()
}

/// A box in the middle.
fn dialog(title: &str, text: &str, area: Rect, buffer: &mut Buffer, theme: Theme) {
    let longest =
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0).max(title.chars().count() + 2);
    let width = (longest as u16 + 4).min(area.width);
    let lines = wrapped(text, width.saturating_sub(4).into());
    let height = (lines.len() as u16 + 2).min(area.height);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buffer);
    let block = Block::bordered().title(format!(" {title} ")).title_style(theme.style(Tone::Title));
    let inner = block.inner(place);
    block.render(place, buffer);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    Text::from_iter(lines).render(inner, buffer);
}

fn take_top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let top = Rect { height, ..*rest };
    *rest = Rect { y: rest.y + height, height: rest.height - height, ..*rest };
    top
}

fn take_bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect { y: rest.y + rest.height, height, ..*rest }
}
