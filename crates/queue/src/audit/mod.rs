//! Whether what is stored fits together, on a queue that is in use; and putting it right.
//!
//! Keys, records and sets are walked in small steps, between which everything moves. So the walk
//! only suspects; a script that sees one instant decides ([`judge`]). A repair is a script too,
//! which does nothing unless all stands as it was when it was judged.

mod judge;
mod names;
mod repair;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::client::Client;
use crate::error::Error;

pub use repair::Repaired;

/// Findings kept of one audit: more are found by the next, once these are repaired.
const MAX_FINDINGS: usize = 100_000;

type Tell<'a> = &'a (dyn Fn(u64) + Sync);

/// What an audit looked at and what it found wrong.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// Queues that have been looked at, all of their jobs unless a finding says otherwise.
    pub queues: BTreeSet<String>,
    /// Records that have been looked at.
    pub jobs: u64,
    /// Ids that seemed wrong at first. Most were in motion, so they are no findings.
    pub suspected: u64,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// None: it concerns all of them.
    pub queue: Option<String>,
    pub wrong: Wrong,
    /// A job's id (as it stands in Redis where it is no id of ours), a key, or a name that is missing
    /// in a list.
    pub subject: String,
    /// The keys where it is, without what they share.
    #[serde(rename = "where")]
    pub places: Vec<String>,
    /// What a repair does.
    pub repair: String,
    #[serde(skip)]
    plan: Plan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// A key is of another type than its name says. The jobs of its queue cannot be looked at.
    WrongType,
    /// Keys of a queue that the catalogue of queues does not list.
    UnlistedQueue,
    /// Sets of a kind that its queue does not list: nobody reaps, trims or shows its jobs.
    UnlistedKind,
    /// A record that is no JSON of ours: nobody can run it.
    UnreadableRecord,
    /// A job that is in no set: nobody ever runs or removes it.
    NoSet,
    /// An id in a set, but no such job.
    NoRecord,
    /// A job in more than one set.
    SeveralSets,
    /// A job in a set of another kind than its own.
    OtherKind,
    /// A job in a lease set that nobody holds: nobody can settle it until its lease has run out.
    NoHolder,
    /// An active job whose holder cannot be read: nobody can settle it until its lease has run out.
    UnreadableHolder,
    /// The holder of a job that is not active.
    NoLease,
    /// The history of a job that is gone.
    StateOnly,
}

/// How a finding is repaired.
#[derive(Debug, Clone)]
enum Plan {
    Mend(Box<judge::Mending>),
    SetAside { key: String, key_type: &'static str },
    Enrol { queue: String, list: String, name: String, keys: Vec<String> },
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Wrong::WrongType => "a key of a wrong type",
            Wrong::UnlistedQueue => "a queue that is not listed",
            Wrong::UnlistedKind => "a kind that is not listed",
            Wrong::UnreadableRecord => "an unreadable record",
            Wrong::NoSet => "a job in no set",
            Wrong::NoRecord => "an id without a record",
            Wrong::SeveralSets => "a job in several sets",
            Wrong::OtherKind => "a job in a set of another kind",
            Wrong::NoHolder => "an active job without a holder",
            Wrong::UnreadableHolder => "an active job with an unreadable holder",
            Wrong::NoLease => "a holder of a job that is not active",
            Wrong::StateOnly => "a history without a job",
        })
    }
}

impl Client {
    /// Looks at all queues, or at one. Others may use them meanwhile: what is reported was wrong
    /// at one instant, and nothing that is in motion is reported. Redis is asked for little at a
    /// time.
    ///
    /// A queue that has a key of a wrong type is only looked at once that is repaired.
    pub async fn audit(&self, queue: Option<&str>) -> Result<Audit, Error> {
        self.audit_telling(queue, &|_| {}).await
    }

    /// The same; `tell` hears how many jobs have been looked at, again and again.
    pub async fn audit_telling(&self, queue: Option<&str>, tell: Tell<'_>) -> Result<Audit, Error> {
        let mut audit = Audit::default();
        for (queue, found) in self.walk_names(queue, &mut audit).await? {
            if audit.findings.len() >= MAX_FINDINGS {
                break;
            }
            if !found.obstructed {
                let kinds: Vec<Arc<str>> = found.kinds.into_keys().map(Arc::from).collect();
                walk::Walk::new(self, &queue, kinds, &mut audit, tell).run().await?;
            }
            audit.queues.insert(queue);
        }
        audit.findings.sort_by(|a, b| (&a.queue, a.wrong).cmp(&(&b.queue, b.wrong)));
        Ok(audit)
    }
}

/// A job's id as people know it.
fn display_id(id: &Bytes) -> String {
    let text = String::from_utf8_lossy(id);
    text.parse::<crate::JobId>().map_or_else(|_| text.into_owned(), |id| id.to_string())
}
