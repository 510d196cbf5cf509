//! The tokio runtime of a measurement.

/// Runs a measurement on a runtime of its own. Tasks that it leaves behind end with it.
pub(crate) fn on_tokio<T>(measure: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure);
    runtime.shutdown_background();
    measured
}
