//! The kinds of the shop: one file each, and one line below.

pub mod bank;
pub mod charge;
pub mod receipt;

use atode_jobs::{DuplicateKind, Registry};

/// All kinds of the shop.
pub fn registry() -> Result<Registry, DuplicateKind> {
    let mut registry = Registry::default();
    registry.register::<charge::Charge>()?;
    registry.register::<receipt::Receipt>()?;
    Ok(registry)
}
