//! The ways in which a call to a gateway fails, by the reaction of the caller. Each text says what to do.

use std::time::Duration;

use ureq::http::StatusCode;

use crate::problem::Problem;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The request was not sent.
    #[error(
        "no gateway can be reached at {address}: {why}. --url or ATODE_URL names another gateway; --direct goes straight to Redis, without a gateway"
    )]
    Unreachable { address: String, why: String },
    /// The connection ended without a whole reply.
    #[error("{address} did not reply: {why}{advice}")]
    Interrupted { address: String, why: String, advice: &'static str },
    #[error("{problem}")]
    Refused { problem: Box<Problem>, status: StatusCode, wait: Option<Duration> },
    #[error("too many requests: the gateway's limit ({}) is used up; try again {}", problem.limit().unwrap_or("unnamed"), when(*wait))]
    Limited { problem: Box<Problem>, wait: Option<Duration> },
    /// The reply is no reply of the API.
    #[error("{address} answered {status}, and not as a gateway does{}", redirect(location.as_deref()))]
    NoGateway { address: String, status: StatusCode, location: Option<String>, wait: Option<Duration> },
}

impl CallError {
    /// Advice after a read without a reply.
    pub(crate) const READ_AGAIN: &str = ". Try again, or use --direct to go straight to Redis";
    /// Advice after a change without a reply.
    pub(crate) const LOOK_FIRST: &str =
        ". The request may have been carried out: look at the job or the queue before you repeat it";

    /// True if the request may have been carried out.
    pub(crate) fn has_unknown_outcome(&self) -> bool {
        match self {
            CallError::Interrupted { .. } => true,
            CallError::NoGateway { status, .. } => status.is_server_error(),
            CallError::Refused { problem, .. } => problem.has_unknown_outcome(),
            CallError::Unreachable { .. } | CallError::Limited { .. } => false,
        }
    }

    /// True if the job has another version than the request wanted.
    pub(crate) fn is_other_version(&self) -> bool {
        matches!(self, CallError::Refused { status: StatusCode::PRECONDITION_FAILED, .. })
    }

    /// True if the gateway will refuse the same call again.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, CallError::Refused { status, .. } if status.is_client_error())
    }

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
