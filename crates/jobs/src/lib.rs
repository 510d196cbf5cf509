//! Jobs: their kinds (in `kinds/`), the checks of a request, and the context of a handler.
//!
//! A handler may run more than once for one job (at least once: a worker can die after the effect
//! and before the settle). [`JobContext::id`] stays the same in each run, and
//! [`JobContext::token`] is greater in each later one: make effects idempotent with them, for
//! example by writing the id under a unique constraint, or by refusing a smaller token.

mod app_state;
mod backoff;
mod bulk;
mod context;
mod due;
mod edit;
mod enqueue;
mod enqueue_span;
mod invalid_request;
mod job;
mod kind;
pub mod kinds;
mod known_kind;
mod limits;
mod list;
mod new_job;
mod payload;
mod prepared;
mod print;
mod published;
mod registry;
mod request;
mod services;

pub use app_state::StateType;
pub use backoff::Backoff;
pub use bulk::{BulkFilter, BulkPreview, BulkRequest};
pub use due::{parse_delay, parse_due};
pub use edit::EditRequest;
pub use enqueue::{Enqueue, EnqueueError, EnqueueRequest};
pub use enqueue_span::{batch_span, end_enqueue_span, enqueue_span, messaging};
pub use invalid_request::{FieldError, InvalidRequest, RequestError};
pub use job::{
    DEFAULT_DELAY, DEFAULT_MAX_RETRIES, DEFAULT_RETENTION, DEFAULT_TIMEOUT, Execution, Job, JobContext,
    JobError,
};
pub use kind::{Kind, Run};
pub use kinds::registry;
pub use known_kind::KnownKind;
pub use limits::{MAX_DELAY, MAX_RETRIES, check_key};
pub use list::{JobList, ListError, ListRequest, filter_queues, parse_limit};
pub use payload::{InvalidPayload, json_pointer, without_position};
pub use prepared::{Prepared, key_reused};
pub use published::administer::{DecidedKind, KindChangeError, decide_kind, remove_kind};
pub use published::catalogue::{Catalogue, CatalogueKind};
pub use published::definition::{Definition, PublishedBackoff, PublishedKind};
pub use published::kind_view::{KindPage, KindView, MAX_KINDS_PER_PAGE, PublishedView, duration_text};
pub use published::payload_schema::{MAX_SCHEMA_BYTES, PayloadSchema};
pub use published::publishing::{Refused, Standing, standing};
pub use registry::{DuplicateKind, MissingState, Registry};
pub use request::{JobRequest, JobRules, KeySource};
pub use services::{RecordedJob, Services};
