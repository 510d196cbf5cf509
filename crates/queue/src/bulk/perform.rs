//! Changes a group of jobs, each by the script of the single operation.

use futures_util::{StreamExt, stream};

use crate::bulk::action::BulkAction;
use crate::bulk::target::Target;
use crate::core::Core;
use crate::error::{Error, RefusalCode};
use crate::model::id::JobId;
use crate::model::state::State;
use crate::transitions::operate::{Operated, operate, operate_at};

/// Scripts under way at the same time. Redis runs those that arrive together in a row, and a claim waits for them.
const AT_ONCE: usize = 2;

/// The outcome for one job.
#[derive(Debug)]
pub(crate) enum Outcome {
    Changed,
    /// It changed between the look and the operation: it has this state now, or was removed.
    Moved(Option<State>),
    Failed(String),
    /// Redis refuses at the moment, or did not answer: to be tried again.
    Later {
        /// It may have changed.
        is_doubtful: bool,
    },
    /// No further job can be changed either.
    Never(Error),
}

/// The outcome of each of these jobs. A doubtful one, whose earlier try got no answer, was changed by that if it is
/// where the action would have brought it. One that has moved to a state to follow to is changed there.
pub(crate) async fn perform(
    core: &Core,
    action: BulkAction,
    targets: &[Target],
    follow_to: &[State],
    is_doubtful: impl Fn(JobId) -> bool,
) -> Vec<Outcome> {
    let operation = action.operation();
    // Collected, because the compiler cannot tell that a lazy iterator of these is `Send`.
    let calls: Vec<_> = targets
        .iter()
        .map(async |Target { queue, kind, id, set, score }| {
            match operate_at(core, queue, kind, *id, (*set, *score), operation).await {
                Ok(Operated::Refused(state)) if follow_to.contains(&state) => {
                    operate(core, queue, kind, *id, operation).await
                }
                operated => operated,
            }
        })
        .collect();
    let results: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
    targets
        .iter()
        .zip(results)
        .map(|(target, result)| {
            let now = match result {
                Ok(Operated::Done | Operated::Requested) => return Outcome::Changed,
                Ok(Operated::Refused(state)) => Some(state),
                Ok(Operated::Gone) => None,
                Err(error) => return failed(error),
            };
            if is_doubtful(target.id) && action.can_lead_to(now) {
                Outcome::Changed
            } else {
                Outcome::Moved(now)
            }
        })
        .collect()
}

fn failed(error: Error) -> Outcome {
    match error {
        Error::Corrupt(_) => Outcome::Failed(error.outline().into_owned()),
        Error::Refused {
            code: RefusalCode::NotPermitted | RefusalCode::WrongServer | RefusalCode::Unsupported,
            ..
        } => Outcome::Never(error),
        _ => Outcome::Later { is_doubtful: !error.nothing_happened() },
    }
}
