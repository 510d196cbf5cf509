//! Checks the invariants of a live queue, and repairs what breaks them.
//!
//! Keys, records and sets are read in small steps, and jobs move between two steps. So a step only finds suspects; a
//! script that sees one instant decides. A repair is a script, too: it does nothing unless everything is as it was
//! when the decision was made.

mod diagnosis;
mod finding;
mod names;
mod repair;
mod walk;

use std::sync::Arc;

use atode_queue::{Client, Error};

pub use finding::{Audit, Finding, Wrong};
pub use repair::{Repaired, repair};

use finding::MAX_FINDINGS;
use walk::walk;

/// Checks all queues, or one, while they are in use. A finding was wrong at one instant; a job in motion is never
/// reported. Each step asks Redis for little.
///
/// A queue with a key of a wrong type is checked only once that key is repaired.
pub async fn audit(client: &Client, queue: Option<&str>) -> Result<Audit, Error> {
    audit_with_progress(client, queue, &|_| {}).await
}

/// [`audit()`] that reports the number of checked jobs after each step.
pub async fn audit_with_progress(
    client: &Client,
    queue: Option<&str>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Audit, Error> {
    let mut audit = Audit::default();
    for (queue, found) in names::check(client, queue, &mut audit).await? {
        if audit.findings.len() >= MAX_FINDINGS {
            break;
        }
        if !found.is_blocked {
            let kinds: Vec<Arc<str>> = found.kinds.into_keys().map(Arc::from).collect();
            walk(client.inspection(), &queue, kinds, &mut audit, progress).await?;
        }
        audit.queues.insert(queue);
    }
    audit.findings.sort_by(|a, b| (&a.queue, a.wrong).cmp(&(&b.queue, b.wrong)));
    Ok(audit)
}
