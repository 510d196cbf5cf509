//! The console: pages for people, rendered on the server without scripts. One file per page, its template in
//! `templates/`.

pub(crate) mod docs;
mod docs_view;
pub(crate) mod error_page;
pub(crate) mod home;
pub(crate) mod job;
mod page;
mod payload_example;
pub(crate) mod problem;
pub(crate) mod register;
