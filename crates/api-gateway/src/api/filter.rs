//! Parameters that several endpoints have: `limit`, `queue` and `kind`.

use std::sync::Arc;

use atode_jobs::{filter_queues, parse_limit};

use crate::api::lookup::all_queues;
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;

pub(crate) fn limit(text: Option<&str>, default: usize, max: usize) -> Result<usize, Problem> {
    parse_limit(text, default, max).map_err(|detail| Problem::invalid_field("/limit", detail))
}

/// Refuses the name of a kind of which no job was ever stored.
pub(crate) async fn known_kind(gateway: &Gateway, kind: Option<&str>) -> Result<(), Problem> {
    if kind.is_some() {
        in_time(queues(gateway, None, kind), Problem::from).await?;
    }
    Ok(())
}

/// The queue of a filter, or all queues. Unknown names are refused.
pub(crate) async fn queues(
    gateway: &Gateway,
    only: Option<&str>,
    kind: Option<&str>,
) -> Result<Vec<Arc<str>>, Problem> {
    let all = all_queues(gateway).await?;
    Ok(filter_queues(only, kind, &gateway.client, &gateway.rules, all).await?)
}
