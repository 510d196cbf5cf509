//! Changes a group of jobs, each by the script of the single operation.

use futures_util::{StreamExt, stream};

use crate::bulk::action::BulkAction;
use crate::bulk::target::Target;
use crate::core::Core;
use crate::error::{Error, RefusalCode};
use crate::transitions::operate::{Operated, operate_at};

/// Scripts under way at the same time. Redis runs those that arrive together in a row, and a claim waits for them.
const AT_ONCE: usize = 4;

/// The outcome for one job.
#[derive(Debug)]
pub(crate) enum Outcome {
    Changed,
    /// It changed between the look and the operation.
    Skipped(String),
    Failed(String),
    /// Redis did not answer, or refuses at the moment: to be tried again.
    Later,
    /// No further job can be changed either.
    Never(Error),
}

/// The outcome of each of these jobs. After an earlier try without an answer (`is_repeated`), one that has left its
/// place was changed then.
pub(crate) async fn perform(
    core: &Core,
    action: BulkAction,
    targets: &[Target],
    is_repeated: bool,
) -> Vec<Outcome> {
    let operation = action.operation();
    // Collected, because the compiler cannot tell that a lazy iterator of these is `Send`.
    let calls: Vec<_> = targets
        .iter()
        .map(|Target { queue, kind, id, score, .. }| operate_at(core, queue, kind, (*id, *score), operation))
        .collect();
    let results: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
    results
        .into_iter()
        .map(|result| match result {
            Ok(Operated::Done | Operated::Requested) => Outcome::Changed,
            Ok(Operated::Refused(_) | Operated::Gone) if is_repeated => Outcome::Changed,
            Ok(Operated::Gone) => Outcome::Skipped("it was removed meanwhile".to_owned()),
            Ok(Operated::Refused(state)) => {
                Outcome::Skipped(format!("it changed since it was found, and is {state}"))
            }
            Err(error) => failed(error),
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
        _ => Outcome::Later,
    }
}
