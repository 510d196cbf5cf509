//! Colors and emphasis. The selection and the panes can be told apart without colors, too.

use anstream::{AutoStream, ColorChoice};
use ratatui::style::{Color, Modifier, Style};

use crate::style::Tone;

/// Second text: titles of columns, rules.
pub(crate) const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

pub(crate) const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Colored,
    /// `NO_COLOR` or `TERM=dumb` is set.
    Plain,
}

impl Theme {
    pub(crate) fn of_terminal() -> Self {
        match AutoStream::choice(&std::io::stdout()) {
            ColorChoice::Never => Theme::Plain,
            _ => Theme::Colored,
        }
    }

    pub(crate) fn style(self, tone: Tone) -> Style {
        let style = match tone {
            Tone::Plain => return Style::new(),
            Tone::Title => return Style::new().add_modifier(Modifier::BOLD),
            Tone::Good => Style::new().fg(Color::Green),
            Tone::Busy => Style::new().fg(Color::Cyan),
            Tone::Warning => Style::new().fg(Color::Yellow),
            Tone::Bad => Style::new().fg(Color::Red),
        };
        if self == Theme::Colored { style } else { Style::new() }
    }
}
