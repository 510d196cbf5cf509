//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(10);

/// Checks the condition every 10 ms until it gives a value, and returns that value.
///
/// # Panics
///
/// If the condition has given no value by the deadline. The message contains `what`.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, condition: impl FnMut() -> Option<T>) -> T {
    // No `unwrap_or_else`, because a panic in a closure would not show the caller's line.
    let Some(value) = poll(deadline, condition) else { panic!("{}", too_late(what, deadline)) };
    value
}

/// [`eventually`] for an async condition. A condition that hangs is cancelled at the deadline.
///
/// # Panics
///
/// Like [`eventually`], and outside a tokio runtime with a timer.
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

/// [`eventually`] for callers that report the timeout themselves.
pub fn poll<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        // Read before the check, so that the last check is never earlier than the deadline.
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
