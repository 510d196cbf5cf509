//! Jobs, failures and queues as the API and the command line show them.

pub mod absent;
pub(crate) mod failures;
pub(crate) mod finished;
pub(crate) mod items;
pub(crate) mod job;
pub(crate) mod queue;
