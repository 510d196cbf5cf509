//! The filters of a list for which its jobs have to be read: texts, and the cause of a death.

use crate::list::query::ListQuery;
use crate::list::rows::Rows;
use crate::list::summary::JobSummary;
use crate::model::fingerprint::Fingerprint;

/// The rows that such a list reads.
pub(crate) fn rows(query: &ListQuery) -> Rows {
    if query.error.is_some() || query.fingerprint.is_some() { Rows::WithHistory } else { Rows::All }
}

/// Bytes of the largest record that is read whole, if the list searches payloads.
pub(crate) fn whole(query: &ListQuery) -> Option<usize> {
    query.search.as_ref().map(|_| i32::MAX as usize)
}

/// True for a job of the list. `state` is its entry of the hash `state`.
pub(crate) fn has_texts(query: &ListQuery, job: &JobSummary, state: &str) -> bool {
    let ListQuery { error, search, fingerprint, .. } = query;
    let has = |text: Option<&str>, part: &String| text.is_some_and(|text| contains(text, part));
    error.as_ref().is_none_or(|part| has(job.last_error.as_deref(), part))
        && search.as_ref().is_none_or(|part| has(job.payload.as_ref().map(|payload| payload.get()), part))
        && fingerprint.is_none_or(|wanted| {
            Fingerprint::in_state(state).unwrap_or_else(|| Fingerprint::of_ungrouped(&job.kind)) == wanted
        })
}

/// Finds a part of a text. The case of ASCII letters does not matter.
fn contains(text: &str, part: &str) -> bool {
    part.is_empty()
        || text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_any_case() {
        assert!(contains("Connection REFUSED by é", "refused BY é"));
        assert!(contains("x", ""));
        assert!(!contains("refuse", "refused"));
    }
}
