//! The result of a section: tables, notes, figures for the goals, plots.

use crate::goals::Goal;
use crate::plots::Plot;
use crate::table::Table;

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) tables: Vec<Table>,
    /// Remarks for readers of the figures.
    pub(crate) notes: Vec<String>,
    pub(crate) figures: Vec<(Goal, f64)>,
    pub(crate) plots: Vec<Plot>,
}

/// A section's title, and its outcome or the reason why it has no figure.
pub(crate) struct Measured {
    pub(crate) title: &'static str,
    pub(crate) outcome: Result<Outcome, String>,
}

/// The size of a run: full for figures, quick to check that everything works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Quick,
}

impl Outcome {
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a goal's figure if there is one.
    pub(crate) fn figure(&mut self, goal: Goal, figure: Option<f64>) {
        self.figures.extend(figure.map(|figure| (goal, figure)));
    }
}

impl Size {
    pub(crate) fn of<T>(self, full: T, quick: T) -> T {
        match self {
            Size::Full => full,
            Size::Quick => quick,
        }
    }
}

/// Prints the current step to stderr.
#[expect(clippy::print_stderr, reason = "runs take minutes, so users need to see progress")]
pub(crate) fn step(text: impl std::fmt::Display) {
    eprintln!("  … {text}");
}
