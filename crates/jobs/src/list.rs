//! Lists of jobs on request: from filters as text (HTTP, command line) to a page.

use std::sync::Arc;

use atode_queue::{
    Client, Cursor, Error, Facets, Fingerprint, InvalidFingerprint, JobSummary, ListQuery, MAX_BATCH, Order,
    Searched, State,
};
use futures_util::future::try_join;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid_request::{Errors, InvalidRequest};
use crate::request::JobRules;

/// Jobs of a page that does not name its limit.
const DEFAULT_LIMIT: usize = 50;

/// Maximum bytes of a text to search for.
const MAX_TEXT: usize = 1_000;

/// The filters of a list as text: the query of `GET /v1/jobs`, the options of `atode jobs`. Queues, kinds and states
/// may be several, separated by commas.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// Queues, separated by commas. All if absent.
    pub queue: Option<String>,
    /// Kinds, separated by commas. All if absent.
    pub kind: Option<String>,
    /// States, separated by commas. All if absent.
    pub state: Option<String>,
    /// Jobs whose time is this or later.
    #[schemars(with = "Option<Timestamp>")]
    pub after: Option<String>,
    /// Jobs whose time is earlier.
    #[schemars(with = "Option<Timestamp>")]
    pub before: Option<String>,
    /// A text in the last error, in upper or lower case. Without `state`, dead jobs are searched.
    #[schemars(length(min = 1, max = 1_000))]
    pub error: Option<String>,
    /// A text in the payload as the client sent it, in upper or lower case.
    #[schemars(length(min = 1, max = 1_000))]
    pub search: Option<String>,
    /// The cause of dead jobs, as `GET /v1/failures` shows it.
    #[schemars(with = "Option<Fingerprint>")]
    pub fingerprint: Option<String>,
    /// By time. The states have a default.
    #[schemars(with = "Option<Order>")]
    pub order: Option<String>,
    /// Jobs per page; 50 if absent.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1_000))]
    pub limit: Option<String>,
    /// `next_cursor` of the page before. A cursor belongs to its filters and its order.
    pub cursor: Option<String>,
    /// True if the page has counts. The first page has them unless this is `false`.
    #[schemars(with = "Option<bool>")]
    pub facets: Option<String>,
}

/// A page of a list, in the shape of the API.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct JobList {
    pub items: Vec<JobSummary>,
    /// Unset on the last page.
    pub next_cursor: Option<String>,
    pub order: Order,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched: Option<Searched>,
    /// Missing if it is not wanted, null if there are too many sets to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facets: Option<Option<Facets>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    #[error(transparent)]
    Queue(#[from] Error),
}

/// A list that has been checked.
struct List {
    query: ListQuery,
    cursor: Option<Cursor>,
    limit: usize,
    facets: bool,
}

impl ListRequest {
    /// Reads the page from these queues, all that exist. `rules` has the retention and the defaults of its kinds.
    pub async fn read(
        &self,
        client: &Client,
        rules: &JobRules,
        queues: &[Arc<str>],
    ) -> Result<JobList, ListError> {
        let List { query, cursor, limit, facets } = self.parse()?;
        check_names("", (&query.queues, &query.kinds), client, rules, queues).await?;
        let retention = |kind: &str| rules.retention(kind);
        let page = client.list(&query, queues, cursor, limit, &retention);
        let counted =
            async { Ok(if facets { Some(client.facets(&query, queues, &retention).await?) } else { None }) };
        let (mut page, facets) = Box::pin(try_join(page, counted)).await?;
        for job in &mut page.items {
            job.max_retries = job.max_retries.or_else(|| rules.max_retries(&job.kind));
        }
        Ok(JobList {
            items: page.items,
            next_cursor: page.next.map(|next| next.encode(&query)),
            order: query.order,
            searched: page.searched,
            facets,
        })
    }

