//! HTTP itself: everything that holds for each request, whichever resource it is for.

pub(crate) mod body;
pub(crate) mod body_room;
pub(crate) mod cross_site;
pub(crate) mod envelope;
pub(crate) mod limits;
pub(crate) mod problem;
pub(crate) mod replies;
pub(crate) mod serve;
