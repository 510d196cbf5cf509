//! The catalogue of kinds: what workers publish about the kinds that they run, for gateways that lack these kinds.

pub(crate) mod kinds;
pub(crate) mod read;
pub(crate) mod write;
