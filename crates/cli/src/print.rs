//! The only place that writes to the terminal.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        // Whoever reads has seen enough, as in `atode queues | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !header.is_empty() {
        table.set_header(header.iter().map(|title| title.to_uppercase()));
    }
    table.add_rows(rows);
    line(table.to_string().trim_end())
}

/// Overwrites itself, on a terminal only: nobody wants it in a log. An empty one takes it away.
pub(crate) fn progress(text: &str) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        // It is only for somebody who watches.
        let _ = write!(terminal, "\r\x1b[K{text}").and_then(|()| terminal.flush());
    }
}

pub(crate) fn error(error: &anyhow::Error) {
    // Where not even this can be written, the exit code says it.
    let _ = writeln!(io::stderr(), "atode: {error:#}");
}
