//! The history of the last 72 hours, by queue and kind. Each process counts what it did and Redis confirmed (`tally.rs`),
//! gathers the counts by minute (`outbox.rs`), and adds them to the history in Redis every few seconds (`writer.rs`,
//! `flush.rs`). A process that is killed loses the counts of these seconds.

pub(crate) mod builds;
pub(crate) mod cells;
pub(crate) mod flush;
pub(crate) mod kind_history;
pub(crate) mod outbox;
pub(crate) mod ring;
pub(crate) mod stats;
pub(crate) mod tally;
pub(crate) mod writer;

#[cfg(test)]
mod tests;
