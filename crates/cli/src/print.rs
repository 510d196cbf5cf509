//! The only place that writes to the terminal.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this is for")]

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

pub(crate) fn line(text: &str) {
    println!("{text}");
}

pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !header.is_empty() {
        table.set_header(header.iter().map(|title| title.to_uppercase()));
    }
    table.add_rows(rows);
    println!("{}", table.to_string().trim_end());
}

pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("atode: {error:#}");
}
