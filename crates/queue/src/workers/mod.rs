//! Registrations of workers, and the messages between them.

pub(crate) mod registration;
pub(crate) mod wakeups;
