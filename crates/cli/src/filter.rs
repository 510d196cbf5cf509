//! The options that select jobs, as lists and bulk operations have them.

use atode_jobs::BulkFilter;
use clap::Args;

#[derive(Args)]
pub(crate) struct FilterArgs {
    /// Only these queues (several: separated by commas).
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: Option<String>,
    /// Only these kinds.
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Only these states: scheduled, ready, active, completed, dead, cancelled.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only jobs whose time is this or later, such as 2030-01-31T09:30:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<String>,
    /// Only jobs whose time is earlier.
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<String>,
    /// Only jobs whose last error has this text. Without --state, a list looks at dead jobs.
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// Only jobs whose payload has this text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only dead jobs with this cause, as `atode failures` shows it.
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) fingerprint: Option<String>,
}

impl FilterArgs {
    pub(crate) fn bulk(self, all: bool) -> BulkFilter {
        let FilterArgs { queue, kind, state, after, before, error, search, fingerprint } = self;
        BulkFilter { queue, kind, state, after, before, error, search, fingerprint, all }
    }
}
