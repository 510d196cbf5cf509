//! The catalogue of kinds: what a worker publishes about its kinds, and how others use it.

pub(crate) mod administer;
pub(crate) mod catalogue;
pub(crate) mod compatibility;
pub(crate) mod definition;
pub(crate) mod integers;
pub(crate) mod kind_view;
pub(crate) mod payload_schema;
pub(crate) mod publishing;
pub(crate) mod recursion;
