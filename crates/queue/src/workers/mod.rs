//! Registrations of workers, and the messages between them.

pub(crate) mod announcement;
pub(crate) mod notices;
pub(crate) mod registration;
pub(crate) mod wakeups;
