//! Waiting for a condition, with a deadline: never a sleep for luck.

use std::thread;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(10);

/// Asks every 10 ms until the condition gives a value, which is returned.
///
/// # Panics
///
/// When it has given none by the deadline; the message contains `what`.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, condition: impl FnMut() -> Option<T>) -> T {
    // Not `unwrap_or_else`: a panic in a closure would not show the caller's line.
    let Some(value) = poll(deadline, condition) else { panic!("{}", too_late(what, deadline)) };
    value
}

/// [`eventually`] for a condition that awaits; one that hangs is cut off at the deadline too.
///
/// # Panics
///
/// As [`eventually`] does, and outside of a tokio runtime with a timer.
pub async fn eventually_async<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let polled = tokio::time::timeout(deadline, async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(POLL).await;
        }
    });
    polled.await.unwrap_or_else(|_| panic!("{}", too_late(what, deadline)))
}

/// [`eventually`] for callers that have more to say about what did not happen.
pub(crate) fn poll<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        // Read before asking, so that the last answer is never older than the deadline.
        let late = start.elapsed() >= deadline;
        if let Some(value) = condition() {
            return Some(value);
        }
        if late {
            return None;
        }
        thread::sleep(POLL);
    }
}

fn too_late(what: &str, deadline: Duration) -> String {
    format!("did not happen within {deadline:?}: {what}")
}
