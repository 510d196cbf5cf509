//! Repairing findings.

use atode_queue::{Client, Error};
use serde::Serialize;

use crate::finding::{Finding, Plan};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Repaired {
    Done {
        /// The key that now has the data that had to be removed.
        #[serde(skip_serializing_if = "Option::is_none")]
        set_aside: Option<String>,
    },
    /// It has changed since it was found, so nothing was done. The next audit reports what it is now.
    Changed,
}

/// Repairs a finding. May be repeated, whatever the outcome of the first call.
pub async fn repair(client: &Client, finding: &Finding) -> Result<Repaired, Error> {
    let inspection = client.inspection();
    let queue = finding.queue.as_deref().unwrap_or_default();
    let (done, set_aside) = match &finding.plan {
        Plan::Repair(repair) => {
            let set_aside = repair.sets_record_aside().then(|| inspection.records_set_aside(queue));
            (inspection.repair_job(queue, repair).await?, set_aside)
        }
        Plan::Recount { kind, miscount } => (inspection.recount(queue, kind, miscount).await?, None),
        Plan::SetAside { key, key_type } => {
            let new_name = inspection.set_aside(key, key_type).await?;
            (new_name.is_some(), new_name)
        }
        Plan::List { list, name, keys } => (inspection.list_name(queue, list, name, keys).await?, None),
    };
    Ok(if done { Repaired::Done { set_aside } } else { Repaired::Changed })
}
