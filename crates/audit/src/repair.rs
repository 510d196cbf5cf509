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
    match &finding.plan {
        Plan::Repair(repair) => {
            let queue = finding.queue.as_deref().unwrap_or_default();
            let done = inspection.repair_job(queue, repair).await?;
            let set_aside = repair.sets_record_aside().then(|| inspection.records_set_aside(queue));
            Ok(repaired(done, set_aside))
        }
        Plan::SetAside { key, key_type } => {
            let new_name = inspection.set_aside(key, key_type).await?;
            Ok(repaired(new_name.is_some(), new_name))
        }
        Plan::List { queue, list, name, keys } => {
            Ok(repaired(inspection.list_name(queue, list, name, keys).await?, None))
        }
    }
}

fn repaired(done: bool, set_aside: Option<String>) -> Repaired {
    if done { Repaired::Done { set_aside } } else { Repaired::Changed }
}
