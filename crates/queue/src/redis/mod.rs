//! The connection to Redis: its clients, its clock, its permissions, and what it publishes.

pub(crate) mod access;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod echo;
mod greet;
pub(crate) mod inbox;
pub(crate) mod memory;
pub(crate) mod pool;
pub(crate) mod server;
mod silence;
pub(crate) mod subscription;
