//! Bulk operations on request: from the action and the filter as text (HTTP, command line) to a preview, or to the
//! operation itself.

use std::fmt;
use std::sync::Arc;

use atode_queue::{
    BulkAction, Client, Created, Cursor, Facets, Idempotency, JobSummary, ListQuery, MAX_BATCH, NewBulk,
    Order, Searched, State,
};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::invalid_request::{Errors, InvalidRequest};
use crate::list::{ListError, check_names, names, parse_fingerprint, parse_states, parse_text, parse_time};
use crate::request::JobRules;

/// Jobs that a preview shows.
const EXAMPLES: usize = 5;

/// Maximum bytes of a filter.
const MAX_FILTER: usize = 16 << 10;

/// The body of `POST /v1/bulk`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    pub action: BulkAction,
    #[serde(deserialize_with = "object")]
    pub filter: BulkFilter,
    /// Count the jobs instead of changing them.
    #[serde(default)]
    pub dry_run: bool,
}

/// The jobs of a bulk operation, in the words of `GET /v1/jobs`. Every part limits them further.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BulkFilter {
    /// Queues, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Kinds, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// States, separated by commas, of those that the action can change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Jobs whose time is this or later, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Jobs whose time is earlier, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// A text in the last error, in upper or lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A text in the payload as the client sent it, in upper or lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// The cause of dead jobs, as `GET /v1/failures` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Every job in the states of the action. It must be said, so that a filter that was forgotten changes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Reads an object. What serde derives would also take an array, as the fields in their order.
fn object<'de, D: Deserializer<'de>>(json: D) -> Result<BulkFilter, D::Error> {
    struct Object;

    impl<'de> Visitor<'de> for Object {
        type Value = BulkFilter;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object, such as {\"kind\": …} or {\"all\": true}")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BulkFilter, A::Error> {
            BulkFilter::deserialize(MapAccessDeserializer::new(map))
        }
    }

    json.deserialize_map(Object)
}

/// The jobs that a bulk operation would change now, in the shape of the API.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BulkPreview {
    pub action: BulkAction,
    /// The filter of the request.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub filter: BulkFilter,
    /// Jobs that the filter selects. With a text or a fingerprint these are the jobs among those that were searched.
    /// Unset if there are too many sets to count.
    pub matched: Option<u64>,
    /// Set if jobs had to be read. If it is not complete, there may be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched: Option<Searched>,
    pub facets: Option<Facets>,
    /// The first jobs that would be changed.
    pub examples: Vec<JobSummary>,
}

impl BulkRequest {
    /// Counts the jobs that it would change now, and shows the first ones.
    pub async fn preview(
        &self,
        client: &Client,
        rules: &JobRules,
        queues: &[Arc<str>],
    ) -> Result<BulkPreview, ListError> {
        let query = self.checked(client, rules, queues).await?;
        let retention = |kind: &str| rules.retention(kind);
        let facets = client.facets(&query, queues, &retention).await?;
        let looks_inside = query.error.is_some() || query.search.is_some() || query.fingerprint.is_some();
        let limit = if looks_inside { MAX_BATCH } else { EXAMPLES };
        let mut page = client.list(&query, queues, None::<Cursor>, limit, &retention).await?;
        let matched =
            if looks_inside { Some(page.items.len() as u64) } else { count(&query, facets.as_ref()) };
        // A full page ends the search.
        let searched = page.searched.map(|it| Searched { complete: page.next.is_none(), ..it });
        page.items.truncate(EXAMPLES);
        for job in &mut page.items {
            job.max_retries = job.max_retries.or_else(|| rules.max_retries(&job.kind));
        }
        let (action, filter) = (self.action, self.filter.clone());
        Ok(BulkPreview { action, filter, matched, searched, facets, examples: page.items })
    }

    /// Creates the bulk operation. Gateways run it.
    pub async fn start(
        &self,
        client: &Client,
        rules: &JobRules,
        queues: &[Arc<str>],
        idempotency: Option<Idempotency>,
    ) -> Result<Created, ListError> {
        let query = self.checked(client, rules, queues).await?;
        let retention = |kind: &str| rules.retention(kind);
        let facets = client.facets(&query, queues, &retention).await?;
        let total = count(&query, facets.as_ref());
        let filter = serde_json::value::to_raw_value(&self.filter).expect("texts always serialize");
        let new = NewBulk { action: self.action, filter, query, total, idempotency };
        Ok(client.bulks().create(&new).await?)
    }

    async fn checked(
        &self,
        client: &Client,
        rules: &JobRules,
        queues: &[Arc<str>],
    ) -> Result<ListQuery, ListError> {
        let query = self.parse()?;
        check_names("filter/", (&query.queues, &query.kinds), client, rules, queues).await?;
        Ok(query)
    }

