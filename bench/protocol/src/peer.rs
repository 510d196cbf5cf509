//! What a queue has to do to be measured.

use std::sync::Arc;

use crate::runs::Runs;

/// The payload that all queues are measured with: 53 bytes.
pub const PAYLOAD: &str = r#"{"message":"hello world 000000001","t":1700000000000}"#;

/// A queue's client; each producer gets a clone.
pub trait Peer: Clone + Send + Sized + 'static {
    const NAME: &'static str;
    type Worker: Send;

    fn version() -> String;

    fn connect(redis: &str) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// One job, due now.
    fn enqueue(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// So many jobs, due now, as fast as the library can.
    fn enqueue_many(&mut self, jobs: usize) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// One job, due at this time (Unix ms); its id, as [`Runs`] will hear of it.
    fn enqueue_due(&mut self, due: i64) -> impl Future<Output = anyhow::Result<String>> + Send;

    /// A worker whose handler does nothing but tell [`Runs`] the job's id.
    fn work(
        &mut self,
        concurrency: usize,
        runs: Arc<Runs>,
    ) -> impl Future<Output = anyhow::Result<Self::Worker>> + Send;

    /// Returns once the worker has settled all that ran.
    fn stop(worker: Self::Worker) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Jobs that are waiting, active or failed.
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
    fn the_payload_has_the_size_that_is_told() {
        assert_eq!(PAYLOAD.len(), 53);
    }

    #[test]
    fn the_version_is_that_of_the_named_package() {
        let lock = "[[package]]\nname = \"a-b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"2.1.0\"\n";
        assert_eq!(locked_version(lock, "b").as_deref(), Some("2.1.0"));
        assert_eq!(locked_version(lock, "c"), None);
    }
}
