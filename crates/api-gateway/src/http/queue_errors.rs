//! Errors of the queue as problems. The reply says what the client can do; the cause goes to the log.

use atode_queue::{Error, JobId};

use crate::http::problem::Problem;
use crate::http::slug::Slug;

/// A failed enqueue. The client has to know whether it may send the job again.
#[expect(clippy::needless_pass_by_value, reason = "an argument of `map_err`, like the others")]
pub(crate) fn of_enqueue(error: Error) -> Problem {
    let summary = error.outline();
    let problem = match &error {
        Error::NotSent(_) | Error::Refused { .. } | Error::Overloaded => {
            Problem::new(Slug::Unavailable, format!("{summary}. Nothing was stored: send the request again"))
        }
        Error::Unknown(_) => Problem::new(
            Slug::OutcomeUnknown,
            format!(
                "{summary}, so the job may be stored or not. Send the request again with the same Idempotency-Key; \
                 without one the job might be stored twice"
            ),
        ),
        Error::NotDurable(_) => Problem::new(Slug::NotDurable, summary),
        Error::NotYetOnDisk(_) => Problem::new(Slug::NotYetOnDisk, summary),
        Error::Corrupt(_) => Problem::internal(&summary),
    };
    problem.caused_by(&error)
}

/// A job that was stored before under the same idempotency key and cannot be shown now.
pub(crate) fn of_duplicate(id: JobId, error: Option<&Error>) -> Problem {
    let detail = format!(
        "job {id} was stored before under this idempotency key, but its state cannot be read now. Nothing was stored \
         twice: send the request again, or GET /v1/jobs/{id}"
    );
    let problem = Problem::new(Slug::Unavailable, detail);
    match error {
        Some(error) => problem.caused_by(error),
        None => problem,
    }
}

/// A failed change of stored data, by a request that may be repeated.
pub(crate) fn of_change(error: Error) -> Problem {
    match error {
        Error::Unknown(_) => Problem::new(
            Slug::OutcomeUnknown,
            format!("{}. The change may have been made; repeating the request does no harm", error.outline()),
        )
        .caused_by(&error),
        other => other.into(),
    }
}

/// A failed read, which may be repeated without harm.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let summary = error.outline();
        let problem = match error {
            Error::NotSent(_) | Error::Refused { .. } | Error::Overloaded | Error::Unknown(_) => {
                Problem::new(Slug::Unavailable, summary)
            }
            Error::NotDurable(_) | Error::NotYetOnDisk(_) | Error::Corrupt(_) => Problem::internal(&summary),
        };
        problem.caused_by(&error)
    }
}
