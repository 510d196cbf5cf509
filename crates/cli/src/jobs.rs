//! `atode jobs`

use atode_jobs::{JobList, ListRequest};
use atode_queue::{JobSummary, State};
use clap::Args;
use jiff::Timestamp;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::filter::FilterArgs;
use crate::print::{self, Form};
use crate::table::{Column, whole, wraps};

/// Characters of a payload or an error in the table; JSON has more. With its title it fits 80 columns.
const EXCERPT: usize = 66;

#[derive(Args)]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// asc: the earliest time first; desc: the latest first.
    #[arg(long, value_name = "ORDER")]
    order: Option<String>,
    /// Jobs at most, 1 to 1,000 [default: 50].
    #[arg(long, value_name = "N")]
    limit: Option<String>,
    /// Go on where an earlier page ended.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

const COLUMNS: [Column<JobSummary>; 7] = [
    whole("id", |job| job.id.to_string()),
    whole("state", |job| job.state.to_string()),
    whole("kind", |job| job.kind.clone()),
    whole("queue", |job| job.queue.clone()),
    whole("time", |job| time(job).map_or_else(String::new, |at| format!("{at:.0}"))),
    wraps("error", |job| excerpt(job.last_error.as_deref().unwrap_or_default())),
    wraps("payload", |job| match &job.payload {
        Some(payload) => excerpt(payload.get()),
        None => format!("{} bytes", job.payload_bytes),
    }),
];

pub(crate) async fn list(backend: &Backend, form: Form, args: JobsArgs) -> anyhow::Result<()> {
    let JobsArgs { filter, order, limit, cursor } = args;
    let FilterArgs { queue, kind, state, after, before, error, search, fingerprint } = filter;
    let request = ListRequest {
        queue,
        kind,
        state,
        after,
        before,
        error,
        search,
        fingerprint,
        order,
        limit,
        cursor,
        facets: None,
    };
    print::answer(form, &read(backend, &request).await?, print_page)
}

pub(crate) async fn read(backend: &Backend, request: &ListRequest) -> anyhow::Result<Answer<JobList>> {
    match backend {
        Backend::Http(gateway) => {
            let filters = request.filters().into_iter();
            let endpoint = filters.fold(Endpoint::v1(["jobs"]), |endpoint, (name, value)| {
                endpoint.with(name, value.as_deref())
            });
            Ok(gateway.get(endpoint).await?)
        }
        Backend::Direct(session) => {
            let queues = session.queues().await?;
            Answer::of(&request.read(&session.client, &session.rules().await?, &queues).await?)
        }
    }
}

fn print_page(page: &JobList) -> anyhow::Result<()> {
    if !page.items.is_empty() {
        print::table(&COLUMNS, &page.items)?;
    }
    if let Some(Some(facets)) = &page.facets {
        let counts = State::ALL.map(|state| (facets.state.get(state.word()).copied().unwrap_or(0), state));
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, state)| format!("{count} {state}")).collect();
        let counts = if counts.is_empty() { "no jobs".to_owned() } else { counts.join(", ") };
        print::line(&format!("in all states: {counts}"))?;
    }
    if let Some(searched) = &page.searched {
        let until = searched.until.map_or_else(String::new, |at| format!(", until {at:.0}"));
        print::line(&format!("searched {} jobs{until}", searched.jobs))?;
    }
    match &page.next_cursor {
        Some(cursor) => print::line(&format!("more with the same filters and --cursor {cursor}")),
        None => Ok(()),
    }
}

/// The time by which jobs of its state are listed.
fn time(job: &JobSummary) -> Option<Timestamp> {
    match job.state {
        State::Scheduled | State::Ready => job.due_at,
        State::Active => job.enqueued_at,
        State::Completed | State::Dead | State::Cancelled => job.finished_at,
    }
}

fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
