//! Explains why a job is not running. `read.rs` reads the facts, `decide.rs` finds the reason in them, and `words.rs`
//! says it.

pub(crate) mod checks;
pub(crate) mod decide;
pub(crate) mod explanation;
pub(crate) mod facts;
pub(crate) mod read;
mod time_span;
pub(crate) mod words;
