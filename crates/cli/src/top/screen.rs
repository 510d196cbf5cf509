//! The terminal while the screen is shown, and the loop over keys, news and signals.

use std::time::Duration;

use anyhow::Context;
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::top::app::{App, Request};
use crate::top::change::Change;
use crate::top::draw::draw;
use crate::top::news::News;
use crate::top::readers::Wanted;
use crate::top::theme::Theme;

/// Countdowns move this often without news.
const TICK: Duration = Duration::from_secs(1);

/// The ways of the screen to the readers.
pub(crate) struct Wires {
    pub(crate) news: mpsc::UnboundedReceiver<News>,
    pub(crate) wanted: watch::Sender<Wanted>,
    pub(crate) changes: mpsc::UnboundedSender<Change>,
}

/// Gives the terminal back, however the screen ends. A panic gives it back before it is reported.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the screen until a key or a signal ends it.
pub(crate) async fn show(app: &mut App, mut wires: Wires) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let restored = Restored;
    let mut terminal = ratatui::try_init().context("cannot use this terminal")?;
    let mut events = EventStream::new();
    let mut tick = tokio::time::interval(TICK);
    let theme = Theme::of_terminal();
    loop {
        terminal.draw(|frame| draw(app, frame.area(), frame.buffer_mut(), theme, Timestamp::now()))?;
        tokio::select! {
            event = events.next() => match event.transpose()? {
                Some(Event::Key(key)) => match app.key(key) {
                    Request::Quit => break,
                    Request::Redraw => terminal.clear()?,
                    Request::Make(change) => drop(wires.changes.send(change)),
                    Request::Nothing => {}
                },
                Some(_) => {} // a new size, which the next draw finds out
                None => break, // the terminal is gone
            },
            Some(news) = wires.news.recv() => {
                take(app, &wires.wanted, news);
                while let Ok(news) = wires.news.try_recv() {
                    take(app, &wires.wanted, news);
                }
            }
            _ = tick.tick() => {}
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
            _ = hung_up.recv() => break,
        }
        wires.wanted.send_if_modified(|wanted| {
            let is_new = wanted.queue.as_deref() != app.selected_queue();
            wanted.queue = app.selected_queue().map(str::to_owned);
            is_new
        });
    }
    drop(restored);
    Ok(())
}

fn take(app: &mut App, wanted: &watch::Sender<Wanted>, news: News) {
    if matches!(news, News::Outcome(Ok(_))) {
        wanted.send_modify(|wanted| wanted.changes += 1);
    }
    app.take(news, Timestamp::now());
}
