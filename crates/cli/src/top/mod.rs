//! `atode top`: queues, workers, next jobs and failures on one screen, with keys that pause, quiet and run now.

mod app;
mod board;
mod change;
mod draw;
mod grid;
mod news;
mod panes;
mod readers;
mod screen;
#[cfg(test)]
mod tests;
mod theme;
mod words;

use std::io::{self, IsTerminal};

use clap::Args;
use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::sync::{mpsc, watch};

use crate::backend::Backend;
use crate::print;
use crate::table::{terminal_height, terminal_width};
use app::App;
use readers::{Readers, Wanted};
use screen::Wires;
use theme::Theme;

/// The size of a frame without a terminal.
const WIDTH: u16 = 80;
const HEIGHT: u16 = 24;

#[derive(Args)]
pub(crate) struct TopArgs {
    /// Print one frame as plain text, and exit.
    #[arg(long)]
    once: bool,
}

impl TopArgs {
    /// The reason why the screen cannot be shown, if there is one.
    pub(crate) fn obstacle(&self) -> Option<&'static str> {
        let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        (!self.once && !is_terminal).then_some("top needs a terminal; --once prints one frame as plain text")
    }
}

pub(crate) async fn run(backend: &Backend, args: TopArgs) -> anyhow::Result<()> {
    let mut app = App::new(backend.to_string());
    let (sender, news) = mpsc::unbounded_channel();
    let readers = Readers { backend, news: sender };
    if args.once {
        return once(&mut app, &readers, news).await;
    }
    let (wanted, wanted_receiver) = watch::channel(Wanted::default());
    let (changes, changes_receiver) = mpsc::unbounded_channel();
    tokio::select! {
        shown = screen::show(&mut app, Wires { news, wanted, changes }) => shown,
        () = readers.run(wanted_receiver, changes_receiver) => Ok(()),
    }
}

async fn once(
    app: &mut App,
    readers: &Readers<'_>,
    mut news: mpsc::UnboundedReceiver<news::News>,
) -> anyhow::Result<()> {
    readers.overview().await?;
    readers.others().await?;
    let mut take = |app: &mut App| {
        while let Ok(news) = news.try_recv() {
            app.take(news, Timestamp::now());
        }
    };
    take(app);
    if let Some(queue) = app.selected_queue() {
        readers.next_jobs(queue.to_owned()).await?;
        take(app);
    }
    let height = terminal_height().map_or(HEIGHT, |height| u16::try_from(height).unwrap_or(HEIGHT));
    let area = Rect::new(0, 0, terminal_width().unwrap_or(WIDTH), height);
    let mut buffer = Buffer::empty(area);
    draw::draw(app, area, &mut buffer, Theme::Plain, Timestamp::now());
    print::line(&text(&buffer))
}

/// The characters of a frame, without the blanks at the end of its lines.
fn text(frame: &Buffer) -> String {
    let width = usize::from(frame.area.width.max(1));
    let lines = frame.content.chunks(width).map(|cells| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}
