//! The connection to Redis: its clients, its clock, its permissions, and published messages.

pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod delivery;
pub(crate) mod facts;
mod failover;
pub(crate) mod format;
mod handshake;
pub(crate) mod identity;
pub(crate) mod inbox;
mod permissions;
pub(crate) mod pool;
mod server;
pub(crate) mod subscriber;
pub(crate) mod subscription;
