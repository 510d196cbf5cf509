//! The ways in which a call to a gateway fails, by the reaction of the caller. Each text says what to do.

use std::time::Duration;

use ureq::http::StatusCode;

use crate::problem::Problem;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nothing was sent.
    #[error(
        "no gateway can be reached at {address}: {why}. --url or ATODE_URL names another gateway; --direct goes straight to Redis, without a gateway"
    )]
    Unreachable { address: String, why: String },
    /// The connection ended without a whole reply.
    #[error("{address} did not reply: {why}{}", outcome(*may_be_done))]
    Interrupted { address: String, why: String, may_be_done: bool },
    #[error("{problem}")]
    Refused { problem: Problem, status: StatusCode, wait: Option<Duration> },
    #[error("too many requests: the gateway's limit ({}) is used up; try again {}", problem.limit().unwrap_or("unnamed"), when(*wait))]
    Limited { problem: Problem, wait: Option<Duration> },
    /// The reply is no reply of the API.
    #[error("{address} answered {status}, and not as a gateway does{}", redirect(location.as_deref()))]
    NoGateway { address: String, status: StatusCode, location: Option<String>, wait: Option<Duration> },
}

impl CallError {
    /// True if the same call may succeed soon.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            CallError::Interrupted { .. } => true,
            CallError::Refused { status, .. } | CallError::NoGateway { status, .. } => matches!(
                *status,
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
            ),
            CallError::Unreachable { .. } | CallError::Limited { .. } => false,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            CallError::Refused { wait, .. }
            | CallError::Limited { wait, .. }
            | CallError::NoGateway { wait, .. } => *wait,
            CallError::Unreachable { .. } | CallError::Interrupted { .. } => None,
        }
    }
}

fn outcome(may_be_done: bool) -> &'static str {
    if may_be_done {
        ". The request may have been carried out: look at the job or the queue before you repeat it"
    } else {
        ". Try again, or use --direct to go straight to Redis"
    }
}

fn when(wait: Option<Duration>) -> String {
    wait.map_or_else(|| "later".to_owned(), |wait| format!("in {} s", wait.as_secs()))
}

fn redirect(location: Option<&str>) -> String {
    match location {
        Some(location) => {
            format!(": it redirects to {location}. Name the address of the gateway itself with --url")
        }
        None => "; check --url or ATODE_URL".to_owned(),
    }
}
