//! Progress of long work: a line on stderr that is gone when the work ends. Only a terminal gets it; logs and pipes
//! stay clean.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The line. Dropping it removes it, so that an error or a result stands alone.
pub(crate) struct Progress {
    line: ProgressBar,
    things: &'static str,
}

impl Progress {
    /// Progress of what is counted, such as `jobs redriven`.
    pub(crate) fn of(things: &'static str) -> Self {
        let line = ProgressBar::no_length().with_style(style("{human_pos} {msg}")).with_message(things);
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            line.set_draw_target(ProgressDrawTarget::hidden());
        }
        Progress { line, things }
    }

    /// Shows how much is done: as a bar with the time that is left if the whole is known.
    pub(crate) fn show(&self, done: u64, all: Option<u64>) {
        if let Some(all) = all.filter(|all| self.line.length() != Some(*all)) {
            self.line.set_style(style("{human_pos} of {human_len} {msg} [{wide_bar}] {eta} left"));
            self.line.set_length(all);
        }
        if self.line.message() != self.things {
            self.line.set_message(self.things);
        }
        // More than were there at the start may have come meanwhile.
        self.line.set_position(all.map_or(done, |all| done.min(all)));
    }

    /// Says why the work stands still.
    pub(crate) fn wait(&self, why: String) {
        self.line.set_message(why);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates above are valid");
    style.progress_chars("=> ")
}
