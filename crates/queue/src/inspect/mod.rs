//! Reads and repairs of everything that is stored, for the audit (crate `atode-audit`).

pub(crate) mod facts;
pub(crate) mod groups;
pub(crate) mod inspection;
pub(crate) mod names;
pub(crate) mod repair;
pub(crate) mod scan;
