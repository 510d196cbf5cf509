//! The console: pages for people.

mod example;
pub(crate) mod pages;
