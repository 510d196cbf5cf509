//! The only place that writes to the terminal.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use atode_config::one_line;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::Answer;
use crate::pretty::pretty;
use crate::style::{with_colors, without_colors};
use crate::table::{Column, layout, terminal_height, terminal_width, whole, wraps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// The answer of the API, as it is or as text for people.
pub(crate) fn answer<T: DeserializeOwned>(
    form: Form,
    answer: &Answer<T>,
    text: impl FnOnce(&T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match form {
        Form::Json => line(&pretty(answer.json())),
        Form::Text => text(&answer.read()?),
    }
}

/// [`answer`] for a command that draws again and again.
pub(crate) fn answer_text<T: DeserializeOwned>(
    form: Form,
    answer: &Answer<T>,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<String> {
    match form {
        Form::Json => Ok(pretty(answer.json())),
        Form::Text => Ok(text(&answer.read()?)),
    }
}

pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{}", painted(text)) {
        // The reader has closed the pipe, as `head` does in `atode queues | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

pub(crate) fn table<T>(columns: &[Column<T>], rows: &[T]) -> anyhow::Result<()> {
    line(&table_text(columns, rows))
}

/// The text that [`table`] prints.
pub(crate) fn table_text<T>(columns: &[Column<T>], rows: &[T]) -> String {
    layout(columns, rows, terminal_width())
}

/// A table of values, each with its name. Unset ones are left out.
pub(crate) fn values_text<const N: usize>(values: [(&str, Option<String>); N]) -> String {
    let rows: Vec<(&str, String)> =
        values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let columns =
        [whole("", |(name, _): &(&str, String)| (*name).to_owned()), wraps("", |row| row.1.clone())];
    table_text(&columns, &rows)
}

/// Replaces the content of the terminal, as far as it fits. Without a terminal it prints the text below the last one.
pub(crate) fn frame(text: &str) -> io::Result<()> {
    let mut terminal = io::stdout();
    let Some(height) = terminal_height().filter(|_| terminal.is_terminal()) else {
        return writeln!(terminal, "{}", painted(text));
    };
    let text = painted(text);
    let lines = text.lines().take(height - 1);
    let lines: String = lines.map(|line| format!("{line}\x1b[K\n")).collect();
    write!(terminal, "\x1b[H{lines}\x1b[J").and_then(|()| terminal.flush())
}

/// With colors on a terminal, unless `NO_COLOR` or `TERM=dumb` is set.
fn painted(text: &str) -> String {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => without_colors(text),
        _ => with_colors(text),
    }
}

/// A value of an enumeration as the API writes it, such as `lease_lost`.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

/// A number of things, such as `1 job` or `2 jobs`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

pub(crate) fn warning(text: &str) {
    let _ = writeln!(io::stderr(), "atode: warning: {}", one_line(text));
}

pub(crate) fn error(error: &anyhow::Error) {
    // If this cannot be written either, the exit code reports the failure.
    let _ = writeln!(io::stderr(), "atode: {}", one_line(&format!("{error:#}")));
}
