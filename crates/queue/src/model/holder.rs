//! The holder of an active job, as its entry of `active` names it.

use std::sync::Arc;

use crate::model::history::History;
use crate::model::lease::FencingToken;
use crate::model::run::{Run, WorkerRef};

/// An entry of `active` behind its token: `token due start lease holder`. Only the token is required. Any other
/// field that cannot be read counts as unknown, so an entry of another version is not corrupt.
pub(crate) struct Holder {
    pub(crate) cancel_requested: bool,
    due: i64,
    start: i64,
    worker: Arc<WorkerRef>,
}

impl Holder {
    pub(crate) fn decode(entry: &str) -> Option<(FencingToken, Self)> {
        let mut parts = entry.splitn(5, ' ');
        let marked = parts.next()?;
        let token = marked.trim_end_matches('!');
        let cancel_requested = token.len() < marked.len();
        let token = FencingToken::parse(token)?;
        let due = parts.next().and_then(|due| due.parse::<f64>().ok()).unwrap_or_default() as i64;
        let start = parts.next().and_then(|start| start.parse().ok()).unwrap_or_default();
        let worker = parts.nth(1).and_then(|worker| serde_json::from_str(worker).ok()).unwrap_or_default();
        Some((token, Holder { cancel_requested, due, start, worker }))
    }

    pub(crate) fn into_run(self, history: &History) -> Run {
        Run::new(history.next_attempt(), self.due, self.start, self.worker)
    }
}