    /// The filters with their names.
    pub fn filters(&self) -> [(&'static str, &Option<String>); 12] {
        [
            ("queue", &self.queue),
            ("kind", &self.kind),
            ("state", &self.state),
            ("after", &self.after),
            ("before", &self.before),
            ("error", &self.error),
            ("search", &self.search),
            ("fingerprint", &self.fingerprint),
            ("order", &self.order),
            ("limit", &self.limit),
            ("cursor", &self.cursor),
            ("facets", &self.facets),
        ]
    }

    fn parse(&self) -> Result<List, InvalidRequest> {
        let mut errors = Errors::default();
        let mut states = errors.field("state", parse_states(self.state.as_deref())).unwrap_or_default();
        if states.is_empty() && (self.error.is_some() || self.fingerprint.is_some()) {
            states = vec![State::Dead];
        }
        let order = errors.field("order", parse_order(self.order.as_deref())).flatten();
        let query = ListQuery {
            queues: names(self.queue.as_deref()),
            kinds: names(self.kind.as_deref()),
            order: order.unwrap_or_else(|| Order::of(&states)),
            states,
            after: errors.field("after", parse_time(self.after.as_deref())).flatten(),
            before: errors.field("before", parse_time(self.before.as_deref())).flatten(),
            error: errors.field("error", parse_text(self.error.as_deref())).flatten(),
            search: errors.field("search", parse_text(self.search.as_deref())).flatten(),
            fingerprint: errors
                .field("fingerprint", parse_fingerprint(self.fingerprint.as_deref()))
                .flatten(),
        };
        let limit = errors.field("limit", parse_limit(self.limit.as_deref(), DEFAULT_LIMIT, MAX_BATCH));
        let facets = errors.field("facets", parse_flag(self.facets.as_deref())).flatten();
        // An invalid filter would make the cursor one of another list.
        errors.into_result()?;
        let mut errors = Errors::default();
        let cursor = self.cursor.as_deref().map(|text| Cursor::decode(text, &query)).transpose();
        let cursor = errors.field("cursor", cursor.map_err(|error| error.to_string())).flatten();
        errors.into_result()?;
        let facets = facets.unwrap_or(self.cursor.is_none());
        Ok(List { query, cursor, limit: limit.unwrap_or(DEFAULT_LIMIT), facets })
    }
}

/// The queues of a filter by at most one queue and one kind.
pub async fn filter_queues(
    queue: Option<&str>,
    kind: Option<&str>,
    client: &Client,
    rules: &JobRules,
    mut queues: Vec<Arc<str>>,
) -> Result<Vec<Arc<str>>, ListError> {
    let [named_queues, named_kinds] =
        [queue, kind].map(|name| name.map(Arc::from).into_iter().collect::<Vec<_>>());
    check_names("", (&named_queues, &named_kinds), client, rules, &queues).await?;
    queues.retain(|known| queue.is_none_or(|queue| **known == *queue));
    Ok(queues)
}

/// Refuses queues and kinds that are not known: a misspelled name must not look like one without jobs. `at` is the
/// place of the filters in the request.
pub(crate) async fn check_names(
    at: &str,
    (named_queues, named_kinds): (&[Arc<str>], &[Arc<str>]),
    client: &Client,
    rules: &JobRules,
    queues: &[Arc<str>],
) -> Result<(), ListError> {
    let mut errors = Errors::default();
    for unknown in named_queues.iter().filter(|queue| !queues.contains(queue)) {
        errors.add(
            &format!("{at}queue"),
            format!("there is no queue {unknown:?}; there are {}", queues.join(", ")),
        );
    }
    for kind in named_kinds.iter().filter(|kind| rules.find(kind).is_none()) {
        let mut is_stored = false;
        for queue in queues {
            is_stored |= client.inspection().kinds_of(queue).await?.contains(kind);
        }
        if !is_stored {
            errors.add(&format!("{at}kind"), format!("no job of a kind {kind:?} was ever stored here"));
        }
    }
    Ok(errors.into_result()?)
}

pub(crate) fn names(text: Option<&str>) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = words(text).map(Arc::from).collect();
    names.sort();
    names.dedup();
    names
}

fn words(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty())
}

pub(crate) fn parse_states(text: Option<&str>) -> Result<Vec<State>, String> {
    let known = State::ALL.map(State::word);
    if let Some(wrong) = words(text).find(|word| !known.contains(word)) {
        return Err(format!("there is no state {wrong:?}; states are {}", known.join(", ")));
    }
    let is_named = |state: &State| words(text).any(|word| word == state.word());
    Ok(State::ALL.into_iter().filter(is_named).collect())
}

