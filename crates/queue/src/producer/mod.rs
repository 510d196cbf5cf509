//! Single enqueues on their way to Redis: they share calls, and waits for the disk.

pub(crate) mod aof;
pub(crate) mod coalescer;
pub(crate) mod disk;
