//! The time within which every request is answered, unless it asks to wait for something.

use std::time::Duration;

use atode_queue::Error;

use crate::http::problem::Problem;

/// The promise is one second. The rest of it belongs to the rate limiter. A single call to Redis takes less, but some
/// answers need several.
pub(crate) const ANSWER_TIME: Duration = Duration::from_millis(850);

/// Runs `work` until the deadline. Past the deadline the outcome is unknown: calls that were sent to Redis cannot be
/// taken back. `problem` turns that error into a reply.
pub(crate) fn in_time<T>(
    work: impl Future<Output = Result<T, Problem>>,
    problem: fn(Error) -> Problem,
) -> impl Future<Output = Result<T, Problem>> {
    // Boxed once, here: it is large, and would be copied into each future around it.
    let work = tokio::time::timeout(ANSWER_TIME, Box::pin(work));
    async move {
        let late = |_| Err(problem(Error::Unknown("no answer in time".to_owned())));
        work.await.unwrap_or_else(late)
    }
}
