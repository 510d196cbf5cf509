//! The name of the running program.

/// The running program, as its command line, log, metrics and worker registration name it.
///
/// A program with its own kinds names itself: `Build { name: "shop-worker", version: env!("CARGO_PKG_VERSION") }`.
/// Workers compare versions, so two programs with different code should not share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    pub name: &'static str,
    pub version: &'static str,
}
