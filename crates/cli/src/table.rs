//! Tables for people. Ids are never broken: columns that do not fit the terminal go below their row.

use std::io;
use std::iter::zip;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use rustix::termios::tcgetwinsize;

/// Columns narrower than this are unreadable, so such a column goes below its row instead.
const NARROWEST: u16 = 20;

/// comfy-table puts a blank on each side of a cell.
const PADDING: u16 = 2;

const INDENT: &str = "     ";

/// A column. A table whose titles are all empty has no header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    fit: Fit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    Wraps,
}

/// A column whose values are never broken.
pub(crate) const fn whole(title: &'static str) -> Column {
    Column { title, fit: Fit::Whole }
}

/// A column whose values may take several lines.
pub(crate) const fn wraps(title: &'static str) -> Column {
    Column { title, fit: Fit::Wraps }
}

/// `COLUMNS`, or the width of the terminal. `None` if there is no terminal; then no line is broken.
pub(crate) fn terminal_width() -> Option<u16> {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    named
        .filter(|width| *width > 0)
        .or_else(|| Some(tcgetwinsize(io::stdout()).ok()?.ws_col).filter(|width| *width > 0))
}

/// The table's text, without a line break at its end.
pub(crate) fn layout(columns: &[Column], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.iter().map(|cell| on_one_line(cell)).collect()).collect();
    let mut table = table(columns, &rows);
    let Some(width) = width else { return table.trim_fmt() };
    let natural: Vec<u16> =
        table.column_max_content_widths().into_iter().map(|content| content + PADDING).collect();
    let narrowest = zip(columns, &natural).map(|(column, natural)| match column.fit {
        Fit::Whole => *natural,
        Fit::Wraps => NARROWEST.min(*natural),
    });
    if narrowest.sum::<u16>() <= width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        table.set_constraints(zip(columns, &natural).map(|(column, natural)| match column.fit {
            Fit::Whole => ColumnConstraint::ContentWidth,
            Fit::Wraps => ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST.min(*natural))),
        }));
        return table.trim_fmt();
    }
    folded(columns, &rows, &natural, width)
}

/// Each row on one line with the columns that fit, and its other columns below that line.
fn folded(columns: &[Column], rows: &[Vec<String>], natural: &[u16], width: u16) -> String {
    let mut room = width;
    let stays: Vec<bool> = zip(columns, natural)
        .enumerate()
        .map(|(n, (column, natural))| {
            let stays = n == 0 || column.fit == Fit::Whole && *natural <= room;
            room = room.saturating_sub(if stays { *natural } else { 0 });
            stays
        })
        .collect();
    let of = |wanted: bool, row: &[String]| -> Vec<String> {
        zip(row, &stays).filter(|(_, stays)| **stays == wanted).map(|(cell, _)| cell.clone()).collect()
    };
    let kept: Vec<Column> =
        zip(columns, &stays).filter(|(_, stays)| **stays).map(|(column, _)| *column).collect();
    let below: Vec<&str> =
        zip(columns, &stays).filter(|(_, stays)| !**stays).map(|(column, _)| column.title).collect();
    let kept_rows: Vec<Vec<String>> = rows.iter().map(|row| of(true, row)).collect();

    let text = table(&kept, &kept_rows).trim_fmt();
    let mut lines = text.lines();
    let mut folded: Vec<String> = Vec::new();
    if has_header(&kept) {
        folded.extend(lines.next().map(str::to_owned));
    }
    for (line, row) in zip(lines, rows) {
        folded.push(line.to_owned());
        let mut last = String::new();
        for (title, value) in zip(&below, of(false, row)).filter(|(_, value)| !value.is_empty()) {
            let item = format!("{title} {value}");
            let taken = last.chars().count() + 2 + item.chars().count();
            if !last.is_empty() && taken > usize::from(width) {
                folded.push(std::mem::take(&mut last));
            }
            last.push_str(if last.is_empty() { INDENT } else { "  " });
            last.push_str(&item);
        }
        if !last.is_empty() {
            folded.push(last);
        }
    }
    folded.join("\n")
}

fn table(columns: &[Column], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if has_header(columns) {
        table.set_header(columns.iter().map(|column| column.title.to_uppercase()));
    }
    table.add_rows(rows);
    table
}

fn has_header(columns: &[Column]) -> bool {
    columns.iter().any(|column| !column.title.is_empty())
}

/// Escapes control characters, so that the terminal shows those of a payload or an error instead of obeying them.
fn on_one_line(cell: &str) -> String {
    let mut line = String::with_capacity(cell.len());
    for c in cell.chars() {
        // Control characters, and characters that break lines or change the direction of writing.
        if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a20ae0-e7a9-74d9-a81f-9cb53c56386d";
    const BUILD: &str = "0.1.0+1a2b3c4d5e6f-dirty-0a1b2c3d";

    fn workers(width: Option<u16>) -> String {
        let columns = [whole("worker"), whole("pid"), whole("state"), whole("build"), wraps("queues")];
        let row = [ID, "27996", "running", BUILD, "default, mail"].map(str::to_owned).to_vec();
        layout(&columns, vec![row.clone(), row], width)
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
        let row =
            vec![ID.to_owned(), "one two three four five six seven eight nine ten eleven twelve".to_owned()];
        let text = layout(&[whole("id"), wraps("error")], vec![row], Some(80));
        assert!(text.lines().count() > 2 && text.contains(ID), "{text}");
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        let text = layout(
            &[whole(""), wraps("")],
            vec![vec!["a\u{1b}[2J".to_owned(), "b\nc\u{202e}".to_owned()]],
            None,
        );
        assert_eq!(text.trim(), "a\\u{1b}[2J  b\\nc\\u{202e}");
    }
}
