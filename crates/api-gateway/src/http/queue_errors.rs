//! Errors of the queue as problems. The reply says what the client can do; the cause goes to the log.

use atode_queue::{Error, JobId, REDIS_AWAY, Reason};

use crate::http::problem::Problem;
use crate::http::problem_types::Slug;

/// A failed enqueue. The client has to know whether it may send the job again.
pub(crate) fn of_enqueue(error: Error) -> Problem {
    let unknown = ", so the job may be stored or not. Send the request again with the same Idempotency-Key; without one \
                   the job might be stored twice";
    problem(error, ". Nothing was stored: send the request again", Some(unknown))
}

/// A failed change of stored data, by a request that may be repeated.
pub(crate) fn of_change(error: Error) -> Problem {
    problem(error, "", Some(". The change may have been made; repeating the request does no harm"))
}

/// A failed edit. Repeated with the same `If-Match`, it is refused if it was made.
pub(crate) fn of_edit(error: Error) -> Problem {
    let unknown = ". The change may have been made: read the job before you repeat it";
    problem(error, ". Nothing was changed", Some(unknown))
}

/// A failed start of a bulk operation.
pub(crate) fn of_bulk(error: Error) -> Problem {
    let unknown = ". The bulk operation may have started: look at GET /v1/bulk before you repeat the request, or send it with \
                   an Idempotency-Key";
    problem(error, ". Nothing was started: send the request again", Some(unknown))
}

/// A failed read, which may be repeated without harm.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        problem(error, "", None)
    }
}

/// A failed explanation. While Redis is away, that is the reason why no job runs.
pub(crate) fn of_explain(error: Error) -> Problem {
    let detail = format!("{REDIS_AWAY}: {}", error.outline());
    match Problem::from(error) {
        away if away.slug == Slug::Unavailable => Problem { detail, reason: Some(Reason::RedisAway), ..away },
        other => other,
    }
}

/// A job that was stored before under the same idempotency key and cannot be shown now.
pub(crate) fn of_duplicate(id: JobId, error: impl std::error::Error + Send + Sync + 'static) -> Problem {
    let detail = format!(
        "job {id} was stored before under this idempotency key, but its state cannot be read now. Nothing was stored \
         twice: send the request again, or GET /v1/jobs/{id}"
    );
    Problem::new(Slug::Unavailable, detail).caused_by(error)
}

/// `refused` and `unknown` are advice to a client whose request was not carried out, or may have been. A read has no
/// outcome that could be unknown.
fn problem(error: Error, refused: &str, unknown: Option<&str>) -> Problem {
    let summary = error.outline();
    let (slug, advice) = match (&error, unknown) {
        (Error::Unknown(_), Some(advice)) => (Slug::OutcomeUnknown, advice),
        (Error::NotSent(_) | Error::Refused { .. } | Error::Overloaded | Error::Unknown(_), _) => {
            (Slug::Unavailable, refused)
        }
        (Error::NotDurable(_), _) => (Slug::NotDurable, ""),
        (Error::NotYetOnDisk(_), _) => (Slug::NotYetOnDisk, ""),
        (Error::Corrupt(_), _) => {
            (Slug::Internal, ". The operator can find the cause in the gateway's log under this request_id")
        }
    };
    Problem::new(slug, format!("{summary}{advice}")).caused_by(error)
}
