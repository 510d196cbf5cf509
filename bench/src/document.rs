//! The writer of docs/benchmarks.md and its plots.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;

use crate::machine;
use crate::outcome::{Measured, Outcome};
use crate::table::Table;

/// The folder of the plots, beside the document.
const PLOTS: &str = "benchmarks";

const INTRODUCTION: &str = "\
Figures differ between machines and drift on one machine, so only ratios within one run are meaningful. With several
rounds, a figure is their median. A ratio compares two runs side by side, and the median of these ratios is shown. Each
run ends with a check: every job ran once, nothing is left, and an audit finds nothing. A run that fails the check has
no figure. [bench/peers/README.md](../bench/peers/README.md) describes the peers and their runs.
";

pub(crate) fn write(docs: &Path, goals: &Table, all: &[Measured]) -> anyhow::Result<()> {
    let plots = docs.join(PLOTS);
    std::fs::create_dir_all(&plots).with_context(|| format!("can't make {}", plots.display()))?;
    let date = jiff::Zoned::now().date();
    let mut text = format!("# Benchmarks\n\nWritten by `./dev bench --write` on {date}.\n\n{INTRODUCTION}\n");
    for fact in machine::facts() {
        writeln!(text, "- {fact}")?;
    }
    write!(text, "\n## {}\n\n{}\n", goals.title, goals.markdown())?;
    for measured in all {
        write!(text, "\n## {}\n", measured.title)?;
        match &measured.outcome {
            Ok(outcome) => section(&mut text, outcome, &plots)?,
            Err(error) => write!(text, "\nNo figure: {}\n", error.replace('\n', " "))?,
        }
    }
    let path = docs.join("benchmarks.md");
    std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
}

fn section(text: &mut String, outcome: &Outcome, plots: &Path) -> anyhow::Result<()> {
    for table in &outcome.tables {
        write!(text, "\n### {}\n\n{}\n", table.title, table.markdown())?;
    }
    if !outcome.notes.is_empty() {
        text.push('\n');
    }
    for note in &outcome.notes {
        writeln!(text, "- {note}")?;
    }
    for plot in &outcome.plots {
        let file = format!("{}.svg", plot.name);
        plot.write(&plots.join(&file))?;
        write!(text, "\n![{}]({PLOTS}/{file})\n", plot.title())?;
    }
    Ok(())
}
