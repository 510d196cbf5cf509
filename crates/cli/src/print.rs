//! The only place that writes to the terminal.

use std::io::{self, IsTerminal, Write};

use atode_config::one_line;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::Answer;
use crate::pretty::pretty;
use crate::table::{Column, layout, terminal_width};

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

pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        // The reader has closed the pipe, as `head` does in `atode queues | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

pub(crate) fn table<T>(columns: &[Column<T>], rows: &[T]) -> anyhow::Result<()> {
    line(&layout(columns, rows, terminal_width()))
}

/// A value of an enumeration as the API writes it, such as `lease_lost`.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

/// Replaces the progress line on a terminal. An empty text removes it. Logs get no progress.
pub(crate) fn progress(text: &str) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        // A lost progress line does no harm.
        let _ = write!(terminal, "\r\x1b[K{text}").and_then(|()| terminal.flush());
    }
}

pub(crate) fn warning(text: &str) {
    let _ = writeln!(io::stderr(), "atode: warning: {}", one_line(text));
}

pub(crate) fn error(error: &anyhow::Error) {
    // If this cannot be written either, the exit code reports the failure.
    let _ = writeln!(io::stderr(), "atode: {}", one_line(&format!("{error:#}")));
}
