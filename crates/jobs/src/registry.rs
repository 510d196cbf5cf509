//! The kinds that a process knows, and the application's state that their handlers use.

use std::collections::BTreeMap;
use std::sync::Arc;

use atode_queue::Client;

use crate::app_state::{AppState, StateType};
use crate::job::Job;
use crate::kind::Kind;
use crate::services::{Destination, Services};

#[derive(Debug, thiserror::Error)]
#[error("two jobs are registered under the kind {0:?} (as KIND or in ALIASES); a kind names one type")]
pub struct DuplicateKind(String);

#[derive(Debug, thiserror::Error)]
#[error(
    "the kind {kind:?} needs the state {state}, which this worker does not have; give it to the worker with Registry::provide, and name its type if worker::main_with_state makes it"
)]
pub struct MissingState {
    kind: Arc<str>,
    state: &'static str,
}

#[derive(Clone, Default)]
pub struct Registry {
    /// Under its name and each of its aliases.
    kinds: BTreeMap<Arc<str>, Arc<Kind>>,
    state: AppState,
}

impl Registry {
    pub fn register<J: Job>(&mut self) -> Result<(), DuplicateKind> {
        let kind = Arc::new(Kind::of::<J>());
        for name in std::iter::once(J::KIND).chain(J::ALIASES.iter().copied()) {
            if self.kinds.insert(name.into(), kind.clone()).is_some() {
                return Err(DuplicateKind(name.to_owned()));
            }
        }
        Ok(())
    }

    /// Gives handlers a value, which they get with [`JobContext::state`](crate::JobContext::state). It replaces an
    /// earlier one of the same type. Only workers need it.
    pub fn provide<T: Send + Sync + 'static>(&mut self, value: T) {
        self.state.insert(value);
    }

    /// Whether each kind has the state that it needs, or will have it once state of the types `expected` is provided.
    pub fn check_state(&self, expected: &[StateType]) -> Result<(), MissingState> {
        let is_missing = |needed: &&StateType| !self.state.has(**needed) && !expected.contains(needed);
        for kind in self.kinds() {
            if let Some(missing) = kind.state.iter().find(is_missing) {
                return Err(MissingState { kind: kind.name.clone(), state: missing.name() });
            }
        }
        Ok(())
    }

    /// The services of handlers that enqueue with this client.
    pub fn services(&self, client: Client) -> Services {
        Services { state: self.state.clone(), destination: Destination::Redis(client) }
    }

    /// The kind of this name or alias.
    pub fn get(&self, name: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(name)
    }

    /// The kinds, in order of their names.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter().filter(|(name, kind)| **name == kind.name).map(|(_, kind)| kind)
    }

    /// The names that jobs of these kinds are stored under: each kind's own, and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.kinds.keys()
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::job::{JobContext, JobError};

    struct Mailer;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Mail {}

    impl Job for Mail {
        const KIND: &'static str = "mail:send";
        const ALIASES: &'static [&'static str] = &["mail:deliver"];
        const STATE: &'static [StateType] = &[StateType::of::<Mailer>()];

        async fn run(self, _: JobContext) -> Result<(), JobError> {
            Ok(())
        }
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Deliver {}

    impl Job for Deliver {
        const KIND: &'static str = "mail:deliver";

        async fn run(self, _: JobContext) -> Result<(), JobError> {
            Ok(())
        }
    }

    fn with_mail() -> Registry {
        let mut registry = Registry::default();
        registry.register::<Mail>().unwrap();
        registry
    }

    #[test]
    fn two_jobs_of_one_kind_are_an_error() {
        assert!(with_mail().register::<Mail>().unwrap_err().to_string().contains("mail:send"));
    }

    #[test]
    fn a_kind_under_the_alias_of_another_is_an_error() {
        assert!(with_mail().register::<Deliver>().unwrap_err().to_string().contains("mail:deliver"));
        let mut registry = Registry::default();
        registry.register::<Deliver>().unwrap();
        assert!(registry.register::<Mail>().unwrap_err().to_string().contains("mail:deliver"));
    }

    #[test]
    fn an_alias_names_the_kind_and_is_not_a_kind_of_its_own() {
        let registry = with_mail();
        assert_eq!(&*registry.get("mail:deliver").unwrap().name, "mail:send");
        assert_eq!(registry.kinds().count(), 1);
        let names: Vec<&str> = registry.names().map(|name| &**name).collect();
        assert_eq!(names, ["mail:deliver", "mail:send"]);
    }

    #[test]
    fn a_kind_without_its_state_is_an_error() {
        let mut registry = with_mail();
        let missing = registry.check_state(&[]).unwrap_err().to_string();
        assert!(missing.contains("\"mail:send\"") && missing.contains("Mailer"), "{missing}");
        assert!(registry.check_state(&[StateType::of::<Mailer>()]).is_ok());
        registry.provide(Mailer);
        assert!(registry.check_state(&[]).is_ok());
    }

    #[test]
    fn all_kinds_of_this_build_can_be_registered() {
        let registry = crate::registry().unwrap();
        let kind = registry.get("demo:delay_print").unwrap();
        assert_eq!((kind.delay, kind.max_retries), (crate::DEFAULT_DELAY, crate::DEFAULT_MAX_RETRIES));
    }
}
