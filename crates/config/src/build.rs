//! Which program runs.

/// The program that runs, as its command line, its log, its metrics and a worker's registration name it.
///
/// A program with kinds of its own names itself: `Build { name: "shop-worker", version: env!("CARGO_PKG_VERSION") }`.
/// Workers compare the versions of builds, so two programs that run different code should not share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    pub name: &'static str,
    pub version: &'static str,
}