    fn parse(&self) -> Result<ListQuery, InvalidRequest> {
        let mut errors = Errors::default();
        let BulkFilter { queue, kind, state, after, before, error, search, fingerprint, all } = &self.filter;
        for (name, value) in [("queue", queue), ("kind", kind), ("state", state)] {
            // An empty variable of a shell script must not select everything.
            if value.as_ref().is_some_and(|value| names(Some(value)).is_empty()) {
                errors.add(&format!("filter/{name}"), "names nothing; leave it out to select all");
            }
        }
        let limits = [queue, kind, after, before, error, search, fingerprint];
        match (all, limits.iter().any(|limit| limit.is_some())) {
            (true, true) => errors.add("filter/all", "contradicts the other filters: leave one of them out"),
            (false, false) => errors.add(
                "filter",
                format!(
                    "selects every job that can be {}: name a queue, a kind, a time, an error, a text or a fingerprint, \
                     or say that you mean all (--all on the command line, `\"all\": true` in a filter)",
                    self.done()
                ),
            ),
            _ => {}
        }
        let states = errors.field("filter/state", self.states());
        let query = ListQuery {
            queues: names(queue.as_deref()),
            kinds: names(kind.as_deref()),
            states: states.unwrap_or_default(),
            after: errors.field("filter/after", parse_time(after.as_deref())).flatten(),
            before: errors.field("filter/before", parse_time(before.as_deref())).flatten(),
            order: Order::Asc,
            error: errors.field("filter/error", parse_text(error.as_deref())).flatten(),
            search: errors.field("filter/search", parse_text(search.as_deref())).flatten(),
            fingerprint: errors
                .field("filter/fingerprint", parse_fingerprint(fingerprint.as_deref()))
                .flatten(),
        };
        let bytes: usize = limits.into_iter().chain([state]).flatten().map(String::len).sum();
        if bytes > MAX_FILTER {
            errors.add("filter", format!("has {bytes} bytes; {MAX_FILTER} at most"));
        }
        if fingerprint.is_some() && !query.states.is_empty() && !query.has_state(State::Dead) {
            errors.add("filter/fingerprint", "is the cause of dead jobs, and these states are others");
        }
        errors.into_result()?;
        Ok(query)
    }

    /// The states of the filter, or all those that the action can change.
    fn states(&self) -> Result<Vec<State>, String> {
        let possible = self.action.states();
        let possible_words = || possible.iter().map(|state| state.word()).collect::<Vec<_>>().join(", ");
        let named = parse_states(self.filter.state.as_deref())?;
        if let Some(wrong) = named.iter().find(|state| !possible.contains(state)) {
            let done = self.done();
            return Err(format!("{wrong} jobs cannot be {done}; this action is for {}", possible_words()));
        }
        let looks_for_deaths = self.filter.fingerprint.is_some() && possible.contains(&State::Dead);
        match (named.is_empty(), self.action) {
            (false, _) => Ok(named),
            (true, _) if looks_for_deaths => Ok(vec![State::Dead]),
            (true, BulkAction::Delete) => {
                Err(format!("is missing: name the states of the jobs to delete ({})", possible_words()))
            }
            (true, _) => Ok(possible.to_vec()),
        }
    }

    fn done(&self) -> &'static str {
        match self.action {
            BulkAction::Redrive => "redriven",
            BulkAction::Cancel => "cancelled",
            BulkAction::RunNow => "run now",
            BulkAction::Delete => "deleted",
        }
    }
}

/// The jobs in the states of the list.
fn count(query: &ListQuery, facets: Option<&Facets>) -> Option<u64> {
    let of = |facets: &Facets, state: &State| facets.state.get(state.word()).copied().unwrap_or(0);
    facets.map(|facets| query.states.iter().map(|state| of(facets, state)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(action: BulkAction, filter: BulkFilter) -> Result<Vec<State>, Vec<String>> {
        let request = BulkRequest { action, filter, dry_run: false };
        let pointers = |wrong: InvalidRequest| wrong.errors.into_iter().map(|error| error.pointer).collect();
        request.parse().map(|query| query.states).map_err(pointers)
    }

    fn of_kind() -> BulkFilter {
        BulkFilter { kind: Some("mail:send".into()), ..BulkFilter::default() }
    }

    #[test]
    fn without_states_an_action_is_for_all_that_it_can_change_but_delete_needs_them() {
        use BulkAction::{Cancel, Delete, Redrive, RunNow};
        for action in [Redrive, Cancel, RunNow] {
            assert_eq!(parse(action, of_kind()).unwrap(), action.states());
        }
        assert_eq!(parse(Delete, of_kind()).unwrap_err(), ["/filter/state"]);
        let dead = BulkFilter { state: Some("dead".into()), ..of_kind() };
        assert_eq!(parse(Delete, dead).unwrap(), [State::Dead]);
        let cause = BulkFilter { fingerprint: Some("0f3a99c2d41b7e60".into()), ..BulkFilter::default() };
        assert_eq!(parse(Delete, cause).unwrap(), [State::Dead]);
    }

    #[test]
    fn an_action_that_makes_no_sense_for_a_state_is_refused() {
        use BulkAction::{Cancel, Delete, Redrive, RunNow};
        for (action, state) in
            [(Redrive, "ready"), (Cancel, "dead"), (RunNow, "active"), (RunNow, "ready"), (Delete, "active")]
        {
            let filter = BulkFilter { state: Some(state.into()), ..of_kind() };
            assert_eq!(parse(action, filter).unwrap_err(), ["/filter/state"], "{action} {state}");
        }
    }

    #[test]
    fn a_filter_that_was_forgotten_or_is_an_empty_variable_changes_nothing() {
        let redrive = |filter| parse(BulkAction::Redrive, filter);
        assert_eq!(redrive(BulkFilter::default()).unwrap_err(), ["/filter"]);
        let only_state = BulkFilter { state: Some("dead".into()), ..BulkFilter::default() };
        assert_eq!(redrive(only_state).unwrap_err(), ["/filter"]);
        let empty = BulkFilter { kind: Some(" ,".into()), ..BulkFilter::default() };
        assert_eq!(redrive(empty).unwrap_err(), ["/filter/kind"]);
        assert!(redrive(BulkFilter { all: true, ..BulkFilter::default() }).is_ok());
        assert_eq!(redrive(BulkFilter { all: true, ..of_kind() }).unwrap_err(), ["/filter/all"]);
        assert!(serde_json::from_str::<BulkFilter>(r#"{"kid":"mail:send"}"#).is_err());
    }
}
