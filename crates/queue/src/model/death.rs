//! The cause of a job's death, by which dead jobs are grouped.

use crate::model::fingerprint::Fingerprint;
use crate::model::history::{History, start_of};
use crate::model::lease::FencingToken;

/// Bytes kept of the error of a group's example.
const MAX_ERROR: usize = 300;
/// Bytes kept of the name of a build.
const MAX_BUILD: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) fingerprint: Fingerprint,
    /// The build of the worker that ran the job last, without blanks and commas.
    pub(crate) build: String,
    /// The start of the last error.
    pub(crate) error: String,
}

impl Death {
    /// `None` if the history has no failure. Such a job joins no group.
    pub(crate) fn of(kind: &str, history: &History) -> Option<Self> {
        let last = history.failures.last()?;
        let fingerprint = Fingerprint::of(kind, &last.error);
        let error = start_of(&last.error, MAX_ERROR).to_owned();
        let build = last.run.worker.build.chars();
        let build = build.map(|c| if c.is_whitespace() || c == ',' { '_' } else { c }).collect::<String>();
        let build = start_of(&build, MAX_BUILD).to_owned();
        Some(Death { fingerprint, build: if build.is_empty() { "unknown".to_owned() } else { build }, error })
    }

    /// The history as a script stores it, with the fingerprint at its end. The scripts find it there, and every other
    /// reader ignores it, as it does any field that it does not know.
    pub(crate) fn encode(death: Option<&Self>, history: &History, token: FencingToken) -> String {
        let mut state = history.encode(token);
        if let Some(death) = death {
            // A history with a failure has other fields in front.
            state.truncate(state.len() - 1);
            state.extend([r#","fp":""#, &death.fingerprint.to_string(), r#""}"#]);
        }
        state
    }

    /// Approximate bytes of the cause in a call.
    pub(crate) fn weight(&self) -> usize {
        self.build.len() + self.error.len() + 24
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::history::{Failure, FailureCause};
    use crate::model::run::{Run, WorkerRef};

    #[test]
    fn the_fingerprint_ends_the_state_and_a_reader_ignores_it() {
        let worker = WorkerRef { build: "0.1.0 a,b".to_owned(), ..WorkerRef::default() };
        let run = Run::new(1, 1, 2, Arc::new(worker));
        let failure = Failure::new(FailureCause::Error, &"no ".repeat(200), run.clone(), 3);
        let history = History::default().with_failure(failure).finished_with(run);
        let death = Death::of("a:b", &history).expect("it failed");
        assert_eq!((&*death.build, death.error.len()), ("0.1.0_a_b", 300));
        let state = Death::encode(Some(&death), &history, FencingToken::new(7));
        assert!(state.ends_with(&format!(r#","fp":"{}"}}"#, death.fingerprint)), "{state}");
        assert_eq!(History::decode(&format!("1700 {state}")).expect("readable"), (Some(1700), history));

        let never_failed = History::default();
        assert_eq!(Death::of("a:b", &never_failed), None);
        assert_eq!(
            Death::encode(None, &never_failed, FencingToken::new(7)),
            never_failed.encode(FencingToken::new(7))
        );
    }
}
