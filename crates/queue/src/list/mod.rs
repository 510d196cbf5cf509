//! Lists of jobs: pages that are merged from the sets of many kinds and queues, and counts beside them.
//!
//! A page costs a bounded number of commands, each of them O(log n), whatever the number of jobs (decision 37).

pub(crate) mod cursor;
pub(crate) mod facets;
pub(crate) mod page;
pub(crate) mod query;
pub(crate) mod rows;
pub(crate) mod selection;
pub(crate) mod summary;
pub(crate) mod texts;
pub(crate) mod window;
