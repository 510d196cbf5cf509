//! HTTP itself: everything that applies to a request whichever resource it is for.

pub(crate) mod body;
pub(crate) mod body_budget;
pub(crate) mod cross_site;
pub(crate) mod deadline;
pub(crate) mod envelope;
pub(crate) mod identity;
pub(crate) mod json;
mod limit_headers;
pub(crate) mod limits;
mod listener;
pub(crate) mod problem;
pub(crate) mod problem_types;
pub(crate) mod queue_errors;
pub(crate) mod replies;
pub(crate) mod request_metrics;
pub(crate) mod serve;
pub(crate) mod traces;
pub(crate) mod unread;
