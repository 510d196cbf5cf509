//! Jobs, leases and histories as plain data, without I/O.

pub(crate) mod crashes;
pub(crate) mod death;
pub(crate) mod digest;
pub(crate) mod fingerprint;
pub(crate) mod group;
pub(crate) mod history;
pub(crate) mod holder;
pub(crate) mod id;
pub(crate) mod instant;
pub(crate) mod lease;
pub(crate) mod new_job;
pub(crate) mod record;
pub(crate) mod record_kind;
pub(crate) mod run;
pub(crate) mod settlement;
pub(crate) mod state;
pub(crate) mod unread;
