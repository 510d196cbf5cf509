//! A group of dead jobs with one cause, as `failure_groups.lua` stores it.

use crate::model::id::JobId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) count: u64,
    /// Unix ms.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// The job that died last.
    pub(crate) example: Option<JobId>,
    pub(crate) builds: Vec<String>,
    /// The start of its error.
    pub(crate) error: String,
}

impl Group {
    /// Reads `count first last from passed example builds error`. The place where a redrive goes on is for scripts only.
    pub(crate) fn decode(value: &str) -> Option<Self> {
        let mut parts = value.splitn(8, ' ');
        let (count, first, last) = (parts.next()?, parts.next()?, parts.next()?);
        let (example, builds, error) = (parts.nth(2)?, parts.next()?, parts.next()?);
        Some(Group {
            count: count.parse().ok()?,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            example: example.parse().ok(),
            builds: builds.split(',').map(str::to_owned).collect(),
            error: error.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_as_a_script_writes_it() {
        let id = JobId::new(1_700_000_000_000);
        let group =
            Group::decode(&format!("3 1700 1800 0 - {} a,b no such host\n: x", id.short())).expect("a group");
        assert_eq!((group.count, group.first, group.last, group.example), (3, 1700, 1800, Some(id)));
        assert_eq!((group.builds.join(" "), &*group.error), ("a b".to_owned(), "no such host\n: x"));
        assert!(Group::decode("0 0 0 1700 x - - ").is_some_and(|group| group.count == 0));
        for broken in ["", "3", "x 1 2 0 - - a no", "1 2 3"] {
            assert_eq!(Group::decode(broken), None, "{broken}");
        }
    }
}
