//! Jobs and queues as the API and the command line show them.

pub(crate) mod finished;
pub(crate) mod job;
pub(crate) mod queue;
