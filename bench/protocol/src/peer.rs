//! The trait that a queue implements to be measured.

use std::sync::Arc;

use crate::runs::Runs;

/// The payload of every job: 53 bytes.
pub const PAYLOAD: &str = r#"{"message":"hello world 000000001","t":1700000000000}"#;

/// A queue's client. Each producer gets a clone.
pub trait Peer: Clone + Send + Sized + 'static {
    const NAME: &'static str;
    type Worker: Send;

    fn version() -> String;

    fn connect(redis: &str) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Enqueues one job, due now.
    fn enqueue(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Enqueues this many jobs, due now, as fast as the library can.
    fn enqueue_many(&mut self, jobs: usize) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Enqueues one job that is due at this time (Unix ms). Returns the id that its handler will record in [`Runs`].
    fn enqueue_due(&mut self, due: i64) -> impl Future<Output = anyhow::Result<String>> + Send;

    /// Starts a worker whose handler only records the job's id in [`Runs`].
    fn work(
        &mut self,
        concurrency: usize,
        runs: Arc<Runs>,
    ) -> impl Future<Output = anyhow::Result<Self::Worker>> + Send;

    /// Returns once the worker has settled all that ran.
    fn stop(worker: Self::Worker) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// The number of jobs that are waiting, active or failed.
    fn left(&mut self) -> impl Future<Output = anyhow::Result<usize>> + Send;
}

/// The version of a package in a Cargo.lock.
pub fn locked_version(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let version = lock.lines().skip_while(|line| *line != name).nth(1)?;
    Some(version.strip_prefix("version = \"")?.trim_end_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_has_the_documented_size() {
        assert_eq!(PAYLOAD.len(), 53);
    }

    #[test]
    fn the_version_is_that_of_the_named_package() {
        let lock = "[[package]]\nname = \"a-b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"2.1.0\"\n";
        assert_eq!(locked_version(lock, "b").as_deref(), Some("2.1.0"));
        assert_eq!(locked_version(lock, "c"), None);
    }
}
