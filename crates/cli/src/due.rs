//! The arguments that say when a job is due.

use atode_jobs::parse_delay;
use clap::Args;

#[derive(Args, Clone)]
pub(crate) struct DueArgs {
    /// Wait before the run, such as 250ms, 10s or 3m.
    #[arg(long, value_parser = checked)]
    pub(crate) delay: Option<String>,
    /// When the job is due, such as 2030-01-31T09:30:00Z. Excludes --delay.
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    pub(crate) run_at: Option<String>,
}

/// Checks a delay and returns it as text, because a request has it as text.
fn checked(text: &str) -> Result<String, String> {
    parse_delay(text).map(|_| text.to_owned())
}