fn parse_order(text: Option<&str>) -> Result<Option<Order>, String> {
    match text {
        None => Ok(None),
        Some("asc") => Ok(Some(Order::Asc)),
        Some("desc") => Ok(Some(Order::Desc)),
        Some(_) => Err("expected asc (earliest first) or desc (latest first)".to_owned()),
    }
}

/// Unix ms.
pub(crate) fn parse_time(text: Option<&str>) -> Result<Option<i64>, String> {
    let Some(text) = text else { return Ok(None) };
    let at = text.parse::<Timestamp>().map(Timestamp::as_millisecond);
    at.map(Some).map_err(|_| {
        "expected an RFC 3339 time with its zone, before 9999-12-30, such as 2030-01-31T09:30:00Z (a + is %2B in an address)"
            .to_owned()
    })
}

pub(crate) fn parse_text(text: Option<&str>) -> Result<Option<String>, String> {
    match text {
        Some(text) if !(1..=MAX_TEXT).contains(&text.chars().count()) => {
            Err(format!("expected a text of 1 to {MAX_TEXT} characters"))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

pub(crate) fn parse_fingerprint(text: Option<&str>) -> Result<Option<Fingerprint>, String> {
    text.map(|text| text.parse().map_err(|error: InvalidFingerprint| error.to_string())).transpose()
}

/// The `limit` of a request; `default` if it has none.
pub fn parse_limit(text: Option<&str>, default: usize, max: usize) -> Result<usize, String> {
    let Some(text) = text else { return Ok(default) };
    let limit = text.parse().ok().filter(|limit| (1..=max).contains(limit));
    limit.ok_or_else(|| format!("expected a whole number from 1 to {max}"))
}

fn parse_flag(text: Option<&str>) -> Result<Option<bool>, String> {
    text.map(|text| text.parse().map_err(|_| "expected true or false".to_owned())).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(set: impl FnOnce(&mut ListRequest)) -> Result<List, Vec<String>> {
        let mut request = ListRequest::default();
        set(&mut request);
        request.parse().map_err(|wrong| wrong.errors.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn a_list_without_filters_shows_all_jobs_and_counts_them_on_its_first_page() {
        let list = parse(|_| {}).unwrap();
        assert!(list.query.queues.is_empty() && list.query.kinds.is_empty() && list.query.states.is_empty());
        assert_eq!((list.query.order, list.limit, list.facets), (Order::Desc, 50, true));
        let next = Cursor::default().encode(&list.query);
        assert!(!parse(|request| request.cursor = Some(next)).unwrap().facets);
    }

    #[test]
    fn several_values_are_separated_by_commas_in_any_order() {
        let list = |state: &str, kind: &str| {
            parse(|request| (request.state, request.kind) = (Some(state.into()), Some(kind.into())))
                .unwrap()
                .query
        };
        assert_eq!(list("ready, scheduled", "b:c,a:b"), list("scheduled,ready,,ready", "a:b,b:c"));
        assert_eq!(list("ready,scheduled", "").order, Order::Asc);
    }

    #[test]
    fn an_error_is_looked_for_in_dead_jobs_unless_states_are_named() {
        let states = |state: Option<&str>| {
            let set = |request: &mut ListRequest| {
                (request.error, request.state) = (Some("x".into()), state.map(str::to_owned));
            };
            parse(set).unwrap().query.states
        };
        assert_eq!(states(None), [State::Dead]);
        assert_eq!(states(Some("ready")), [State::Ready]);
    }

    #[test]
    fn all_wrong_filters_are_named_at_once() {
        let wrong = parse(|request| {
            request.state = Some("dead,gone".into());
            request.after = Some("yesterday".into());
            request.before = Some("2030-01-31".into());
            request.error = Some(String::new());
            request.search = Some("x".repeat(1_001));
            request.order = Some("up".into());
            request.limit = Some("1001".into());
            request.facets = Some("yes".into());
            request.cursor = Some("x".into());
        });
        let mut wrong = wrong.err().unwrap();
        wrong.sort();
        assert_eq!(
            wrong,
            ["/after", "/before", "/error", "/facets", "/limit", "/order", "/search", "/state"]
        );
        assert_eq!(parse(|request| request.cursor = Some("x".into())).err().unwrap(), ["/cursor"]);
    }
}
