//! The part of a job's history about builds that cannot read it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The builds that handed a job back because its payload is for another build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The last [`Unread::KEPT`] builds, oldest first.
    pub by: Vec<String>,
    /// The build whose schema the payload fits. Unset if a later release stored the job in a form of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fits: Option<String>,
}

impl Unread {
    /// Number of builds kept.
    pub const KEPT: usize = 8;
    /// The longest time until such a job is offered to workers again.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(5 * 60);

    /// Adds a build that cannot read the job.
    pub(crate) fn add(known: Option<Self>, build: &str, fits: Option<String>) -> Self {
        let mut by = known.map_or_else(Vec::new, |known| known.by);
        by.retain(|known| known != build);
        by.drain(..by.len().saturating_sub(Self::KEPT - 1));
        by.push(build.to_owned());
        Unread { by, fits }
    }

    pub(crate) fn names(&self, build: &str) -> bool {
        self.by.iter().any(|known| known == build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_build_is_kept_once_and_only_the_last_ones() {
        let mut unread = None;
        for n in [1, 2, 3, 4, 5, 6, 7, 8, 9, 2] {
            unread = Some(Unread::add(unread, &n.to_string(), Some("10".to_owned())));
        }
        assert_eq!(unread.unwrap().by, ["3", "4", "5", "6", "7", "8", "9", "2"]);
    }
}
