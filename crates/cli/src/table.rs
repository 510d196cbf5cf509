//! Tables for people. Ids are never broken: columns that do not fit the terminal go below their row.

use std::io;
use std::iter::zip;

use atode_config::one_line;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use rustix::termios::tcgetwinsize;

use crate::style::{Tone, width as width_of};

/// Columns narrower than this are unreadable, so such a column goes below its row instead.
const NARROWEST: u16 = 20;

/// comfy-table puts a blank on each side of a cell.
const PADDING: u16 = 2;

const INDENT: &str = "     ";

/// A column of a table of `T`s. A table whose titles are all empty has no header.
pub(crate) struct Column<T> {
    title: &'static str,
    fit: Fit,
    cell: fn(&T) -> String,
    tone: fn(&T) -> Tone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    Wraps,
}

/// A column whose values are never broken.
pub(crate) const fn whole<T>(title: &'static str, cell: fn(&T) -> String) -> Column<T> {
    Column { title, fit: Fit::Whole, cell, tone: |_| Tone::Plain }
}

/// A column whose values may take several lines.
pub(crate) const fn wraps<T>(title: &'static str, cell: fn(&T) -> String) -> Column<T> {
    Column { title, fit: Fit::Wraps, cell, tone: |_| Tone::Plain }
}

/// `COLUMNS`, or the width of the terminal. `None` if there is no terminal; then no line is broken.
pub(crate) fn terminal_width() -> Option<u16> {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    named
        .filter(|width| *width > 0)
        .or_else(|| Some(tcgetwinsize(io::stdout()).ok()?.ws_col).filter(|width| *width > 0))
}

/// Lines of the terminal, if there is one.
pub(crate) fn terminal_height() -> Option<usize> {
    Some(usize::from(tcgetwinsize(io::stdout()).ok()?.ws_row)).filter(|height| *height > 0)
}

/// The table's text with the marks of [`style`](crate::style), without a line break at its end.
pub(crate) fn layout<T>(columns: &[Column<T>], rows: &[T], width: Option<u16>) -> String {
    let mut table = table(&columns.iter().collect::<Vec<_>>(), rows);
    let Some(width) = width else { return table.trim_fmt() };
    let natural: Vec<u16> =
        table.column_max_content_widths().into_iter().map(|content| content + PADDING).collect();
    let narrowest = zip(columns, &natural).map(|(column, natural)| match column.fit {
        Fit::Whole => *natural,
        Fit::Wraps => NARROWEST.min(*natural),
    });
    if narrowest.sum::<u16>() > width {
        return folded(columns, rows, &natural, width);
    }
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.set_constraints(zip(columns, &natural).map(|(column, natural)| match column.fit {
        Fit::Whole => ColumnConstraint::ContentWidth,
        Fit::Wraps => ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST.min(*natural))),
    }));
    table.trim_fmt()
}

/// Each row on one line with the columns that fit, and its other columns below that line.
fn folded<T>(columns: &[Column<T>], rows: &[T], natural: &[u16], width: u16) -> String {
    let mut room = width;
    let (mut kept, mut below) = (Vec::new(), Vec::new());
    for (n, (column, natural)) in zip(columns, natural).enumerate() {
        if n == 0 || column.fit == Fit::Whole && *natural <= room {
            room = room.saturating_sub(*natural);
            kept.push(column);
        } else {
            below.push(column);
        }
    }
    let text = table(&kept, rows).trim_fmt();
    let mut lines = text.lines();
    let mut folded: Vec<String> = Vec::new();
    if lines.clone().count() > rows.len() {
        folded.extend(lines.next().map(str::to_owned)); // the header
    }
    for (line, row) in zip(lines, rows) {
        folded.push(line.to_owned());
        let first = folded.len();
        let values = below.iter().map(|column| (column.title, column.text(row)));
        for (title, value) in values.filter(|(_, value)| !value.is_empty()) {
            let item = format!("{title} {value}");
            match folded[first..].last_mut() {
                Some(last) if width_of(last) + 2 + width_of(&item) <= usize::from(width) => {
                    last.extend(["  ", &item]);
                }
                _ => folded.push(format!("{INDENT}{item}")),
            }
        }
    }
    folded.join("\n")
}

fn table<T>(columns: &[&Column<T>], rows: &[T]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if columns.iter().any(|column| !column.title.is_empty()) {
        table.set_header(columns.iter().map(|column| Tone::Title.mark(&column.title.to_uppercase())));
    }
    table.add_rows(rows.iter().map(|row| columns.iter().map(|column| column.text(row))));
    table
}

impl<T> Column<T> {
    /// Colors the cells. A wrapped cell must stay plain: its marks would be torn apart.
    pub(crate) const fn toned(self, tone: fn(&T) -> Tone) -> Self {
        Column { tone, ..self }
    }

    /// The cell of a row. Control characters, as in a payload or an error, are shown and not obeyed by the terminal.
    fn text(&self, row: &T) -> String {
        (self.tone)(row).mark(&one_line(&(self.cell)(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::without_colors;

    fn layout<T>(columns: &[Column<T>], rows: &[T], width: Option<u16>) -> String {
        without_colors(&super::layout(columns, rows, width))
    }

    const ID: &str = "01a20ae0-e7a9-74d9-a81f-9cb53c56386d";
    const BUILD: &str = "0.1.0+1a2b3c4d5e6f-dirty-0a1b2c3d";

    fn workers(width: Option<u16>) -> String {
        let columns = [
            whole("worker", |row: &[&str; 5]| row[0].to_owned()),
            whole("pid", |row| row[1].to_owned()),
            whole("state", |row| row[2].to_owned()),
            whole("build", |row| row[3].to_owned()),
            wraps("queues", |row| row[4].to_owned()),
        ];
        layout(&columns, &[[ID, "27996", "running", BUILD, "default, mail"]; 2], width)
    }

    #[test]
    fn ids_stay_whole_at_every_width_and_nothing_is_left_out() {
        for width in [None, Some(50), Some(60), Some(80), Some(100), Some(120), Some(200)] {
            let text = workers(width);
            for word in [ID, "27996", "running", BUILD, "default, mail"] {
                assert_eq!(text.matches(word).count(), 2, "{word} at {width:?}:\n{text}");
            }
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= usize::from(width.unwrap_or(u16::MAX)), "{longest} at {width:?}:\n{text}");
        }
    }

    #[test]
    fn a_column_without_room_goes_below_its_row() {
        assert_eq!(workers(None).lines().count(), 3);
        let text = workers(Some(80));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(lines[0].starts_with("WORKER") && lines[0].ends_with("STATE"), "{text}");
        assert!(lines[1].starts_with(ID) && lines[1].ends_with("running"), "{text}");
        assert_eq!(lines[2], format!("build {BUILD}  queues default, mail"));
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn a_long_text_is_wrapped_beside_a_whole_id() {
        let columns = [
            whole("id", |()| ID.to_owned()),
            wraps("error", |()| "one two three four five six seven eight nine ten eleven twelve".to_owned()),
        ];
        let text = layout(&columns, &[()], Some(80));
        assert!(text.lines().count() > 2 && text.contains(ID), "{text}");
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        let columns = [whole("", |()| "a\u{1b}[2J".to_owned()), wraps("", |()| "b\nc\u{202e}".to_owned())];
        let text = layout(&columns, &[()], None);
        assert_eq!(text.trim(), "a\\u{1b}[2J  b\\nc\\u{202e}");
    }
}
