//! A table in a pane: its title, its columns, and as many rows as fit around the selected one.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, StatefulWidget, Table, TableState, Widget};

use crate::style::Tone;
use crate::top::theme::{FAINT, SELECTED, Theme};

/// Lines of a pane above its rows.
pub(crate) const HEADER: u16 = 2;

pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) width: Constraint,
    pub(crate) side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A value and its tone.
pub(crate) type Value = (String, Tone);

pub(crate) struct Grid<'a> {
    pub(crate) title: String,
    /// Beside the title.
    pub(crate) note: String,
    pub(crate) columns: &'a [Column],
    pub(crate) rows: usize,
    /// True if more rows may follow than were read.
    pub(crate) is_cut: bool,
    pub(crate) selected: Option<usize>,
    pub(crate) is_active: bool,
    /// Shown if there are no rows.
    pub(crate) empty: &'static str,
}

/// A column of a fixed width.
pub(crate) const fn fixed(title: &'static str, width: u16, side: Side) -> Column {
    Column { title, width: Constraint::Length(width), side }
}

/// The column that takes the room that is left.
pub(crate) const fn filling(title: &'static str) -> Column {
    Column { title, width: Constraint::Fill(1), side: Side::Left }
}

impl Grid<'_> {
    /// Draws the pane. `row` makes the values of a row; only visible rows are made.
    pub(crate) fn draw(
        self,
        area: Rect,
        buffer: &mut Buffer,
        theme: Theme,
        row: impl Fn(usize) -> Vec<Value>,
    ) {
        let [top, rest] = split(area);
        let seen = usize::from(rest.height.saturating_sub(1));
        let selected = self.selected.unwrap_or(0);
        let first = selected.saturating_sub(seen.saturating_sub(1)).min(self.rows.saturating_sub(seen));
        let last = (first + seen).min(self.rows);
        self.title_line(theme, first, last, area.width).render(top, buffer);
        if self.rows == 0 {
            buffer.set_stringn(rest.x + 2, rest.y, self.empty, usize::from(rest.width), FAINT);
            return;
        }
        let rows = (first..last).map(|n| {
            let values = row(n).into_iter().zip(self.columns);
            Row::new(values.map(|((text, tone), column)| {
                Cell::from(aligned(text, column.side)).style(theme.style(tone))
            }))
        });
        let header =
            self.columns.iter().map(|column| Cell::from(aligned(column.title.to_owned(), column.side)));
        let mut table = Table::new(rows, self.columns.iter().map(|column| column.width))
            .header(Row::new(header).style(FAINT))
            .column_spacing(1)
            .highlight_symbol(if self.is_active { "> " } else { "  " });
        if self.is_active {
            table = table.row_highlight_style(SELECTED);
        }
        let mut state = TableState::new().with_selected(Some(selected - first));
        StatefulWidget::render(table, rest, buffer, &mut state);
    }

    fn title_line(&self, theme: Theme, first: usize, last: usize, width: u16) -> Line<'static> {
        let title = if self.is_active {
            format!("─▶ {} ", self.title)
        } else {
            format!("── {} ", self.title)
        };
        let range = if last - first < self.rows {
            let all = if self.is_cut { "the first " } else { "" };
            format!("{}–{last} of {all}{} ", first + 1, self.rows)
        } else {
            String::new()
        };
        let note = if self.note.is_empty() { String::new() } else { format!(" {} ──", self.note) };
        let used = title.chars().count() + range.chars().count() + note.chars().count();
        let rule = "─".repeat(usize::from(width).saturating_sub(used));
        let emphasis = if self.is_active { theme.style(Tone::Title) } else { theme.style(Tone::Plain) };
        Line::from(vec![
            Span::styled(title, emphasis),
            Span::styled(range, FAINT),
            Span::styled(rule, FAINT),
            Span::styled(note, FAINT),
        ])
    }
}

fn split(area: Rect) -> [Rect; 2] {
    let top = Rect { height: area.height.min(1), ..area };
    [top, Rect { y: area.y + top.height, height: area.height - top.height, ..area }]
}

fn aligned(text: String, side: Side) -> Line<'static> {
    match side {
        Side::Left => Line::from(text),
        Side::Right => Line::from(text).right_aligned(),
    }
}
