//! A Redis server as one connection sees it. Its gate lets no call through to a Redis on which a script would stop half
//! way.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use fred::types::config::Options;

use crate::error::{Error, RefusalCode};
use crate::redis::clock::RedisClock;
use crate::redis::permissions::{Findings, Subject};

/// Shared by a connection and the handshake that looks at each new one.
pub(crate) struct Server {
    /// Host and port, to be shown to people.
    pub(crate) address: String,
    pub(crate) once_and_fast: Options,
    pub(crate) subject: Subject,
    pub(crate) clock: Arc<RedisClock>,
    pub(crate) seen: RwLock<Seen>,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// The time and the findings of the last look at the permissions. Unset before the first look.
    pub(crate) look: Option<(Instant, Findings)>,
    /// The reason of the last failure to connect.
    pub(crate) trouble: Option<String>,
}

impl Server {
    /// Errors before the first look, and while there is an obstacle.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.seen().look {
            None => Err(Error::NotSent("not connected to Redis yet".to_owned())),
            Some((_, Findings { obstacle: None, .. })) => Ok(()),
            Some((_, Findings { obstacle: Some(message), .. })) => {
                Err(Error::Refused { code: RefusalCode::NotPermitted, message: message.clone() })
            }
        }
    }

    pub(crate) fn findings(&self) -> Findings {
        self.seen().look.as_ref().map(|(_, findings)| findings.clone()).unwrap_or_default()
    }

    pub(crate) fn set_findings(&self, findings: Findings) {
        self.seen_mut().look = Some((Instant::now(), findings));
    }

    pub(crate) fn seen(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn seen_mut(&self) -> RwLockWriteGuard<'_, Seen> {
        self.seen.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Options of a command that is sent once, and fails at once while there is no connection.
pub(crate) fn once_and_fast(timeout: Duration) -> Options {
    Options { max_attempts: Some(1), fail_fast: true, timeout: Some(timeout), ..Options::default() }
}
