//! Jobs, leases and their histories as plain data, without I/O.

pub(crate) mod crashes;
pub(crate) mod id;
pub(crate) mod instant;
pub(crate) mod lease;
pub(crate) mod record;
